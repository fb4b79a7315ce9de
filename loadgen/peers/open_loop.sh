#!/usr/bin/env bash
# The lateness of loadgen beside that of a client over tokio, in an open loop: the same Poisson schedule from the same
# seed over as many connections, one thread each, against one nginx worker that answers with a constant. The two take
# turns in one run. Lateness is from the moment a request was due to the moment the client took it up; beside it stand
# the latency from the intended send and the client's CPU time for each request.
#
# Needs Debian's nginx, and target/release/loadgen. Environment: PAIRS, SECONDS_EACH, CONNECTIONS, RATE, SEED, PORT,
# STATUS (200: loadgen finds each answer wrong, as the contract says 201, but must read it all the same).
set -eu

PAIRS=${PAIRS:-4} SECONDS_EACH=${SECONDS_EACH:-11} CONNECTIONS=${CONNECTIONS:-64} RATE=${RATE:-10000} SEED=${SEED:-1}
PORT=${PORT:-18499} STATUS=${STATUS:-200}
LOADGEN=${LOADGEN:-target/release/loadgen}
. "$(dirname "$0")/nginx.sh"

# Both print: p50, p99, p99.9 and greatest lateness, p99 and p99.9 of the latency (all µs), CPU nanoseconds a request.
run_tokio() {
  { time -p "$tokio_client" open "127.0.0.1:$PORT" "$CONNECTIONS" "$SECONDS_EACH" "$request" "$RATE" "$SEED" \
    > "$dir/tokio.out"; } 2> "$dir/time"
  awk '/^requests / { n = $2 } /^lateness / { l = $2 " " $3 " " $4 " " $5 } /^latency / { s = $3 " " $4 }
    /^(user|sys) / { cpu += $2 } END { printf "%s %s %.0f\n", l, s, cpu * 1e9 / n }' "$dir/tokio.out" "$dir/time"
}

run_loadgen() {
  # Exit code 3 is due: every answer is wrong or unchecked here.
  { time -p "$LOADGEN" run --url "$url" --targets "$dir/targets.ndjson" --key-file "$dir/key" --seed "$SEED" \
    --connections "$CONNECTIONS" --rate "$RATE" --duration-s "$SECONDS_EACH" --tracking-codes-max 0 \
    > "$dir/loadgen.out" 2> "$dir/loadgen.err" || [ $? -ge 3 ]; } 2> "$dir/time"
  # The columns are p50, p90, p99, p99.9, max.
  awk '/^requests / { n = $2 } /^lateness / && NF == 6 { l = $2 " " $4 " " $5 " " $6 } /^all / && NF == 6 { s = $4 " " $5 }
    /^(user|sys) / { cpu += $2 } END { printf "%s %s %.0f\n", l, s, cpu * 1e9 / n }' "$dir/loadgen.out" "$dir/time"
}

build_tokio_client
echo "open loop, Poisson $RATE/s over $CONNECTIONS connections against nginx ($STATUS), $SECONDS_EACH s a turn"
printf '%4s %-8s %10s %10s %10s %10s   %10s %10s %12s\n' pair client 'late p50' p99 p99.9 max 'lat. p99' p99.9 'CPU ns/req'
row() { printf '%4s %-8s %10s %10s %10s %10s   %10s %10s %12s\n' "$@"; }
pair=1
while [ $pair -le "$PAIRS" ]; do
  # The order within a pair alternates, against drift.
  clients="tokio loadgen"
  [ $((pair % 2)) -eq 1 ] || clients="loadgen tokio"
  for client in $clients; do
    # shellcheck disable=SC2046 # words are wanted
    row "$pair" "$client" $("run_$client")
  done
  pair=$((pair + 1))
done

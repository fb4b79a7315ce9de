#!/usr/bin/env bash
# Closed-loop throughput of loadgen beside a peer (PEER=wrk, or PEER=tokio: tokio_client beside this), one thread each,
# against one nginx worker that answers with a constant. The two take turns in one run; the median of the pairs' ratios
# counts (goal: at least 0.9). Beside it stands the client's CPU time for each request.
#
# Needs Debian's nginx and wrk, and target/release/loadgen. Environment: PEER, PAIRS, SECONDS_EACH, CONNECTIONS, PORT,
# STATUS (200: loadgen finds each answer wrong, as the contract says 201, but must read it all the same).
set -eu

PAIRS=${PAIRS:-5} SECONDS_EACH=${SECONDS_EACH:-5} CONNECTIONS=${CONNECTIONS:-32}
PORT=${PORT:-18499} STATUS=${STATUS:-200} PEER=${PEER:-wrk}
LOADGEN=${LOADGEN:-target/release/loadgen}
. "$(dirname "$0")/nginx.sh"

cat > "$dir/post.lua" <<LUA
wrk.method = "POST"
wrk.body = '$request'
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer peer.none"
LUA

# Prints requests a second and CPU nanoseconds for each request. `time -p` gives hundredths of a second, which
# over a few seconds is enough.
run_wrk() {
  { time -p wrk -t1 -c"$CONNECTIONS" -d"${SECONDS_EACH}s" -s "$dir/post.lua" "$url/v1/inquiries" > "$dir/wrk.out"; } 2> "$dir/time"
  awk '/requests in/ { n = $1 } /^Requests\/sec:/ { r = $2 } /^(user|sys) / { cpu += $2 }
    END { printf "%.0f %.0f\n", r, cpu * 1e9 / n }' "$dir/wrk.out" "$dir/time"
}

run_tokio() {
  { time -p "$tokio_client" closed "127.0.0.1:$PORT" "$CONNECTIONS" "$SECONDS_EACH" "$request" > "$dir/tokio.out"; } \
    2> "$dir/time"
  awk -v s="$SECONDS_EACH" 'NR == 1 { r = $1 } /^(user|sys) / { cpu += $2 }
    END { printf "%.0f %.0f\n", r, cpu * 1e9 / (r * s) }' "$dir/tokio.out" "$dir/time"
}

run_loadgen() {
  # Exit code 3 is due: every answer is wrong or unchecked here.
  { time -p "$LOADGEN" run --url "$url" --targets "$dir/targets.ndjson" --key-file "$dir/key" \
    --connections "$CONNECTIONS" --duration-s "$SECONDS_EACH" --tracking-codes-max 0 \
    > "$dir/loadgen.out" 2> "$dir/loadgen.err" || [ $? -ge 3 ]; } 2> "$dir/time"
  awk '/^requests / { n = $2 } /^answers / { r = $2 } /^(user|sys) / { cpu += $2 }
    END { printf "%.0f %.0f\n", r, cpu * 1e9 / n }' "$dir/loadgen.out" "$dir/time"
}

[ "$PEER" != tokio ] || build_tokio_client

echo "closed loop against nginx ($STATUS), 1 thread each, $CONNECTIONS connections, $SECONDS_EACH s a turn"
printf '%4s %14s %14s %8s %18s %18s\n' pair "$PEER/s" loadgen/s ratio "$PEER CPU ns/req" "loadgen CPU ns/req"
pair=1
while [ $pair -le "$PAIRS" ]; do
  # The order within a pair alternates, against drift.
  if [ $((pair % 2)) -eq 1 ]; then
    peer=$("run_$PEER"); loadgen=$(run_loadgen)
  else
    loadgen=$(run_loadgen); peer=$("run_$PEER")
  fi
  echo "$pair $peer $loadgen" | awk '{ printf "%4d %14d %14d %8.3f %18d %18d\n", $1, $2, $4, $4 / $2, $3, $5 }' \
    | tee -a "$dir/pairs"
  pair=$((pair + 1))
done
sort -n -k4 "$dir/pairs" | awk '{ r[NR] = $4 } END { printf "median ratio %.3f\n", r[int((NR + 1) / 2)] }'

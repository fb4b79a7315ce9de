#!/usr/bin/env bash
# `snapshot build` beside DuckDB: both read the same CSV from the page cache with two threads under the same hard limit
# of memory and check the same cells; one builds and publishes a generation, the other writes the rows sorted by ID as
# Parquet. The two take turns in one run; the ratio of each pair and their median count (goal: at most 1.0, ours over
# DuckDB's).
#
# Needs Python 3 with venv, root for the cgroup, and target/release/estehqaq. Environment: PEOPLE, PAIRS, MEMORY_MIB,
# CODEC, DIR (a folder with room for the CSV three times; the CSV stays there and is taken again), ESTEHQAQ, and
# DUCKDB (its version).
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
PEOPLE=${PEOPLE:-10000000} PAIRS=${PAIRS:-5} MEMORY_MIB=${MEMORY_MIB:-4096} CODEC=${CODEC:-snappy}
DIR=${DIR:-target/peers/duckdb} ESTEHQAQ=${ESTEHQAQ:-target/release/estehqaq} DUCKDB=${DUCKDB:-2.0.1}
ESTEHQAQ=$(realpath "$ESTEHQAQ")
mkdir -p "$DIR"
cd "$DIR"

python=venv/bin/python
[ -x $python ] || { python3 -m venv venv && venv/bin/pip install --quiet "duckdb==$DUCKDB"; }
csv=extract-$PEOPLE.csv
[ -f "$csv" ] || "$ESTEHQAQ" extract synth --people "$PEOPLE" --seed 7 --out "$csv" >&2
rm -rf secrets.toml
"$ESTEHQAQ" secrets init --secrets secrets.toml > /dev/null

# A limit that kills, over anonymous memory and page cache: a cgroup of version 2 or 1, whichever is mounted.
if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
  group=/sys/fs/cgroup/duckdb-build-$$ limit=memory.max
else
  group=/sys/fs/cgroup/memory/duckdb-build-$$ limit=memory.limit_in_bytes
fi
mkdir "$group"
echo $((MEMORY_MIB << 20)) > "$group/$limit"
cleanup() {
  rmdir "$group" || true
  chmod -R u+w snapshots 2> /dev/null || true
  rm -rf snapshots sorted.parquet spill
}
trap cleanup EXIT

# Runs a command within the limit, its output to a file; prints wall seconds and peak resident MiB.
timed() {
  local out=$1
  shift
  cat "$csv" > /dev/null
  /usr/bin/time -f '%e %M' -o time.out \
    sh -c 'echo $$ > "$0/cgroup.procs" && exec "$@"' "$group" "$@" > "$out" 2> "$out.err" ||
    { echo "failed: $*" >&2; cat "$out" "$out.err" >&2; exit 1; }
  awk '{ printf "%s %d\n", $1, $2 / 1024 }' time.out
}

run_estehqaq() {
  chmod -R u+w snapshots 2> /dev/null || true
  rm -rf snapshots
  RAYON_NUM_THREADS=2 timed ours.json "$ESTEHQAQ" snapshot build --extract "$csv" --snapshots snapshots \
    --secrets secrets.toml --as-of 2026-11-22 --json --memory "$((MEMORY_MIB))MiB"
}

# DuckDB is told a bound below the limit, as its documents advise: what it takes beside its buffers does not count.
run_duckdb() {
  rm -rf sorted.parquet spill
  timed duckdb.out $python "$here/duckdb_build.py" "$csv" sorted.parquet "$CODEC" $((MEMORY_MIB * 3 / 4))
}

echo "$PEOPLE people, 2 threads, $MEMORY_MIB MiB, warm page cache, DuckDB $DUCKDB with $CODEC"
printf '%4s %12s %12s %8s %14s %14s\n' pair "estehqaq s" "duckdb s" ratio "estehqaq MiB" "duckdb MiB"
for pair in $(seq "$PAIRS"); do
  # The order within a pair alternates, against drift.
  if [ $((pair % 2)) -eq 1 ]; then
    ours=$(run_estehqaq) theirs=$(run_duckdb)
  else
    theirs=$(run_duckdb) ours=$(run_estehqaq)
  fi
  echo "$pair $ours $theirs" | awk '{ printf "%4d %12.1f %12.1f %8.3f %14d %14d\n", $1, $2, $4, $2 / $4, $3, $5 }' \
    | tee -a pairs.$$
done
sort -n -k4 pairs.$$ | awk '{ r[NR] = $4 } END { printf "median ratio %.3f\n", r[int((NR + 1) / 2)] }'
rm -f pairs.$$
echo "ours:   $(tr -d '\n' < ours.json | grep -o '"rows": *[0-9]*\|"rejected": *[0-9]*\|"warnings": *{[^}]*}' | tr '\n' ' ')"
echo "duckdb: $($python "$here/duckdb_counts.py" sorted.parquet)"

#!/bin/sh
# Runs every benchmark but BenchmarkDotNet's, and leaves text and JSON of each in a folder.
#   bench/run.sh OUT [PROGRAM]     PROGRAM: the published benchmark program; without it, it is built and taken from bin
set -eu
out=${1:?name a folder for the results}
program=${2:-}
here=$(cd "$(dirname "$0")" && pwd)
if [ -z "$program" ]; then
  dotnet build "$here/Kvcached.Benchmarks" -c Release -v q
  program=$here/Kvcached.Benchmarks/bin/Release/net10.0/Kvcached.Benchmarks
fi

mkdir -p "$out"
measure() {
  name=$1
  shift
  echo "== $name"
  "$program" "$@" --json "$out/$name.json" 2> "$out/$name.err" | tee "$out/$name.txt"
}

nproc > "$out/machine.txt"
uptime >> "$out/machine.txt"
measure decision decision
measure messages messages
measure router router

measure blocks blocks
measure attached attached-map
measure map coordinated-map
measure map-pinned coordinated-map --link akka --echo pinned
measure map-fresh coordinated-map --kept off --runs 2 --steps 1000
measure map-64 coordinated-map --pages 64 --runs 3
measure map-asleep coordinated-map --link akka --spin 0 --runs 2

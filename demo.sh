#!/usr/bin/env bash
# Shows Kvcached at work: real host processes, one per GPU, and three engines that share their memory, driven by two
# request traces of a production service. Every block is written, checked on every rank, and only then freed.
#
#   ./demo.sh                     2 hosts, 5 minutes of traces in real time; main memory stands in where GPUs are missing
#   ./demo.sh --minutes 1         a shorter run
#   ./demo.sh --speed 5           the same traffic five times as fast
#   ./demo.sh --hosts 2 --backend cuda --full      on two GPUs, with all 32 layers
#   ./demo.sh --memory 640MiB     so little that engines must wait and make room for each other
#   ./demo.sh --chaos --minutes 2 --seed 7    kills, stops and cuts off hosts, schedulers and workers meanwhile
#   ./demo.sh --management-port 8558    the page at http://127.0.0.1:8558/; it says in any case where the page is, and how kvctl reaches it
#   ./demo.sh --json run.json     also writes a summary for programs
#   ./demo.sh --bin DIR           runs what ./publish.sh DIR made, on a machine without .NET
#
# It ends with a table, a chart (demo.png, or --chart FILE) and exit code 0 only if every request finished and nothing
# was corrupt, mismatched or leaked. ./demo.sh --options lists all options.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

bin=''
previous=''
for argument in "$@"; do
  case "$argument" in
    --help | -h) sed -n '2,17s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    --bin=*) bin=${argument#--bin=} ;;
  esac
  if [ "$previous" = --bin ]; then bin=$argument; fi
  previous=$argument
done
if [ "$previous" = --bin ]; then
  echo "demo.sh: --bin needs the directory that ./publish.sh made." >&2
  exit 2
fi

if [ -z "$bin" ]; then
  "$root/build/need-dotnet.sh"
  bin="$root/artifacts/demo"
  export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1 MSBUILDDISABLENODEREUSE=1
  # A build that is newer than all its sources needs no other.
  if [ ! -f "$bin/.built" ] || [ -n "$(find "$root/src" "$root/samples" "$root/hocon" "$root"/Directory.*.props \
    \( -name bin -o -name obj \) -prune -o -type f -newer "$bin/.built" -print -quit)" ]; then
    mkdir -p "$bin"
    touch "$bin/.building" # older than any source that changes from here on
    echo "Building (the first time takes a minute or two)..."
    "$root/build/publish-into.sh" "$bin" \
      "src/Kvcached.Copier/Kvcached.Copier.csproj src/Kvcached.Cli/Kvcached.Cli.csproj samples/TraceReplay/TraceReplay.csproj src/Host/Host.csproj" \
      --no-self-contained
    mv "$bin/.building" "$bin/.built"
  fi
  set -- "$@" --bin "$bin"
elif [ ! -x "$bin/kvcached-replay" ]; then
  echo "demo.sh: there is no kvcached-replay in $bin; make it with ./publish.sh $bin" >&2
  exit 2
fi

for argument in "$@"; do
  if [ "$argument" = --options ]; then exec "$bin/kvcached-replay" run --help; fi
done
exec "$bin/kvcached-replay" run "$@"

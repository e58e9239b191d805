#!/usr/bin/env bash
# Tries transformers' continuous batching on Kvcached on this machine's first GPU: what is installed, then equality, turns, faults and shares.
#   samples/transformers/on_gpu.sh DIR RESULTS [look|equal|turns|faults|order|three|tp]...     DIR: made by ./publish.sh; RESULTS: a folder for JSON files
# Needs Python with PyTorch and transformers, and KVCACHED_LIBRARY, or DIR/libkvcached.so. Goes on after a failure; exit code 0 when none failed.
set -uo pipefail
if [ $# -lt 2 ]; then sed -n '2,4s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 2; fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=$(cd "$1" && pwd)
mkdir -p "$2"
results=$(cd "$2" && pwd)
shift 2
[ $# -gt 0 ] || set -- look equal turns faults order three
export KVCACHED_LIBRARY="${KVCACHED_LIBRARY:-$bin/libkvcached.so}" PYTHONPATH="$here/../../python" PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
export HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=warning
host=$bin/Kvcached.Host
failed=0
for part in "$@"; do
  echo "== $part, $(date +%T)"
  case $part in
    look)
      folder=$(python3 -c 'import os, transformers; print(os.path.dirname(transformers.__file__))')
      tar czf "$results/continuous_batching.tgz" -C "$folder/generation" continuous_batching
      timeout 60 python3 -m kvcached_client.integrations.transformers ;;
    equal) timeout 240 python3 "$here/equal.py" --host "$host" --json "$results/transformers-equal.json" ;;
    turns) timeout 240 python3 "$here/take_turns.py" --host "$host" --json "$results/transformers-turns.json" ;;
    faults) timeout 500 python3 "$here/../../tests/gpu/transformers_faults.py" --host "$host" --json "$results/transformers-faults.json" ;;
    order) timeout 240 python3 "$here/../../tests/gpu/transformers_faults.py" --host "$host" --only engine_before_host --json "$results/transformers-order.json" ;;
    three) timeout 480 python3 "$here/three_models.py" --host "$host" --json "$results/transformers-three.json" ;;
    tp) timeout 420 python3 "$here/tensor_parallel.py" --host "$host" --json "$results/transformers-tp.json" ;;  # needs two GPUs
    *) echo "there is no part '$part'" >&2; false ;;
  esac || { echo "== $part failed with $?"; failed=1; }
done
exit $failed

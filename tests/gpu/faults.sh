#!/usr/bin/env bash
# Driver calls that fail on one of two ranks, on real GPUs: each step that a map and an unmap make, in the hosts and in the workers, and memory that runs out.
#   tests/gpu/faults.sh [--backend host] HOST PROBE...    HOST: the program Kvcached.Host; PROBE: a program for engine processes, with its arguments
# In a folder that ./publish.sh made: tests/gpu/faults.sh DIR/Kvcached.Host DIR/kvcached-replay engine-process
# Needs Python 3.8, and two GPUs with nvidia-smi, unless --backend host takes main memory. Ends in a line "N passed, N failed".
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ $# -lt 2 ]; then sed -n '2,5s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 2; fi
exec python3 "$here/faults.py" "$@"

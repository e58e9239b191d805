#!/usr/bin/env bash
# Runs the CUDA samples on the GPUs of this machine: a host per GPU, then one engine over all of them, one over the last alone, and two on the first.
#   samples/python/on_gpus.sh HOST LIBRARY    HOST: the program Kvcached.Host; LIBRARY: libkvcached.so (./build-native.sh makes it)
# Needs Python with PyTorch, and nvidia-smi. Prints what the hosts themselves hold on the GPUs; exit code 0 when every block was right.
set -euo pipefail
if [ $# -ne 2 ]; then sed -n '2,4s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 2; fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
host=$1
export KVCACHED_LIBRARY=$2 PYTHONPATH="$here/../../python"
run=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$run"' EXIT

mapfile -t gpus < <(nvidia-smi --query-gpu=uuid --format=csv,noheader)
used() { nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits | tr '\n' ' '; }
echo "GPU memory in use before, MiB: $(used)"
seed=() sockets=()
for i in "${!gpus[@]}"; do
  "$host" --gpu "${gpus[i]}" --backend cuda --memory 24GiB --hosts "${#gpus[@]}" --run-dir "$run/run" \
    --port 0 --management-port 0 "${seed[@]}" >"$run/ready-$i" 2>"$run/log-$i" &
  for _ in $(seq 300); do [ -s "$run/ready-$i" ] && break; sleep 0.1; done
  ready=$(cat "$run/ready-$i")
  [ -n "$ready" ] || { echo "the host of ${gpus[i]} did not start:"; tail -5 "$run/log-$i"; exit 1; }
  sockets+=("$(python3 -c 'import json,sys; print(json.loads(sys.argv[1])["socket"])' "$ready")")
  [ "$i" -gt 0 ] || seed=(--seed "127.0.0.1:$(python3 -c 'import json,sys; print(json.loads(sys.argv[1])["port"])' "$ready")")
done
echo "GPU memory in use with idle hosts, MiB: $(used)"

python3 "$here/run_cuda.py" --sockets "${sockets[@]}" --gpus "${gpus[@]}"
echo "GPU memory in use after the engine over all GPUs, MiB: $(used)"
# The devices in another order: the UUID says which is meant.
CUDA_VISIBLE_DEVICES=$(printf '%s\n' "${gpus[@]}" | tac | paste -sd,) \
  python3 "$here/run_cuda.py" --pool last --sockets "${sockets[-1]}" --gpus "${gpus[-1]}"
echo "GPU memory in use after the engine over the last GPU, MiB: $(used)"
python3 "$here/handover.py" --socket "${sockets[0]}" --gpu "${gpus[0]}"
python3 "$here/../../python/bench/alloc_free.py" --socket "${sockets[0]}" --gpu "${gpus[0]}"

#!/usr/bin/env bash
# Runs the Python package's tests with the oldest and the newest Python from 3.9 on that are installed, and with one that has NumPy, and prints
# "PASSED FAILED SKIPPED" as its last line. KVCACHED_PYTHONS names the interpreters instead, separated by spaces; all takes every one.
# With the last of them, those tests that need a host run once more against two real ones; of what they skip there, the first run has tried all.
# Needs artifacts/native (./build-native.sh), the test host and the host (a build of the solution).
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
find_pythons() {
  local candidate
  for candidate in python3 python3.{9..19} /usr/bin/python3 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/*/bin/python3; do
    candidate=$(command -v "$candidate") || continue
    "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null || continue
    "$candidate" -c 'import importlib.util as u, sys; print("%d.%d" % sys.version_info[:2], "numpy" if u.find_spec("numpy") else "-", sys.executable)'
  done | sort -V -u -k1,2
}

choose() {
  if [ "${KVCACHED_PYTHONS:-}" = all ]; then find_pythons | awk '{print $3}'; return; fi
  find_pythons | awk '{ all[NR] = $3; if ($2 == "numpy") with = $3 } END { print all[1]; if (NR > 1) print all[NR]; if (with) print with }' | awk '!seen[$0]++'
}

# run PYTHON MODULE: sets p, f and s, and shows the end of what failed.
run() {
  local log result
  log=$(mktemp)
  result=$(cd "$root/python" && timeout 600 "$1" -B -m "$2" 2>"$log" | tail -n 1)
  if [[ $result =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped$ ]]; then
    p=${BASH_REMATCH[1]} f=${BASH_REMATCH[2]} s=${BASH_REMATCH[3]}
  else
    p=0 f=1 s=0
  fi
  if [ "$f" -gt 0 ]; then tail -n 60 "$log"; fi
  rm -f "$log"
}

passed=0 failed=0 skipped=0
pythons=${KVCACHED_PYTHONS:-all}
if [ "$pythons" = all ]; then pythons=$(choose); fi
for python in $pythons; do
  run "$python" tests.run
  echo "   $("$python" --version 2>&1): $p passed, $f failed, $s skipped"
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  last=$python
done
if [ -n "${last:-}" ]; then
  run "$last" tests.real
  echo "   $("$last" --version 2>&1), real hosts: $p passed, $f failed"
  passed=$((passed + p)) failed=$((failed + f))
fi
if [ "$passed" -eq 0 ] && [ "$failed" -eq 0 ]; then echo "   no Python from 3.9 on is installed"; fi
echo "$passed $failed $skipped"

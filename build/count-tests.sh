#!/usr/bin/env bash
# Prints "PASSED FAILED SKIPPED" of a test result file; zeros when there is none.
set -euo pipefail
counters=$(grep -o '<Counters [^>]*>' "$1" 2>/dev/null | head -n 1 || true)
value() { sed -n "s/.* $1=\"\([0-9]*\)\".*/\1/p" <<<"$counters"; }
total=$(value total)
passed=$(value passed)
executed=$(value executed)
echo "${passed:-0} $((${executed:-0} - ${passed:-0})) $((${total:-0} - ${executed:-0}))"

#!/usr/bin/env bash
# Builds the Python package as a wheel with libkvcached.so inside; it installs and runs without compiler and .NET:
#   ./build-wheel.sh [DIR]        default dist
# Needs what ./build-native.sh needs, and Python from 3.9 on (its standard library alone).
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
case "${1:-}" in
  --help | -h) sed -n '2,4s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
  -*) echo "build-wheel.sh: unknown option '$1'; see ./build-wheel.sh --help" >&2; exit 2 ;;
esac
command -v python3 >/dev/null || { echo "Python is missing: install the package python3 and try again." >&2; exit 3; }
"$root/build-native.sh" "$root/artifacts/native"
mkdir -p "${1:-$root/dist}"
exec python3 -B "$root/python/make_wheel.py" "$root/artifacts/native/libkvcached.so" "$(cd "${1:-$root/dist}" && pwd)"

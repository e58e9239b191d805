#!/usr/bin/env bash
# Makes sure of what links a native library, or says exactly what to install.
set -euo pipefail

can_link() {
  local compiler=$1 folder
  folder=$(mktemp -d)
  echo 'int main(void) { return 0; }' >"$folder/a.c"
  "$compiler" -o "$folder/a" "$folder/a.c" >/dev/null 2>&1 && command -v objcopy >/dev/null 2>&1
  local code=$?
  rm -rf "$folder"
  return $code
}

for compiler in clang gcc; do
  if command -v "$compiler" >/dev/null 2>&1 && can_link "$compiler"; then
    echo "$compiler"
    exit 0
  fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "Installing the packages clang and binutils..." >&2
  apt-get update >&2 && apt-get install -y clang binutils >&2
  can_link clang && echo clang && exit 0
fi
echo "A C compiler is missing: install the packages clang (or gcc with libc6-dev) and binutils, and try again." >&2
exit 3

#!/usr/bin/env bash
# Builds libkvcached.so, the library for engines in Python, C and others, and puts it with its header into one folder:
#   ./build-native.sh [DIR]       default artifacts/native
# Needs the .NET SDK 10, clang (or gcc with libc6-dev) and binutils. What runs it needs none of them.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
case "${1:-}" in
  --help | -h) sed -n '2,4s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
  -*) echo "build-native.sh: unknown option '$1'; see ./build-native.sh --help" >&2; exit 2 ;;
esac
"$root/build/need-dotnet.sh"
compiler=$("$root/build/need-native.sh" | tail -n 1)

mkdir -p "${1:-$root/artifacts/native}"
target=$(cd "${1:-$root/artifacts/native}" && pwd)
staging="$root/artifacts/staging/native"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1 MSBUILDDISABLENODEREUSE=1
if ! dotnet publish "$root/src/Kvcached.Client.Native/Kvcached.Client.Native.csproj" --configuration Release --runtime linux-x64 \
  --property:KvcachedNative=true --property:CppCompilerAndLinker="$compiler" --property:ShimCompiler="$compiler" \
  --property:ArtifactsPath="$root/artifacts/native-build" --output "$staging" --nologo --verbosity quiet >"$log" 2>&1; then
  { grep -E 'error|warn|undefined' "$log" || cat "$log"; } | sort -u | head -n 30 >&2
  echo "libkvcached.so did not build." >&2
  exit 1
fi
cp "$staging/libkvcached.so" "$root/src/Kvcached.Client.Native/kvcached.h" "$target/"
du -k "$target/libkvcached.so" | cut -f1 | sed "s|\$| KiB: $target/libkvcached.so, and kvcached.h beside it|"

#!/usr/bin/env bash
# Publishes every program into one folder that runs on a machine without .NET:
#   ./publish.sh DIR [RID]        RID is the runtime to publish for; default linux-x64
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ $# -lt 1 ] || [ "$1" = --help ]; then
  sed -n '2,3s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
  exit $([ "${1:-}" = --help ] && echo 0 || echo 2)
fi
if ! command -v dotnet >/dev/null 2>&1; then
  echo "publish.sh: the .NET SDK 10 is missing; install it (package dotnet-sdk-10.0) and try again." >&2
  exit 3
fi

mkdir -p "$1"
target=$(cd "$1" && pwd)
rid=${2:-linux-x64}
for project in \
  src/Host/Host.csproj \
  src/Kvcached.Copier/Kvcached.Copier.csproj \
  src/Kvcached.Cli/Kvcached.Cli.csproj \
  samples/TraceReplay/TraceReplay.csproj \
  tests/Kvcached.Gpu.DeviceCheck/Kvcached.Gpu.DeviceCheck.csproj; do
  dotnet publish "$root/$project" --configuration Release --runtime "$rid" --self-contained true \
    --property:DebugType=none --nologo --verbosity quiet --output "$target"
done
mkdir -p "$target/traces"
cp "$root"/samples/traces/* "$target/traces/"
du -sh "$target" | cut -f1 | sed "s|^|published to $target: |"

#!/usr/bin/env bash
# Publishes every program into one folder that runs on a machine without .NET:
#   ./publish.sh DIR [RID]        RID is the runtime to publish for; default linux-x64
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ $# -lt 1 ] || [ "$1" = --help ]; then
  sed -n '2,3s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
  exit $([ "${1:-}" = --help ] && echo 0 || echo 2)
fi
"$root/build/need-dotnet.sh"

mkdir -p "$1"
target=$(cd "$1" && pwd)
"$root/build/publish-into.sh" "$target" \
  "tests/Kvcached.Gpu.DeviceCheck/Kvcached.Gpu.DeviceCheck.csproj src/Kvcached.Copier/Kvcached.Copier.csproj src/Kvcached.Cli/Kvcached.Cli.csproj
   samples/TraceReplay/TraceReplay.csproj src/Kvcached.Router/Kvcached.Router.csproj src/Host/Host.csproj" \
  --runtime "${2:-linux-x64}" --self-contained true --property:PublishReadyToRun=true
mkdir -p "$target/traces"
cp "$root"/samples/traces/* "$target/traces/"
du -sh "$target" | cut -f1 | sed "s|^|published to $target: |"

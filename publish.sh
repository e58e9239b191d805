#!/usr/bin/env bash
# Publishes every program into one folder that runs on a machine without .NET:
#   ./publish.sh DIR [RID]            RID is the runtime to publish for; default linux-x64
#   ./publish.sh --kvctl DIR [RID]    kvctl alone, as a single file
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
usage() { sed -n '2,4s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }
kvctl_only=
case "${1:-}" in
  --help | -h) usage; exit 0 ;;
  --kvctl) kvctl_only=1; shift ;;
  -*) echo "publish.sh: unknown option '$1'; see ./publish.sh --help" >&2; exit 2 ;;
esac
if [ $# -lt 1 ] || [ $# -gt 2 ]; then
  usage >&2
  exit 2
fi
"$root/build/need-dotnet.sh"

mkdir -p "$1"
target=$(cd "$1" && pwd)

if [ -n "$kvctl_only" ]; then
  # Compressed: it starts a few hundredths of a second later, and is half as large.
  "$root/build/publish-into.sh" "$target" src/Kvcached.Cli/Kvcached.Cli.csproj --runtime "${2:-linux-x64}" --self-contained true \
    --property:PublishSingleFile=true --property:EnableCompressionInSingleFile=true --property:GenerateDocumentationFile=false
  du -m "$target/kvctl" | cut -f1 | sed "s|\$| MiB: $target/kvctl|"
  exit 0
fi

"$root/build/publish-into.sh" "$target" \
  "tests/Kvcached.Gpu.DeviceCheck/Kvcached.Gpu.DeviceCheck.csproj src/Kvcached.Copier/Kvcached.Copier.csproj src/Kvcached.Cli/Kvcached.Cli.csproj
   samples/TraceReplay/TraceReplay.csproj src/Kvcached.Router/Kvcached.Router.csproj src/Host/Host.csproj" \
  --runtime "${2:-linux-x64}" --self-contained true --property:PublishReadyToRun=true
mkdir -p "$target/traces"
cp "$root"/samples/traces/* "$target/traces/"
du -sh "$target" | cut -f1 | sed "s|^|published to $target: |"

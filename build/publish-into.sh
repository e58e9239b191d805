#!/usr/bin/env bash
# Publishes projects into one folder: publish-into.sh TARGET "PROJECT..." [dotnet publish option...]
# Each goes to a folder of its own first: publishing straight into a shared one, each project would delete what it once
# put there and no longer needs, though another project does. The last project's files win.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=$1 projects=$2
shift 2
staging="$root/artifacts/staging/$(basename "$target")"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
mkdir -p "$target"
for project in $projects; do
  name=$(basename "$project" .csproj)
  if ! dotnet publish "$root/$project" --configuration Release --property:DebugType=none --nologo --verbosity quiet \
    --output "$staging/$name" "$@" >"$log" 2>&1; then
    { grep -E 'error|warn' "$log" || cat "$log"; } | sort -u | head -n 20 >&2
    echo "$project did not build." >&2
    exit 1
  fi
  cp -r "$staging/$name/." "$target/"
done

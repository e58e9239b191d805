#!/usr/bin/env bash
# Makes sure of a .NET SDK that can build this, or says exactly what to install.
set -euo pipefail

major() { dotnet --list-sdks 2>/dev/null | sed 's/\..*//' | sort -n | tail -n 1; }

if command -v dotnet >/dev/null 2>&1 && [ "$(major)" -ge 10 ] 2>/dev/null; then
  exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 && apt-cache show dotnet-sdk-10.0 >/dev/null 2>&1; then
  echo "Installing the package dotnet-sdk-10.0..." >&2
  apt-get install -y dotnet-sdk-10.0 >&2
  exit 0
fi
echo "The .NET SDK 10 is missing: install the package dotnet-sdk-10.0 (https://dotnet.microsoft.com/download) and try again." >&2
exit 3

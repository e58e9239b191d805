#!/usr/bin/env bash
# Builds everything and runs all tests, ending in a line "N passed, N failed".
#   ./test.sh            everything that fits every change (under 15 minutes on 2 cores)
#   ./test.sh --long     also what is too slow for that
#   ./test.sh NAME...    only the test projects whose names contain one of these; Python is the Python package
# Needs the .NET SDK 10 or later, and clang or gcc for the native library; NuGet packages are restored by the build.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$root"

filter='Category!=Long'
hang=5m
names=()
for argument in "$@"; do
  case "$argument" in
    --long)
      filter=''
      export KVCACHED_SCHEDULES=100000 # random schedules of the simulated domain; 5,000 otherwise
      hang=30m
      ;;
    --help | -h) sed -n '2,6s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    -*) echo "test.sh: unknown option '$argument'; see ./test.sh --help" >&2; exit 2 ;;
    *) names+=("$argument") ;;
  esac
done

build/need-dotnet.sh

# Most processes of the tests live a few seconds: gathering profiles for code that will run longer costs them a tenth of their time.
export DOTNET_TieredPGO=0
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1 MSBUILDDISABLENODEREUSE=1
echo "Building (Release, warnings are errors)..."
if ! dotnet build Kvcached.sln --configuration Release --nologo --verbosity quiet; then
  echo "The build failed."
  echo "0 passed, 1 failed"
  exit 1
fi

wanted() {
  [ ${#names[@]} -eq 0 ] && return 0
  for part in "${names[@]}"; do [[ $1 == *"$part"* ]] && return 0; done
  return 1
}

if wanted Kvcached.Client.Native.Tests || wanted Python; then
  echo "Building libkvcached.so..."
  if ! ./build-native.sh >/dev/null; then
    echo "0 passed, 1 failed"
    exit 1
  fi
fi

results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT

# One project; its log is told only when a test failed, and at once, so that what runs beside it doesn't mix with it.
run_project() {
  local name=$1 started=$SECONDS log="$results/$1.log" p f s
  if [ "$name" = Python ]; then
    build/python-tests.sh >"$log" 2>&1 || true
    read -r p f s < <(tail -n 1 "$log")
    sed '$d' "$log" >"$results/$name.told"
  else
    # A run that hangs is a failure with a name, not a build that never ends.
    local arguments=(test "tests/$name/$name.csproj" --configuration Release --no-build --nologo --logger "trx;LogFileName=$results/$name.trx" --blame-hang-timeout "$hang")
    [ -n "$filter" ] && arguments+=(--filter "$filter")
    dotnet "${arguments[@]}" >"$log" 2>&1 || true
    read -r p f s < <(build/count-tests.sh "$results/$name.trx")
    if [ "$f" -gt 0 ]; then grep -vE '^\s*$|^(Test run for|VSTest|Starting test|A total of)' "$log" | head -n 120; fi >"$results/$name.told"
    if [ "$((p + f + s))" -eq 0 ]; then { echo "$name ran no test:"; tail -n 40 "$log"; } >"$results/$name.told"; f=1; fi
  fi
  echo "$p $f $s" >"$results/$name.count"
  { echo "== $name"; cat "$results/$name.told"; echo "   $p passed, $f failed, $s skipped in $((SECONDS - started)) s"; } >"$results/$name.said"
  cat "$results/$name.said"
}

run_lane() {
  local name
  for name in "$@"; do
    if wanted "$name"; then run_project "$name"; fi
  done
}

# Those that start many processes come one after the other, the rest beside them: more at a time leave two processors no faster, and timers late.
busy=(Host.Tests Kvcached.Engine.Tests Kvcached.Browser.Tests)
others=()
for project in tests/*/*.Tests.csproj Python; do
  name=$(basename "$project" .csproj)
  [[ " ${busy[*]} " == *" $name "* ]] || others+=("$name")
done
run_lane "${busy[@]}" &
{ renice -n 5 -p "$BASHPID" >/dev/null; run_lane "${others[@]}"; } & # leases and deadlines of the busy ones are real
wait

passed=0 failed=0 skipped=0
for count in "$results"/*.count; do
  [ -f "$count" ] || continue
  read -r p f s <"$count"
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
done

if [ "$skipped" -gt 0 ]; then
  echo "Skipped tests need a GPU (those of Python: NumPy or PyTorch; those of the page: Chromium); on a machine with one and without .NET, ./publish.sh DIR and DIR/Kvcached.Gpu.DeviceCheck run the same checks."
  echo "$passed passed, $failed failed, $skipped skipped"
else
  echo "$passed passed, $failed failed"
fi
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]

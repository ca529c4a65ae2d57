#!/usr/bin/env bash
# Sets everything up on a fresh Debian 12 and runs all tests: format and static checks, the pure libraries
# under ASan+UBSan and under TSan, the C++ tests, the Python tests. Ends with "N passed, N failed".
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

results=build/test-results
rm -rf "$results"
mkdir -p "$results"
failed_steps=()

# A step that dies without a report (a build error, a crash of the runner) counts as one failure.
step() {
  local name="$1"
  shift
  say "$name"
  if ! "$@"; then failed_steps+=("$name"); fi
}

check_format() {
  git ls-files '*.cc' '*.h' | xargs clang-format --dry-run -Werror
}

check_tidy() {
  local sources
  sources="$(git ls-files 'src/base/*.cc' 'src/plan/*.cc' 'src/stage/*.cc' 'src/feed/*.cc' 'src/journal/*.cc' \
    'src/ledger/*.cc' 'src/record/*.cc' 'src/records_tool/*.cc' \
    src/master/{coordinator,durable_log,entry,holds,job,pace,state}.cc \
    src/trainer/{checkpoint,directory,exported_job,reach,settings}.cc src/trainer/shared/rounds.cc | grep -v -e _test.cc -e _benchmark.cc -e _fuzz.cc -e simulation)"
  printf '%s\n' $sources | xargs -P "$jobs" -n 4 clang-tidy -quiet -p build/asan --warnings-as-errors='*' \
    2>/dev/null
}

sanitized() {
  local preset="$1"
  cmake --preset "$preset" -DCMAKE_MESSAGE_LOG_LEVEL=WARNING
  cmake --build "build/$preset" --parallel "$jobs"
  ctest --test-dir "build/$preset" --output-on-failure --no-tests=error -j "$jobs" \
    --output-junit "$root/$results/$preset.xml" | tail -n 15
}

cpp_tests() {
  ctest --test-dir build/release --output-on-failure --no-tests=error -j "$jobs" \
    --output-junit "$root/$results/release.xml" | tail -n 15
}

python_tests() {
  .venv/bin/python scripts/run_python_tests.py "$results" "$jobs" tests/python/test_*.py
}

set_up clang-format clang-tidy
step "format" check_format
step "pure libraries under ASan and UBSan" sanitized asan
step "pure libraries under TSan" sanitized tsan
step "static checks" check_tidy
step "C++ tests" cpp_tests
step "Python tests" python_tests

.venv/bin/python scripts/sum_results.py "$results" "${failed_steps[@]}"

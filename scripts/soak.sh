#!/usr/bin/env bash
# Sets everything up and runs what is tried for long: storms of kills, churn, damage, fuzzers (about an hour on
# 2 cores). Results: tests/soak/RESULTS.md. soak.sh --list says what there is; soak.sh NAME ... runs only those.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

set_up clang libclang-rt-14-dev
say "fuzzers (build/fuzz)"
cmake --preset fuzz -DCMAKE_MESSAGE_LOG_LEVEL=WARNING
cmake --build build/fuzz --target headrace_fuzzers --parallel "$jobs"
say "campaigns"
.venv/bin/python tests/soak/soak.py "$@"

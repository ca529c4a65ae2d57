#!/usr/bin/env bash
# Sets everything up on a fresh Debian 12 and runs the main job: DLRM on Criteo-format text, unstaged and
# staged, with steps/s of both, the limit that the parts of a step set, and the losses compared.
#
#   scripts/demo.sh [--data PATH ...] [options of examples/dlrm/train.py; --help lists them]
#   scripts/demo.sh --adult [options of examples/adult/train.py]    wide and deep on UCI Adult
#   scripts/demo.sh --elastic [options of examples/elastic/demo.py] two workers and a parameter server; a worker is killed, another joins
#   scripts/demo.sh --elastic --namespaces                          the same on three machines (network namespaces), with TLS
#
# Exit status: 0 done and the losses agree, 1 failed, 2 usage.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

example=examples/dlrm/train.py
if [ "${1:-}" = "--adult" ]; then
  example=examples/adult/train.py
  shift
fi
if [ "${1:-}" = "--elastic" ]; then
  example=examples/elastic/demo.py
  shift
fi
case " $* " in
  *" --help "* | *" -h "*) sed -n '2,/^set -e/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" ;;
esac
set_up
say "$example $*"
exec .venv/bin/python "$example" "$@"

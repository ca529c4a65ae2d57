# Sets up what building, testing and running need; sourced by demo.sh and test.sh.
#
# System packages (Debian), the Python environment .venv, the C++ build in build/release, and the package
# installed into .venv. Safe to run again: each step is skipped or incremental when its result is there.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$root"
jobs="${HEADRACE_JOBS:-$(nproc)}"

say() { printf '\n== %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

install_system_packages() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
  done
  [ "${#missing[@]}" -eq 0 ] && return
  say "system packages: ${missing[*]}"
  local sudo=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "run as root, or install these packages first: ${missing[*]}"
    sudo=(sudo)
  fi
  "${sudo[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq "${missing[@]}" >/dev/null
}

# A pip install is skipped when the same requirements were installed before.
install_python_packages() {
  local python=python3 stamp=.venv/.headrace-requirements sum
  if [ ! -x .venv/bin/python ]; then
    say "Python environment: .venv"
    "$python" -m venv .venv
  fi
  sum="$(cat requirements/*.txt | sha256sum)"
  [ "$(cat "$stamp" 2>/dev/null)" = "$sum" ] && return
  say "Python packages (TensorFlow among them: this takes a minute)"
  .venv/bin/python -m pip install -q --disable-pip-version-check \
    -r requirements/runtime.txt -r requirements/build.txt -r requirements/test.txt
  printf '%s\n' "$sum" >"$stamp"
}

# One build for everything: the wheel that is installed into .venv comes from build/release too.
build_and_install() {
  say "build (build/release) and install into .venv"
  HEADRACE_PYTHON="$root/.venv/bin/python" CMAKE_BUILD_PARALLEL_LEVEL="$jobs" \
    .venv/bin/python -m pip install -q --disable-pip-version-check --no-build-isolation --no-deps \
    --force-reinstall -Cbuild-dir=build/release -Ccmake.define.HEADRACE_BUILD_TESTS=ON \
    -Ccmake.define.HEADRACE_BUILD_BENCHMARKS=ON .
}

set_up() {
  install_system_packages build-essential cmake ninja-build git python3 python3-venv \
    nlohmann-json3-dev libgtest-dev libgmock-dev libbenchmark-dev \
    libcli11-dev libsnappy-dev libsqlite3-dev zlib1g-dev \
    libgrpc++-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc prometheus-cpp-dev libspdlog-dev openssl "$@"
  install_python_packages
  build_and_install
}

"""Where processes that benchmarks start find Headrace, the benchmarks and the models."""

import os
import pathlib
import subprocess
import sys

PROJECT = pathlib.Path(__file__).resolve().parents[1]
MODELS = PROJECT / "models"
# The tests' ops, of a release build: among them one that waits.
OPS = str(PROJECT / "build/release/src/tensorflow/testing/libheadrace_testing.so")


class Unfit(RuntimeError):
    """A benchmark that cannot run here, with what to do."""


def require(path):
    """Raises Unfit where a part of the release build is not there."""
    if not pathlib.Path(path).exists():
        raise Unfit(f"{path} is not there: build it (cmake --preset release, cmake --build build/release)")


def paths():
    """Folders of this checkout, and of the headrace package that runs, for PYTHONPATH."""
    import headrace

    return [str(PROJECT), str(pathlib.Path(headrace.__file__).resolve().parents[1])]


def environment():
    """os.environ for a Python process that imports `bench`, `examples` and `headrace`."""
    known = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    ours = [path for path in paths() if path not in known]
    return os.environ | {"PYTHONPATH": os.pathsep.join(ours + known)}


def run(*arguments):
    """Standard output of `python ARGUMENTS...`. Errors: RuntimeError with the end of its standard error."""
    command = [sys.executable, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, env=environment())
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with status {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout

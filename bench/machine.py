"""What a figure must say of where it came from."""

import datetime
import os
import pathlib
import platform
import subprocess
import sys

from bench.environment import PROJECT


def _first(path, key):
    for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return "unknown"


def _git(*arguments):
    done = subprocess.run(["git", *arguments], cwd=PROJECT, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def _headrace():
    try:
        import headrace
    except ImportError:
        return None
    return headrace.__version__


def header(command):
    """Machine, versions, commit and command, as a dict for JSON."""
    import numpy
    import tensorflow as tf

    status = _git("status", "--porcelain", "--untracked-files=no")
    return {
        "command": command,
        "started": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD") or "unknown",
        "uncommitted_changes": bool(status) if status is not None else None,
        "cpu": _first("/proc/cpuinfo", "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "memory": _first("/proc/meminfo", "MemTotal"),
        "load_average": list(os.getloadavg()),
        "system": platform.platform(),
        "python": sys.version.split()[0],
        "tensorflow": tf.__version__,
        "numpy": numpy.__version__,
        "headrace": _headrace(),
    }

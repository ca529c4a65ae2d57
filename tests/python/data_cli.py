"""The command `headrace data`, as the tests of data run it."""

import json
import os
import pathlib
import struct
import subprocess
import sys

import pytest

SHARED = pathlib.Path(__file__).resolve().parents[3] / "shared" / "data"

needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason=f"the samples of real data are not there: {SHARED}"
)


class Done:
    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    @property
    def json(self):
        return json.loads(self.out)


def environment():
    """In which the package is this checkout's."""
    root = pathlib.Path(__file__).resolve().parents[2] / "python"
    path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "COLUMNS": "200", "PYTHONPATH": path}


def data(*arguments, cwd=None) -> Done:
    """Runs `headrace data ARGUMENTS...`."""
    command = [sys.executable, "-m", "headrace", "data", *map(str, arguments)]
    return Done(
        subprocess.run(
            command, capture_output=True, text=True, cwd=cwd, env=environment(), timeout=100
        )
    )


def done(*arguments, cwd=None) -> Done:
    """The same, which must succeed."""
    result = data(*arguments, cwd=cwd)
    assert result.code == 0, result.out + result.err
    return result


def tfrecords(path) -> list[bytes]:
    """The records of a TFRecord file, read here: it has 8 bytes of length and two checksums."""
    contents = pathlib.Path(path).read_bytes()
    records, at = [], 0
    while at < len(contents):
        (length,) = struct.unpack_from("<Q", contents, at)
        records.append(contents[at + 12 : at + 12 + length])
        at += 16 + length
    return records

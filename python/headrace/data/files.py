"""Which record files there are, and how many records each has; without TensorFlow."""

import json
import os
import subprocess
from typing import NamedTuple

from headrace import programs
from headrace.errors import DataError

PROGRAM = "headrace-records"
REMOTE_PROGRAM = "headrace-remote-records"  # the same, with TensorFlow's file systems


class FileSpec(NamedTuple):
    """A record file. `path` is absolute; `format` is recordio, tfrecord, text or csv; `gzip`: the
    whole file is packed, so that a range that does not begin at 0 unpacks all before it."""

    path: str
    records: int
    format: str
    bytes: int
    gzip: bool


def resolve(
    paths,
    *,
    index: str = "write",
    index_dir: str | None = None,
    read_as: str | None = None,
    delimiter: str | None = None,
    allow_empty: bool = False,
    say=lambda line: None,
) -> list[FileSpec]:
    """The record files that `paths` name: files, folders (all files in them and below, sorted by
    path) and patterns, in the order given.

    index: write: make missing index files; read: only use those that fit; memory: neither.
    index_dir: folder of the index files; default: beside the data.
    read_as, delimiter: format of the files, default: by content; between fields of CSV.
    allow_empty: files without records are no error.
    say: takes a line for people, where an index was made, or none can be kept.
    Remote paths (scheme://) are read through TensorFlow's file systems: gs:// with stock TensorFlow.
    Errors: DataError, with all that is wrong: nothing there, damaged, no record file, a scheme that
        TensorFlow does not know, a file named twice.
    """
    arguments = ["count", "--format", "json", "--index", index]
    for option, value in (
        ("--index_dir", index_dir),
        ("--read_as", read_as),
        ("--delimiter", delimiter),
    ):
        if value is not None:
            arguments += [option, value]
    if allow_empty:
        arguments.append("--allow_empty")
    if isinstance(paths, (str, bytes)) or not paths:
        raise DataError(f"paths must be a list of paths, not {paths!r}")
    paths = list(map(str, paths))
    done = subprocess.run(
        [program_for(paths), *arguments, "--", *paths],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment(),
    )
    if done.returncode != 0:
        said = complaints(done.stderr, done.returncode)
        # A flag of `headrace data`, which jobs do not have.
        raise DataError(said.replace(", or allow such files with --allow_empty", ""))
    for line in done.stderr.splitlines():
        if line.startswith(f"{PROGRAM}: "):
            say(line.removeprefix(f"{PROGRAM}: "))
    return [FileSpec(**spec) for spec in json.loads(done.stdout)]


def program_for(paths) -> str:
    """The program that reads these files: one that takes longer to start, if any of them is remote."""
    is_remote = any("://" in path for path in paths)
    return programs.path(REMOTE_PROGRAM if is_remote else PROGRAM)


def environment() -> dict:
    """Of these programs: errors are their own, without TensorFlow's notes."""
    return {"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ}


def complaints(stderr: str, returncode: int) -> str:
    """What headrace-records said, without its name."""
    lines = [line.removeprefix(f"{PROGRAM}: ") for line in stderr.splitlines()]
    return "\n".join(lines) or f"{PROGRAM} ended with exit code {returncode}"

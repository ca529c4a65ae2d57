"""Record files written by headrace-records, which knows the formats: complete or not at all."""

import dataclasses
import json
import struct
import subprocess

import numpy as np

from headrace import programs
from headrace.data import files
from headrace.errors import DataError

_LENGTH = struct.Struct("<I")
_END = _LENGTH.pack(0xFFFFFFFF)


@dataclasses.dataclass(frozen=True)
class Output:
    """What is written where.

    path: a file; with records_per_file a folder of part-00000.EXTENSION and so on.
    to: recordio, tfrecord, text or csv.
    compressor: of RecordIO's chunks: none, snappy (the default) or gzip.
    overwrite: replace the file, or a folder that was written this way.
    shuffle_seed: shuffle all records; same seed and records, same order.
    """

    path: str
    to: str = "recordio"
    compressor: str | None = None
    records_per_file: int | None = None
    overwrite: bool = False
    shuffle_seed: int | None = None

    def arguments(self) -> list[str]:
        """As headrace-records takes them, without the path."""
        given = ["--to", self.to]
        for option, value in (
            ("--compressor", self.compressor),
            ("--records_per_file", self.records_per_file),
            ("--shuffle_seed", self.shuffle_seed),
        ):
            if value is not None:
                given += [option, str(value)]
        return given + (["--overwrite"] if self.overwrite else [])


class Writer:
    """Writes an Output. A context manager: the output appears at the end of the `with` block, and
    not at all if an exception leaves it. Then `written` is {"records": n, "files": [{"path",
    "records"}]}.

    Thread safety: one thread at a time.
    Errors: DataError.
    """

    def __init__(self, output: Output):
        self.written = None
        self._process = subprocess.Popen(
            [
                programs.path(files.PROGRAM),
                "write",
                *output.arguments(),
                *("--format", "json"),
                *("--", output.path),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=1 << 20,
        )

    def write(self, record: bytes):
        self._send(_LENGTH.pack(len(record)))
        self._send(record)

    def write_rows(self, rows: np.ndarray):
        """Each row of uint8 is a record."""
        framed = np.empty((rows.shape[0], _LENGTH.size + rows.shape[1]), np.uint8)
        framed[:, : _LENGTH.size] = np.frombuffer(_LENGTH.pack(rows.shape[1]), np.uint8)
        framed[:, _LENGTH.size :] = rows
        self._send(framed)

    def _send(self, data):
        try:
            self._process.stdin.write(data)
        except BrokenPipeError:
            self._finish()
            raise

    def _finish(self):
        """Waits for the program; raises what it said."""
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass
        out = self._process.stdout.read()
        said = self._process.stderr.read().decode(errors="replace")
        if self._process.wait() != 0:
            raise DataError(files.complaints(said, self._process.returncode))
        self.written = json.loads(out)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self._send(_END)
                self._finish()
        finally:
            if self._process.returncode is None:  # without the end mark, nothing is written
                try:
                    self._process.stdin.close()
                except BrokenPipeError:
                    pass
                self._process.wait()
            self._process.stdout.close()
            self._process.stderr.close()

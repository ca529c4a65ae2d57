"""CIFAR-10's binary batches: a byte with the label, 3,072 with the planes R, G, B of 32 x 32."""

import os

import numpy as np

from headrace.data import convert_paths
from headrace.data.convert_example import encode_images
from headrace.errors import DataError

RECORD_BYTES = 1 + 3 * 32 * 32
NUM_CLASSES = 10
_CHUNK = 1024  # records at a time


class Cifar10:
    """A source of records (see convert.py).

    raw: each record is the 3,073 bytes of the file; else a tf.train.Example of `image`, float32
        [32, 32, 3] from 0 to 255, and `label`, int64 [1].
    """

    labels = None
    left_out = ()

    def __init__(self, paths, raw: bool):
        self._files = convert_paths.find(paths, (".bin",))
        self._raw = raw
        self.total = 0
        for path in self._files:
            records, rest = divmod(os.path.getsize(path), RECORD_BYTES)
            if rest or not records:
                raise DataError(
                    f"{path}: byte {records * RECORD_BYTES}: has {records * RECORD_BYTES + rest} bytes, "
                    f"and no multiple of {RECORD_BYTES} as a batch of CIFAR-10 has: it is cut, or "
                    "something else (CIFAR-100, a Python pickle); download the binary version again"
                )
            self.total += records

    def batches(self):
        for path in self._files:
            with open(path, "rb") as file:
                first = 0
                while data := file.read(_CHUNK * RECORD_BYTES):
                    yield self._records(path, first, data)
                    first += len(data) // RECORD_BYTES

    def _records(self, path, first, data):
        if len(data) % RECORD_BYTES:
            raise DataError(f"{path}: was changed while it was read; start again")
        records = np.frombuffer(data, np.uint8).reshape(-1, RECORD_BYTES)
        labels = records[:, 0]
        if labels.max() >= NUM_CLASSES:
            wrong = int(np.argmax(labels >= NUM_CLASSES))
            raise DataError(
                f"{path}: byte {(first + wrong) * RECORD_BYTES}: record {first + wrong} has the label "
                f"{labels[wrong]}; CIFAR-10 has 0 to {NUM_CLASSES - 1}: is this another file?"
            )
        if self._raw:
            return records
        planes = records[:, 1:].reshape(-1, 3, 32, 32)
        return encode_images(planes.transpose(0, 2, 3, 1), labels)

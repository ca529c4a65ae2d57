"""Record ranges that a dataset of this process reads."""

import tensorflow as tf

from headrace import library
from headrace.errors import RangeError


class RangeQueue:
    """The queue of this process with a name that datasets read. A context manager.

    Thread safety: every method may be called from any thread.
    Errors: RangeError, if the queue is open already, or not open.
    """

    def __init__(self, name: str):
        self.name = name
        self._library = library.load()
        self._check(*self._library.ranges_open(name))

    @staticmethod
    def _check(status, error):
        if status != 0:
            raise RangeError(error)

    def push(self, path: str, file: int, begin: int, end: int):
        """Records [begin, end) of `path`, the job's file number `file`."""
        self._check(*self._library.ranges_push(self.name, path, file, begin, end))

    def flush(self):
        """Ends the iterator that is reading, once it has read what was pushed before."""
        self._check(*self._library.ranges_flush(self.name))

    def finish(self):
        """Nothing follows: iterators end when all is read."""
        self._check(*self._library.ranges_finish(self.name))

    def close(self):
        """Iterators that read it fail with CANCELLED."""
        self._library.ranges_close(self.name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def dataset(queue: str):
    """A tf.data.Dataset of (identity int64, record string) over the ranges of a queue."""
    variant = library.load().ops.headrace_record_ranges_dataset(
        queue, output_types=[tf.int64, tf.string], output_shapes=[[], []]
    )
    return tf.data.experimental.from_variant(
        variant, (tf.TensorSpec([], tf.int64), tf.TensorSpec([], tf.string))
    )

"""Record ranges that a dataset of this process reads."""

import tensorflow as tf

from headrace import library
from headrace.data.named import Named
from headrace.errors import RangeError


class RangeQueue(Named):
    """The queue of this process with a name that datasets read. A context manager; iterators that
    read it fail with CANCELLED once it is closed.

    Thread safety: every method may be called from any thread.
    Errors: RangeError, if the queue is open already, or not open.
    """

    _kind = "ranges"
    _error = RangeError

    def push(self, path: str, file: int, begin: int, end: int):
        """Records [begin, end) of `path`, the job's file number `file`."""
        self._do("push", path, file, begin, end)

    def flush(self):
        """Ends the iterator that is reading, once it has read what was pushed before."""
        self._do("flush")

    def finish(self):
        """Nothing follows: iterators end when all is read."""
        self._do("finish")


def dataset(queue: str, account: str = ""):
    """A tf.data.Dataset of (identity int64, record string) over the ranges of a queue.

    account: name of the account that is told of each record read; "": none is.
    """
    variant = library.load().ops.headrace_record_ranges_dataset(
        queue, account=account, output_types=[tf.int64, tf.string], output_shapes=[[], []]
    )
    return tf.data.experimental.from_variant(
        variant, (tf.TensorSpec([], tf.int64), tf.TensorSpec([], tf.string))
    )

"""Work of a chosen length, for graphs whose every microsecond is known.

Computing is SipHash over strings of 4 KiB (StringToHashBucketStrong): one thread, no memory traffic
to speak of, and a fixed amount of work, so that a core that is shared makes it take longer. (An op
that spun until a time had passed would hide that.) Waiting is the next element of a dataset that
sleeps: no processor time, as a step on an accelerator.
"""

import tensorflow as tf
from tensorflow.python.data.experimental.ops import testing

tf1 = tf.compat.v1

STRING = "x" * 4096
KEY = [0x6865616472616365, 0x62656E6368]


def payload(strings):
    """A constant string tensor [strings] to compute on."""
    return tf.fill([strings], STRING)


def element(strings):
    """(string tensor [strings], initializer): the next element of a source that is read at once."""
    dataset = _plain(tf.data.Dataset.from_tensors(payload(strings)).repeat())
    iterator = tf1.data.make_initializable_iterator(dataset)
    return iterator.get_next(), iterator.initializer


def tensors(count, length=512, elements=-1):
    """(list of int64 tensors [length], initializer): the next element of a source with many parts.

    It has `elements` elements, or no end.
    """
    parts = tuple(tf.fill([length], tf.constant(i, tf.int64)) for i in range(count))
    iterator = tf1.data.make_initializable_iterator(
        _plain(tf.data.Dataset.from_tensors(parts).repeat(elements)))
    return list(iterator.get_next()), iterator.initializer


def compute(strings):
    """int64 [n]: hashes of a string tensor [n]; takes time in proportion to n."""
    return tf.strings.to_hash_bucket_strong(strings, 1 << 30, key=KEY)


def keep(batch):
    """An op that puts every tensor of `batch` into a variable of its own, by reference.

    It needs their values (what only a control edge needed would be optimized away) and, as it
    writes, neither it nor anything behind it can run ahead.
    """
    def kept(index, tensor):
        shape = [size or 0 for size in tensor.shape]  # a size that is not known may change
        zeros = tf.fill(shape, "") if tensor.dtype == tf.string else tf.zeros(shape, tensor.dtype)
        variable = tf.Variable(zeros, shape=tensor.shape, trainable=False, name=f"kept{index}")
        return variable.assign(tensor, read_value=False)

    return tf.group(*(kept(i, tensor) for i, tensor in enumerate(tf.nest.flatten(batch))))


def computing_step(batch, strings):
    """A training part that takes `batch`, then computes on `strings` strings of its own.

    Returns what a step fetches.
    """
    own = tf1.get_variable("own", initializer=payload(strings), use_resource=True, trainable=False)
    with tf.control_dependencies([keep(batch)]):
        return tf.reduce_max(compute(own.read_value()))


def waiting_step(batch, microseconds):
    """A training part that takes `batch`, then waits. Returns what a step fetches."""
    dataset = tf.data.Dataset.from_tensors(tf.constant(0, tf.int64)).repeat()
    iterator = tf1.data.make_one_shot_iterator(_plain(dataset.apply(testing.sleep(microseconds))))
    with tf.control_dependencies([keep(batch)]):
        return iterator.get_next()


def _plain(dataset):
    """Without what tf.data would add by itself: threads and buffers that blur the figures."""
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    return dataset.with_options(options)

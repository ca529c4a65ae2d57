"""Errors of the source and of the body, delivered in their place."""

import numpy as np
import tensorflow as tf

from corpus.case import Dataset, case, iterate, program, times, train

tf1 = tf.compat.v1


@case([{"next", "number"}])
def body_error_in_batch_seven():
    """Six good steps, one that fails at the op which cannot parse, three good ones, the end."""
    texts = ["1", "2", "3", "4", "5", "6", "seven", "8", "9", "10"]
    iterator, x = iterate(Dataset.from_tensor_slices(texts))
    number = tf.strings.to_number(x, tf.int64, name="number")
    return program([iterator], None, script=times([train(number)], 12))


@case([{"next", "neg"}])
def source_error_in_batch_seven():
    """The dataset itself fails; the iterator goes on behind the bad element."""
    values = np.array([1, 2, 3, 4, 5, 6, np.nan, 8, 9, 10], np.float32)
    dataset = Dataset.from_tensor_slices(values).map(
        lambda v: tf.debugging.check_numerics(v, "bad record")
    )
    iterator, x = iterate(dataset)
    return program([iterator], None, script=times([train(tf.negative(x, name="neg"))], 12))


@case([{"next", "neg"}], ahead=False)
def source_that_always_fails():
    dataset = Dataset.from_tensor_slices(tf.fill([4], np.float32(np.nan))).map(
        lambda v: tf.debugging.check_numerics(v, "bad record")
    )
    iterator, x = iterate(dataset)
    return program([iterator], None, script=times([train(tf.negative(x, name="neg"))], 6))


@case([{"next", "neg"}], ahead=False)
def never_initialized():
    """Taking before the initializer ran is the iterator's own error; afterwards all is well."""
    iterator, x = iterate(Dataset.range(4))
    total = train(tf.negative(x, name="neg"))

    def script(steps):
        steps.run(total)
        steps.run(total)
        steps.quiet(iterator.initializer)
        times(total, 6)(steps)

    return program([], None, script=script)


@case([{"next", "number"}])
def two_errors_in_a_row():
    texts = ["1", "x", "y", "4", "", "6"]
    iterator, x = iterate(Dataset.from_tensor_slices(texts))
    number = tf.strings.to_number(x, tf.int64, name="number")
    return program([iterator], None, script=times([train(number)], 9))


@case([{"next", "number", "length"}])
def error_in_a_branch_that_no_step_fetches():
    """number cannot be computed for one element, but these steps fetch only length."""
    texts = ["1", "22", "bad", "4444", "55555"]
    iterator, x = iterate(Dataset.from_tensor_slices(texts))
    number = train(tf.strings.to_number(x, tf.int64, name="number"))
    length = train(tf.strings.length(x, name="length"), "lengths")

    def script(steps):
        for fetch in (length, [number, length], length, length, number, length):
            steps.run(fetch)

    return program([iterator], None, script=script)


@case([{"next", "gathered"}])
def index_out_of_range():
    iterator, x = iterate(Dataset.from_tensor_slices(tf.constant([0, 2, 9, 1, -1, 2], tf.int64)))
    gathered = tf.gather(tf.constant([10, 20, 30]), x, name="gathered")
    return program([iterator], None, script=times([train(gathered)], 8))


@case([{"next", "bytes", "out"}])
def decode_error():
    good, bad = b"\x01\x02\x03\x04", b"\x01\x02\x03"
    iterator, x = iterate(Dataset.from_tensor_slices([good, bad, good, good]))
    numbers = tf.io.decode_raw(x, tf.int32, name="bytes")
    return program([iterator], None, script=times([tf.identity(numbers, name="out")], 6))

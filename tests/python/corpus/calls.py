"""Function calls in session graphs."""

import tensorflow as tf

from corpus.case import Dataset, case, iterate, program, train

tf1 = tf.compat.v1


@case([{"next", "PartitionedCall"}], crossing={"PartitionedCall:0"})
def pure_function():
    iterator, x = iterate(Dataset.range(7))

    @tf.function
    def hashed(v):
        return tf.strings.to_hash_bucket_fast(tf.strings.as_string(v), 50)

    return program([iterator], [train(hashed(x))])


@case([{"next", "neg"}], left_out={"StatefulPartitionedCall/mul": "blocked_input"})
def function_that_reads_a_variable():
    iterator, x = iterate(Dataset.range(7))
    weight = tf1.get_variable(
        "weight",
        shape=[],
        dtype=tf.int64,
        use_resource=True,
        initializer=tf1.constant_initializer(4),
    )

    @tf.function
    def weighted(v):
        return v * weight.read_value()

    return program([iterator], [train(weighted(tf.negative(x, name="neg")))])


@case([{"next", "PartitionedCall"}])
def function_in_a_function():
    iterator, x = iterate(Dataset.range(7))

    @tf.function
    def inner(v):
        return v * 2

    @tf.function
    def outer(v):
        return inner(v) + inner(v + 1)

    return program([iterator], [train(outer(x))])


_CALL = "StatefulPartitionedCall"


@case(
    [{f"{_CALL}/IteratorGetNext", f"{_CALL}/AsString", f"{_CALL}/Identity", _CALL, "StringLength"}],
)
def source_in_a_function():
    """The read itself is inside a called function, which is inlined."""
    iterator = tf1.data.make_initializable_iterator(Dataset.range(7))

    @tf.function
    def read():
        return tf.strings.as_string(iterator.get_next())

    text = read()
    return program([iterator], [tf.strings.length(text), train(tf.constant(1))])


@case([{"next", "PartitionedCall"}])
def function_with_a_loop():
    iterator, x = iterate(Dataset.range(1, 8))

    @tf.function
    def collatz(n):
        count = tf.constant(0, tf.int64)
        while n > 1:
            n = tf.where(n % 2 == 0, n // 2, 3 * n + 1)
            count += 1
        return count

    return program([iterator], [train(collatz(x))])

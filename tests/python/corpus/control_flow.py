"""tf.cond and tf.while_loop before, after and across the cut; v1 control flow."""

import contextlib

import tensorflow as tf

from corpus.case import Dataset, case, iterate, program, train

tf1 = tf.compat.v1


@contextlib.contextmanager
def _v1_control_flow():
    """Switch and Merge instead of If and While."""
    tf1.disable_control_flow_v2()
    try:
        yield
    finally:
        tf1.enable_control_flow_v2()


def _weight():
    return tf1.get_variable(
        "weight",
        shape=[],
        dtype=tf.int64,
        use_resource=True,
        initializer=tf1.constant_initializer(5),
    )


@case([{"next", "large", "branch", "branch/Identity"}], crossing={"branch/Identity:0"})
def cond_before_the_cut():
    iterator, x = iterate(Dataset.range(8))
    y = tf.cond(tf.greater(x, 3, name="large"), lambda: x * 2, lambda: x - 100, name="branch")
    return program([iterator], [train(y)])


@case([{"next", "large"}], crossing={"next:0", "large:0"})
def cond_across_the_cut():
    """The predicate is staged; a branch reads a variable, so the conditional is not."""
    iterator, x = iterate(Dataset.range(8))
    weight = _weight()
    y = tf.cond(
        tf.greater(x, 3, name="large"), lambda: x * weight.read_value(), lambda: x, name="branch"
    )
    return program([iterator], [train(y)])


@case([{"next", "neg"}])
def cond_after_the_cut():
    iterator, x = iterate(Dataset.range(8))
    total = train(tf.negative(x, name="neg"))
    return program(
        [iterator], [tf.cond(total < -5, lambda: total * 2, lambda: total, name="branch")]
    )


@case([{"next", "loop", "loop/*"}])
def while_before_the_cut():
    iterator, x = iterate(Dataset.range(1, 9))
    _, y = tf.while_loop(
        lambda i, acc: i < x,
        lambda i, acc: (i + 1, acc * 3 + i),
        [tf.constant(0, tf.int64), x],
        name="loop",
    )
    return program([iterator], [train(y)])


@case([{"next"}], crossing={"next:0"})
def while_across_the_cut():
    """The number of rounds comes from the data, the body reads a variable."""
    iterator, x = iterate(Dataset.range(1, 9))
    weight = _weight()
    y = tf.while_loop(
        lambda i, acc: i < x,
        lambda i, acc: (i + 1, acc + weight.read_value()),
        [tf.constant(0, tf.int64), x],
        name="loop",
    )[1]
    return program([iterator], [train(y)])


@case([{"next", "neg"}])
def while_after_the_cut():
    iterator, x = iterate(Dataset.range(1, 9))
    total = train(tf.negative(x, name="neg"))
    y = tf.while_loop(lambda i: i < 10, lambda i: i + 3, [total], name="loop")[0]
    return program([iterator], [y])


@case([{"next", "mapped/*"}])
def map_fn_before_the_cut():
    iterator, x = iterate(Dataset.range(14).batch(4))
    y = tf.map_fn(lambda v: v * v + 1, x, name="mapped")
    return program(
        [iterator], [tf.reduce_sum(y, axis=[0], name="mapped/sum"), train(tf.constant(1))]
    )


@case(
    [{"next", "large", "branch/pred_id"}],
    crossing={"next:0", "large:0", "branch/pred_id:0"},
    left_out={"branch/Switch": "control_flow"},
)
def v1_cond():
    iterator, x = iterate(Dataset.range(8))
    large = tf.greater(x, 3, name="large")
    with _v1_control_flow():
        y = tf1.cond(large, lambda: x * 2, lambda: x - 100, name="branch")
    return program([iterator], [train(y)])


@case([{"next", "neg"}])
def v1_while():
    iterator, x = iterate(Dataset.range(1, 9))
    start = tf.negative(x, name="neg")
    with _v1_control_flow():
        y = tf1.while_loop(lambda i: i < 3, lambda i: i + 2, [start], name="loop")
    return program([iterator], [train(y)])


@case([])
def source_in_a_cond():
    """Read in one branch only: consumed in some steps and not in others."""
    iterator = tf1.data.make_initializable_iterator(Dataset.range(6))
    counter = train(tf.constant(1, tf.int64))
    y = tf.cond(
        tf.equal(counter % 3, 0),
        lambda: tf.constant(-1, tf.int64),
        iterator.get_next,
        name="branch",
    )
    return program([iterator], [y])


@case([])
def source_in_a_v1_cond():
    iterator = tf1.data.make_initializable_iterator(Dataset.range(6))
    counter = train(tf.constant(1, tf.int64))
    with _v1_control_flow():
        y = tf1.cond(tf.equal(counter % 3, 0), lambda: tf.constant(-1, tf.int64), iterator.get_next)
    return program([iterator], [y])


@case([])
def source_in_a_while():
    """Several elements a step, as many as the loop has rounds."""
    iterator = tf1.data.make_initializable_iterator(Dataset.range(11))
    y = tf.while_loop(
        lambda i, acc: i < 3,
        lambda i, acc: (i + 1, acc * 10 + iterator.get_next()),
        [tf.constant(0), tf.constant(0, tf.int64)],
        name="loop",
        parallel_iterations=1,
    )[1]
    return program([iterator], [train(y)])


@case([])
def source_in_and_beside_a_cond():
    """The conditional read and the plain one are of one iterator."""
    iterator = tf1.data.make_initializable_iterator(Dataset.range(12))
    x = iterator.get_next(name="next")
    y = tf.cond(tf.equal(x % 2, 0), lambda: iterator.get_next() + x, lambda: x, name="branch")
    return program([iterator], [train(y)])

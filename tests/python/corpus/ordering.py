"""Control dependencies both ways, asserts, prints, and groups without outputs."""

import tensorflow as tf

from corpus.case import Dataset, case, iterate, program, times, to_the_end, train

tf1 = tf.compat.v1


def _counter(name="counter"):
    return tf1.get_variable(
        name, shape=[], dtype=tf.int64, use_resource=True, initializer=tf1.zeros_initializer()
    )


@case([{"next"}], crossing={"next:0"}, left_out={"text": "blocked_control"})
def training_before_preprocessing():
    """text must wait for the step's write: it stays behind, the read does not."""
    iterator, x = iterate(Dataset.range(7))
    written = _counter().assign_add(1, read_value=False)
    with tf.control_dependencies([written]):
        text = tf.strings.as_string(x, name="text")
    return program([iterator], [tf.strings.length(text), text])


@case([], left_out={"next": "blocked_control"})
def training_before_the_read():
    """The element must be read after the step's write: nothing may run ahead."""
    iterator = tf1.data.make_initializable_iterator(Dataset.range(7))
    written = _counter().assign_add(1, read_value=False)
    with tf.control_dependencies([written]):
        x = iterator.get_next(name="next")
    return program([iterator], [x, tf.negative(x)])


@case([{"next", "neg"}], crossing={"neg:0"})
def preprocessing_before_training():
    """A write of the training step waits for a staged op of which it uses no value."""
    iterator, x = iterate(Dataset.range(6))
    counter = _counter()
    neg = tf.negative(x, name="neg")
    with tf.control_dependencies([neg]):
        count = tf.identity(counter.assign_add(tf.constant(1, tf.int64)))

    def script(steps):
        for fetch in (count, neg, count, [count, neg], count):
            steps.run(fetch)
        to_the_end([count])(steps)

    return program([iterator], None, script=script)


@case([{"next", "neg"}])
def group_without_outputs():
    """A NoOp is fetched: it consumes an element all the same."""
    iterator, x = iterate(Dataset.range(6))
    neg = tf.negative(x, name="neg")
    total = train(neg)
    ready = tf.group(neg, name="ready")

    def script(steps):
        for fetch in (total, ready.name, total, ready.name, [total, ready.name]):
            steps.run(fetch)
        to_the_end(ready)(steps)

    return program([iterator], None, script=script)


@case([{"next", "first", "second", "last"}])
def order_among_staged_ops():
    iterator, x = iterate(Dataset.range(6))
    first = tf.negative(x, name="first")
    with tf.control_dependencies([first]):
        second = tf.square(x, name="second")
    with tf.control_dependencies([second]):
        last = tf.add(first, 1, name="last")
    return program([iterator], [train(last), tf.identity(train(second, "other"))])


@case([{"next", "small", "check", "number"}], crossing={"number:0"})
def assert_that_holds():
    iterator, x = iterate(Dataset.range(6))
    check = tf.raw_ops.Assert(condition=tf.less(x, 100, name="small"), data=[x], name="check")
    with tf.control_dependencies([check]):
        number = tf.negative(x, name="number")
    return program([iterator], [train(number)])


def _sometimes_too_large():
    """(iterator, x, assert that x is small): elements 4 and 5 are not."""
    data = tf.constant([0, 1, 2, 3, 400, 500, 6, 7], tf.int64)
    iterator, x = iterate(Dataset.from_tensor_slices(data))
    small = tf.less(x, 100, name="small")
    texts = [tf.constant("too large"), x]
    return iterator, x, tf.raw_ops.Assert(condition=small, data=texts, name="check")


@case([{"next", "small", "check", "number"}], crossing={"number:0"})
def assert_that_fails():
    """Elements 4 and 5 fail, each in its place; 6 and 7 are good again."""
    iterator, x, check = _sometimes_too_large()
    with tf.control_dependencies([check]):
        number = tf.negative(x, name="number")
    return program([iterator], None, script=times([train(number)], 10))


@case([{"next", "small", "check", "number"}], crossing={"number:0"})
def assert_that_only_a_constant_waits_for():
    """Python puts the control edge of `x + 1` on the constant, and none on the addition."""
    iterator, x, check = _sometimes_too_large()
    with tf.control_dependencies([check]):
        number = tf.add(x, 1, name="number")
    return program([iterator], None, script=times([train(number)], 10))


@case([{"next"}], crossing={"next:0"}, left_out={"number": "blocked_control"})
def training_before_a_constant():
    """The constant waits for the step's write, and with it the addition."""
    iterator, x = iterate(Dataset.range(6))
    count = _counter().assign_add(1)
    check = tf.raw_ops.Assert(condition=tf.less(count, 4), data=[count])
    with tf.control_dependencies([check]):
        number = tf.add(x, 1, name="number")
    return program([iterator], None, script=times([number], 6))


@case([{"next", "number"}], left_out={"check": "blocked_input"})
def assert_in_training():
    iterator, x = iterate(Dataset.range(6))
    total = train(tf.add(x, 1, name="number"))
    check = tf.raw_ops.Assert(condition=tf.less(total, 9), data=[total], name="check")
    with tf.control_dependencies([check]):
        result = tf.identity(total)
    return program([iterator], None, script=times([result], 8))


@case([{"next", "neg", "small"}])
def assert_that_nothing_waits_for():
    """Fetched by itself in some steps only, so it must not fail the others."""
    iterator, x = iterate(Dataset.range(8))
    total = train(tf.negative(x, name="neg"))
    check = tf.raw_ops.Assert(condition=tf.less(x, 3, name="small"), data=[x], name="check")

    def script(steps):
        for fetch in (total, [total, check], total, total, check, total, check, total, total):
            steps.run(fetch)

    return program([iterator], None, script=script)


_GUARD = "assert_less/Assert/AssertGuard"


@case(
    [{"next", "y", "assert_less/Less", "assert_less/All", _GUARD, _GUARD + "/Identity", "Identity"}]
)
def assert_of_the_python_api():
    """tf.debugging.assert_less: a guarded assert, one conditional that holds an Assert."""
    iterator, x = iterate(Dataset.range(6))
    y = tf.add(x, 1, name="y")
    with tf.control_dependencies([tf1.assert_less(y, tf.constant(4, tf.int64))]):
        total = train(tf.identity(y))
    return program([iterator], None, script=times([total], 7))


@case([{"next", "neg", "assert_less/Less", "assert_less/All", _GUARD, _GUARD + "/Identity"}])
def assert_of_the_python_api_that_nothing_waits_for():
    """It has an output, so it runs ahead; but it fails only the steps that fetch it."""
    iterator, x = iterate(Dataset.range(8))
    total = train(tf.negative(x, name="neg"))
    check = tf1.assert_less(x, tf.constant(3, tf.int64))

    def script(steps):
        for fetch in (total, [total, check], total, total, check, total, check, total, total):
            steps.run(fetch)

    return program([iterator], None, script=script)


@case([{"next", "neg"}], left_out={"printed": "print"})
def print_of_the_data():
    iterator, x = iterate(Dataset.range(5))
    neg = tf.negative(x, name="neg")
    printed = tf1.Print(neg, [neg], "batch", first_n=1, name="printed")
    return program([iterator], [train(printed)])


@case([{"next", "neg", "StringFormat"}])
def print_v2_of_the_data():
    iterator, x = iterate(Dataset.range(5))
    neg = tf.negative(x, name="neg")
    with tf.control_dependencies([tf.print("batch", neg, output_stream="file:///dev/null")]):
        printed = tf.identity(neg)
    return program([iterator], [train(printed)])


@case([{"next", "neg"}], left_out={"python": "py_func"})
def python_function_on_the_data():
    iterator, x = iterate(Dataset.range(5))
    neg = tf.negative(x, name="neg")
    python = tf1.py_func(lambda v: v * 3, [neg], tf.int64, name="python")
    python.set_shape([])
    return program([iterator], [train(python)])

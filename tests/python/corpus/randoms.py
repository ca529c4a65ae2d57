"""Random ops: stateful ones move only as a whole, stateless ones are pure."""

import tensorflow as tf

from corpus.case import Dataset, case, iterate, program, times, to_the_end, train

tf1 = tf.compat.v1


def _floats(count=8):
    iterator, x = iterate(Dataset.range(count))
    return iterator, tf.cast(x, tf.float32, name="float")


def _draw(name="noise", seed=7):
    return tf.raw_ops.RandomUniform(
        shape=tf.constant([3]), dtype=tf.float32, seed=seed, seed2=3, name=name
    )


@case([{"next", "float", "noise", "sum"}], crossing={"sum:0"})
def draw_of_constant_shape():
    iterator, x = _floats()
    return program([iterator], [train(tf.add(x, _draw(), name="sum"))])


@case([{"next", "float", "noise/RandomUniform", "noise/mul", "noise", "sum"}])
def draw_through_the_python_api():
    iterator, x = _floats()
    noise = tf1.random_uniform([2, 2], -1.0, 3.0, seed=5, name="noise")
    return program([iterator], [train(tf.add(x, noise, name="sum"))])


@case([{"next", "float", "normal", "uniform", "integers", "sum", "both", "narrow", "mixed"}])
def three_draws():
    iterator, x = _floats()
    shape = tf.constant([2])
    normal = tf.raw_ops.RandomStandardNormal(
        shape=shape, dtype=tf.float32, seed=1, seed2=1, name="normal"
    )
    uniform = tf.raw_ops.RandomUniform(
        shape=shape, dtype=tf.float32, seed=1, seed2=2, name="uniform"
    )
    integers = tf.raw_ops.RandomUniformInt(
        shape=shape, minval=0, maxval=9, seed=3, seed2=3, name="integers"
    )
    both = tf.multiply(tf.add(x, normal, name="sum"), uniform, name="both")
    mixed = tf.add(tf.cast(x, tf.int32, name="narrow"), integers, name="mixed")
    return program([iterator], [train(both), train(mixed, "other")])


@case([{"next", "float"}], left_out={"noise": "draw_outside"})
def draw_used_without_the_data():
    """The noise is fetched alone too: then a step draws without taking an element."""
    iterator, x = _floats()
    noise = _draw()
    total = train(tf.add(x, noise, name="sum"))
    plain = train(noise, "plain")

    def script(steps):
        for fetch in (total, plain, plain, total, plain, [total, plain], total, total):
            steps.run(fetch)

    return program([iterator], None, script=script)


@case([{"next", "float", "noise", "sum", "doubled"}], crossing={"sum:0", "doubled:0"})
def draw_in_one_of_two_branches():
    """Every step fetches both: a fetch set without the draw is an exception (docs/guarantees)."""
    iterator, x = _floats(9)
    noisy = train(tf.add(x, _draw(), name="sum"))
    plain = train(tf.multiply(x, 2.0, name="doubled"), "plain")
    return program([iterator], [noisy, plain])


@case([{"next", "float", "noise", "sum"}])
def draw_across_a_restart():
    """Initializing drops elements, but not the noise drawn for them: no step had it."""
    iterator, x = _floats()
    total = train(tf.add(x, _draw(), name="sum"))

    def script(steps):
        times([total], 3)(steps)
        steps.gate()
        steps.quiet(iterator.initializer)
        times([total], 4)(steps)
        steps.quiet(iterator.initializer)
        times([total], 8)(steps)

    return program([iterator], None, script=script)


@case([{"next", "float", "noise", "sum"}])
def draw_over_three_epochs():
    """The step that finds the end of data draws too: random ops do not wait for the element."""
    iterator, x = _floats(4)
    total = train(tf.add(x, _draw(), name="sum"))

    def script(steps):
        for _ in range(3):
            to_the_end([total], beyond=1)(steps)
            steps.quiet(iterator.initializer)

    return program([iterator], None, script=script)


@case([{"next", "float", "shape"}])
def draw_of_the_batch_shape():
    """The shape of the noise comes from the data: stays behind, and so does what is added to it."""
    iterator, x = iterate(Dataset.range(14).batch(4))
    x = tf.cast(x, tf.float32, name="float")
    noise = tf.raw_ops.RandomUniform(
        shape=tf.shape(x, name="shape"), dtype=tf.float32, seed=3, seed2=4
    )
    return program([iterator], [tf.reduce_sum(x + noise), train(tf.constant(1))])


@case([{"next", "float"}])
def dropout_in_training():
    iterator, x = iterate(Dataset.range(24).batch(6, drop_remainder=True))
    x = tf.cast(x, tf.float32, name="float")
    weight = tf1.get_variable("weight", initializer=tf.ones([6]), use_resource=True)
    return program([iterator], [tf.nn.dropout(x * weight, rate=0.5, seed=4)])


@case([{"next", "seed", "noise", "sum"}])
def stateless_random():
    """Seeded by the element: pure, on any number of threads."""
    iterator, x = iterate(Dataset.range(8))
    seed = tf.stack([x, tf.constant(5, tf.int64)], name="seed")
    noise = tf.raw_ops.StatelessRandomUniform(
        shape=tf.constant([2]), seed=seed, dtype=tf.float32, name="noise"
    )
    return program([iterator], [train(tf.reduce_sum(noise, axis=[0], name="sum"))])


@case([{"next"}])
def random_shuffle_of_the_batch():
    iterator, x = iterate(Dataset.range(20).batch(5))
    return program([iterator], [tf1.random_shuffle(x, seed=2), train(tf.constant(1))])


@case([{"next", "narrow", "RandomUniform", "mul", "Cast", "mul_1"}])
def unseeded_random():
    """Without a seed no two runs agree, so that it may be drawn ahead; what is compared is 0."""
    iterator, x = iterate(Dataset.range(6))
    noise = tf.raw_ops.RandomUniform(
        shape=tf.constant([], tf.int32), dtype=tf.float32, seed=0, seed2=0
    )
    out = tf.cast(x, tf.int32, name="narrow") * tf.cast(noise * 0.5, tf.int32)
    return program([iterator], [train(out)])

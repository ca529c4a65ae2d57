"""Where bit-equality cannot hold: what happens instead, as docs/guarantees.md says."""

import threading

import pytest
import tensorflow as tf

from corpus.sessions import (
    Dataset,
    numbers,
    only_stage,
    run_until_error,
    staged_config,
    staged_session,
    wait_ahead,
)
from corpus.waiting import wait_until

tf1 = tf.compat.v1


def test_fetch_that_needs_an_element_but_not_the_random_op():
    """The draw is made for every element: a later step gets the noise of its element."""
    with tf.Graph().as_default() as graph:
        iterator = tf1.data.make_initializable_iterator(Dataset.range(1000))
        x = tf.cast(iterator.get_next(name="next"), tf.float32, name="float")
        noise = tf.raw_ops.RandomUniform(
            shape=tf.constant([], tf.int32), dtype=tf.float32, seed=7, seed2=3, name="noise"
        )
        v = tf1.get_variable("v", shape=[], initializer=tf1.zeros_initializer(), use_resource=True)
        noisy = tf.add(x, noise, name="sum") + v.read_value()
        plain = tf.negative(x, name="neg") + v.read_value()
        init = [tf1.global_variables_initializer(), iterator.initializer]

    def run(config, fetches):
        with tf1.Session(graph=graph, config=config) as session:
            session.run(init)
            return [float(session.run(f)) for f in fetches]

    with_all = run(tf1.ConfigProto(), [noisy] * 5)
    fetches = [noisy, plain, noisy, plain, noisy]
    staged = run(staged_config(capacity=4, num_threads=4), fetches)
    assert staged == [with_all[0], -1.0, with_all[2], -3.0, with_all[4]]
    unstaged = run(tf1.ConfigProto(), fetches)
    assert unstaged[2] != staged[2]  # else the exception is none and the page is wrong


def test_two_sources_of_which_the_second_fails():
    """The first is consumed with it, always: here the second has a bad element in the middle."""
    with tf.Graph().as_default() as graph:
        one = tf1.data.make_initializable_iterator(Dataset.range(10))
        bad = Dataset.range(10).map(
            lambda i: (
                tf.cast(
                    tf.debugging.check_numerics(tf.where(tf.equal(i, 4), float("nan"), 1.0), "bad"),
                    tf.int64,
                )
                * i
            )
        )
        two = tf1.data.make_initializable_iterator(bad)
        a, b = one.get_next(name="a"), two.get_next(name="b")
        v = tf1.get_variable(
            "v", shape=[], dtype=tf.int64, initializer=tf1.zeros_initializer(), use_resource=True
        )
        out = tf.add(a * 100, b, name="sum") + v.read_value()
        init = [tf1.global_variables_initializer(), one.initializer, two.initializer]
    with tf1.Session(graph=graph, config=staged_config(capacity=8)) as session:
        session.run(init)
        values, error = run_until_error(session, out)
        assert values == [0, 101, 202, 303]
        assert isinstance(error, tf.errors.InvalidArgumentError)
        values, error = run_until_error(session, out)
        assert values == [505, 606, 707, 808, 909]
        assert isinstance(error, tf.errors.OutOfRangeError)


def test_queue_with_a_consumer_outside():
    """Who looks at the queue itself sees it without the elements that were read ahead."""
    with tf.Graph().as_default() as graph:
        queue = tf1.FIFOQueue(20, tf.int64, [[]], name="queue")
        fill = queue.enqueue_many([tf.range(10, dtype=tf.int64)])
        out = tf.negative(queue.dequeue(name="dequeue"), name="neg")
        size = queue.size()
    with tf1.Session(graph=graph, config=staged_config(capacity=2, num_threads=1)) as session:
        session.run(fill)
        assert int(session.run(out)) == 0
        # One taken; three ahead: two results that wait, one more element for the thread.
        wait_until(
            lambda: int(session.run(size)) == 10 - 1 - 3, "the stage to be as far as it goes"
        )


def test_initializing_that_fails_has_dropped_what_was_ahead():
    with tf.Graph().as_default() as graph:
        good = tf1.placeholder_with_default(True, [])
        check = tf.raw_ops.Assert(condition=good, data=["refused"])
        with tf.control_dependencies([check]):
            count = tf.identity(tf.constant(100, tf.int64))
        iterator = tf1.data.make_initializable_iterator(Dataset.range(count))
        out = tf.strings.as_string(iterator.get_next(name="next"), name="text")
    with tf1.Session(graph=graph, config=staged_config(capacity=3)) as session:
        session.run(iterator.initializer)
        assert [session.run(out) for _ in range(2)] == [b"0", b"1"]
        wait_ahead(session)
        with pytest.raises(tf.errors.InvalidArgumentError, match="refused"):
            session.run(iterator.initializer, {good: False})
        first = int(session.run(out))
        assert 2 <= first <= 6  # what was ahead may be gone; what was not is not
        assert [int(session.run(out)) for _ in range(5)] == list(range(first + 1, first + 6))


def test_main_held_inside_a_step():
    """The stage is ahead while the training part of a step is stopped in the middle."""
    entered, leave = threading.Event(), threading.Event()

    def hold(value):
        entered.set()
        leave.wait()
        return value

    program = numbers(count=50)
    with program.graph.as_default():
        held = tf1.py_func(hold, [program.out], tf.int64)
    with staged_session(program, capacity=3, num_threads=2) as session:
        values = []
        step = threading.Thread(target=lambda: values.append(int(session.run(held))))
        step.start()
        entered.wait()
        wait_until(
            lambda: only_stage(session).produced >= 4, "three results beyond the one in training"
        )
        assert only_stage(session).taken == 1
        leave.set()
        step.join()
        assert values == [0]
        assert [int(session.run(held)) for _ in range(10)] == list(range(1, 11))

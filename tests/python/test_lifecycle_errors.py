"""Errors, ignored errors and stalls of a live stage."""

import threading
import time

import pytest
import tensorflow as tf

from corpus.sessions import (
    Dataset,
    Gate,
    numbers,
    numbers_here,
    only_stage,
    run_until_error,
    staged_config,
    staged_session,
    wait_ahead,
)
from corpus.waiting import wait_until

tf1 = tf.compat.v1


def _texts(*texts):
    """out = number + 0 for texts of which some are no numbers."""
    with tf.Graph().as_default() as graph:
        iterator = tf1.data.make_initializable_iterator(Dataset.from_tensor_slices(list(texts)))
        number = tf.strings.to_number(iterator.get_next(name="next"), tf.int64, name="number")
        weight = tf1.get_variable(
            "weight",
            shape=[],
            dtype=tf.int64,
            use_resource=True,
            initializer=tf1.zeros_initializer(),
        )
        out = tf.add(number, weight.read_value(), name="out")
        return graph, [tf1.global_variables_initializer(), iterator.initializer], out


def _session(built, **options):
    graph, init, out = built
    session = tf1.Session(graph=graph, config=staged_config(**options))
    for op in init:
        session.run(op)
    return session, out


@pytest.mark.parametrize("threads", [1, 4])
def test_error_in_batch_seven_of_ten(threads):
    texts = ["1", "2", "3", "4", "5", "6", "seven", "8", "9", "10"]
    session, out = _session(_texts(*texts), num_threads=threads, capacity=8)
    with session:
        values, error = run_until_error(session, out)
        assert values == [1, 2, 3, 4, 5, 6]
        assert isinstance(error, tf.errors.InvalidArgumentError)
        assert "could not correctly convert string: seven" in error.message
        assert "number" in error.message
        values, error = run_until_error(session, out)
        assert values == [8, 9, 10]
        assert isinstance(error, tf.errors.OutOfRangeError)
        figures = only_stage(session)
        assert (figures.taken, figures.failed, figures.skipped) == (9, 2, 0)


@pytest.mark.parametrize("threads", [1, 4])
def test_ignored_errors_are_skipped_and_counted(threads):
    built = _texts("1", "x", "3", "y", "z", "6")
    session, out = _session(
        built, num_threads=threads, ignored_exception_types=(tf.errors.InvalidArgumentError,)
    )
    with session:
        values, error = run_until_error(session, out)
        assert values == [1, 3, 6]
        assert isinstance(error, tf.errors.OutOfRangeError)
        figures = only_stage(session)
        assert (figures.taken, figures.skipped) == (3, 3)
        assert "z" in figures.last_error or "End of sequence" in figures.last_error


def test_ignoring_is_bounded():
    """The fourth bad element in a row is delivered as the error that it is."""
    built = _texts("1", "a", "b", "c", "d", "6")
    session, out = _session(
        built, ignored_exception_types=(tf.errors.InvalidArgumentError,), ignored_limit=3
    )
    with session:
        values, error = run_until_error(session, out)
        assert values == [1]
        assert isinstance(error, tf.errors.InvalidArgumentError)
        assert "convert string: d" in error.message
        assert run_until_error(session, out)[0] == [6]
        assert only_stage(session).skipped == 3


def test_stalled_source_says_so_and_the_batch_still_comes():
    gate = Gate(6, 3)
    program = numbers(gate.dataset)
    with staged_session(program, timeout_millis=300, name="input") as session:
        assert [int(session.run(program.out)) for _ in range(3)] == [0, 1, 2]
        gate.reached[3].wait()
        for _ in range(2):
            with pytest.raises(tf.errors.DeadlineExceededError) as raised:
                session.run(program.out)
            message = str(raised.value)
            assert only_stage(session).name in message
            assert "next" in message  # the source that it waits for
        gate.open()
        assert [int(session.run(program.out)) for _ in range(3)] == [3, 4, 5]
        with pytest.raises(tf.errors.OutOfRangeError):
            session.run(program.out)


def test_slow_but_moving_source_is_no_stall():
    """The timeout bounds a wait without progress, not the whole of training."""
    gate = Gate(4, 2)
    program = numbers(gate.dataset)
    with staged_session(program, timeout_millis=20_000) as session:
        assert [int(session.run(program.out)) for _ in range(2)] == [0, 1]
        gate.reached[2].wait()
        values = []
        step = threading.Thread(target=lambda: values.append(int(session.run(program.out))))
        step.start()
        gate.open()
        step.join()
        assert values == [2]


def test_failing_step_in_training_leaves_the_stage_usable():
    """The element of the step that failed is gone, as unstaged; the next one is the next."""
    with tf.Graph().as_default() as graph:
        program = numbers_here(Dataset.range(8), graph)
        fail_at = tf1.placeholder(tf.int64, [])
        check = tf.raw_ops.Assert(condition=tf.not_equal(program.out, fail_at), data=[program.out])
        with tf.control_dependencies([check]):
            checked = tf.identity(program.out)
    with staged_session(program) as session:
        seen = []
        for _ in range(8):
            try:
                seen.append(int(session.run(checked, {fail_at: 3})))
            except tf.errors.InvalidArgumentError as error:
                assert "assertion failed" in error.message
                seen.append("failed")
        assert seen == [0, 1, 2, "failed", 4, 5, 6, 7]


def test_cancelled_step_releases_its_take_and_loses_no_batch():
    gate = Gate(6, 2)
    program = numbers(gate.dataset)
    with staged_session(program) as session:
        assert [int(session.run(program.out)) for _ in range(2)] == [0, 1]
        gate.reached[2].wait()
        started = time.monotonic()
        for _ in range(3):
            with pytest.raises(tf.errors.DeadlineExceededError):
                session.run(program.out, options=tf1.RunOptions(timeout_in_ms=100))
        assert time.monotonic() - started < 3.0
        gate.open()
        assert run_until_error(session, program.out)[0] == [2, 3, 4, 5]


def test_cancelled_step_that_had_its_batch():
    """Training blocks after the take; the step is cancelled; only that step's batch is gone."""
    with tf.Graph().as_default() as graph:
        program = numbers_here(Dataset.range(6), graph)
        never = tf1.FIFOQueue(1, tf.int64, [[]])
        with tf.control_dependencies([program.out]):
            blocked = never.dequeue() + program.out
    with staged_session(program) as session:
        assert int(session.run(program.out)) == 0
        wait_ahead(session)
        with pytest.raises(tf.errors.DeadlineExceededError):
            session.run(blocked, options=tf1.RunOptions(timeout_in_ms=200))
        assert run_until_error(session, program.out)[0] == [2, 3, 4, 5]


def test_error_before_the_iterator_is_initialized():
    program = numbers(count=4)
    with tf1.Session(graph=program.graph, config=staged_config()) as session:
        session.run(program.init)
        for _ in range(2):
            with pytest.raises(tf.errors.FailedPreconditionError, match="has not been initialized"):
                session.run(program.out)
        session.run(program.iterator.initializer)
        assert run_until_error(session, program.out)[0] == [0, 1, 2, 3]


def test_three_epochs_by_initializing_again():
    program = numbers(count=5)
    with staged_session(program, capacity=8, num_threads=4) as session:
        for _ in range(3):
            values, error = run_until_error(session, program.out)
            assert values == [0, 1, 2, 3, 4]
            assert isinstance(error, tf.errors.OutOfRangeError)
            session.run(program.iterator.initializer)


def test_nothing_stale_after_initializing_in_mid_epoch():
    """What was read ahead of the old epoch is dropped, also when its read is still under way."""
    gate = Gate(6, 4)
    program = numbers(gate.dataset)
    with staged_session(program, capacity=8) as session:
        assert [int(session.run(program.out)) for _ in range(2)] == [0, 1]
        gate.reached[4].wait()  # 2 and 3 wait, 4 is being read
        again = threading.Thread(target=lambda: session.run(program.iterator.initializer))
        again.start()
        gate.open()
        again.join()
        assert run_until_error(session, program.out)[0] == [0, 1, 2, 3, 4, 5]


def test_steps_of_two_threads_share_the_elements():
    """Every element reaches exactly one step."""
    program = numbers(count=400)
    with staged_session(program, capacity=4, num_threads=2, num_clients=2) as session:
        seen = [[], []]

        def consume(into):
            into.extend(run_until_error(session, program.out)[0])

        threads = [threading.Thread(target=consume, args=(s,)) for s in seen]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(seen[0] + seen[1]) == list(range(400))
        assert all(s == sorted(s) for s in seen)  # each thread sees them in order
        wait_until(lambda: only_stage(session).taken == 400, "the last take to be counted")

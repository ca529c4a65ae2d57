"""Opening, closing, extending and sharing: sessions and callables over a live stage."""

import gc
import resource
import threading
import time

import headrace
import pytest
import tensorflow as tf

from corpus.plan_view import figures_of
from corpus.sessions import (
    Dataset,
    Gate,
    numbers,
    numbers_here,
    only_stage,
    run_until_error,
    stage_threads,
    staged_config,
    staged_session,
    thread_names,
    wait_ahead,
)
from corpus.waiting import wait_until

tf1 = tf.compat.v1


# Every test here ends with as few of Headrace's threads as it began with.
pytestmark = pytest.mark.usefixtures("stage_threads_end")


def _stages_end(before):
    wait_until(lambda: len(stage_threads()) <= before, "the threads of the stages to end")


def test_closed_while_the_stage_blocks():
    """On a source that can be cancelled: a queue that nobody fills."""
    with tf.Graph().as_default() as graph:
        queue = tf1.FIFOQueue(4, tf.int64, [[]], name="queue")
        fill = queue.enqueue_many([tf.range(2, dtype=tf.int64)])
        weight = tf1.get_variable(
            "weight",
            shape=[],
            dtype=tf.int64,
            use_resource=True,
            initializer=tf1.zeros_initializer(),
        )
        out = tf.negative(queue.dequeue(name="dequeue"), name="neg") + weight.read_value()
        init = tf1.global_variables_initializer()
    session = tf1.Session(graph=graph, config=staged_config())
    session.run([init, fill])
    assert [int(session.run(out)) for _ in range(2)] == [0, -1]
    errors = []

    def step():
        with pytest.raises(tf.errors.OpError) as raised:
            session.run(out)
        errors.append(raised.value)

    blocked = threading.Thread(target=step)
    blocked.start()
    wait_until(lambda: only_stage(session).waiting, "the step to wait")
    started = time.monotonic()
    session.close()
    blocked.join()
    assert time.monotonic() - started < 2.0
    assert isinstance(errors[0], tf.errors.CancelledError)


def test_closed_while_a_source_is_deaf_to_cancellation():
    """Closing takes as long as the source does, and no thread is left behind."""
    before = len(stage_threads())
    gate = Gate(5, 2)
    holder = [staged_session(numbers(gate.dataset))]
    assert int(holder[0].run("out:0")) == 0
    gate.reached[2].wait()
    opener = threading.Timer(1.5, gate.open)
    opener.start()
    started = time.monotonic()
    holder.pop().close()
    gc.collect()
    _stages_end(before)
    assert 1.0 < time.monotonic() - started < 10.0
    opener.join()


def test_two_hundred_sessions_leave_nothing_behind():
    before = len(stage_threads())
    program = numbers(count=50)

    def one_session():
        with staged_session(program, capacity=4, num_threads=2) as session:
            assert [int(session.run(program.out)) for _ in range(3)] == [0, 1, 2]

    def resident_kilobytes():
        gc.collect()
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize() // 1024

    for _ in range(40):
        one_session()
    _stages_end(before)
    threads, memory = len(thread_names()), resident_kilobytes()
    for _ in range(200):
        one_session()
    _stages_end(before)
    assert len(thread_names()) <= threads
    assert resident_kilobytes() - memory < 0.01 * memory + 4096


def test_two_staged_sessions_at_once():
    """On one graph, each with an iterator of its own, in turns and at the same time."""
    program = numbers(count=300)
    with staged_session(program) as one, staged_session(program, capacity=8, num_threads=4) as two:
        for expected in range(50):
            assert int(one.run(program.out)) == expected
            assert int(two.run(program.out)) == expected
        assert only_stage(one).taken == only_stage(two).taken == 50
        seen = [[], []]
        threads = [
            threading.Thread(target=lambda s=s, i=i: i.extend(run_until_error(s, program.out)[0]))
            for s, i in zip((one, two), seen, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert seen[0] == seen[1] == list(range(50, 300))


def test_closing_one_session_leaves_the_other_alone():
    program = numbers(count=20)
    with staged_session(program) as kept:
        assert int(kept.run(program.out)) == 0
        with staged_session(program) as closed:
            assert int(closed.run(program.out)) == 0
        gc.collect()
        assert run_until_error(kept, program.out)[0] == list(range(1, 20))


def test_session_without_options_beside_a_staged_one():
    program = numbers(count=10)
    with staged_session(program) as staged, tf1.Session(graph=program.graph) as plain:
        program.start(plain)
        for expected in range(10):
            assert int(plain.run(program.out)) == expected
            assert int(staged.run(program.out)) == expected


def test_callable_made_released_and_another_run():
    with tf.Graph().as_default() as graph:
        program = numbers_here(Dataset.range(100_000), graph)
        double = program.out * 2
    with staged_session(program) as session:
        first = session.make_callable(program.out)
        assert [int(first()) for _ in range(3)] == [0, 1, 2]
        wait_ahead(session)
        del first
        gc.collect()
        second = session.make_callable(double)
        assert [int(second()) for _ in range(20)] == [2 * i for i in range(3, 23)]
        assert int(session.run(program.out)) == 23


def test_callables_and_runs_in_turns():
    program = numbers(count=60)
    with staged_session(program) as session:
        call = session.make_callable(program.out)
        seen = []
        for _ in range(20):
            seen += [int(call()), int(session.run(program.out)), int(call())]
        assert seen == list(range(60))


def test_graph_extended_after_the_first_run():
    """New nodes after the cut, before the cut, and on the raw element: no element is lost."""
    program = numbers(count=40)
    with staged_session(program) as session:
        assert [int(session.run(program.out)) for _ in range(3)] == [0, 1, 2]
        wait_ahead(session)
        with program.graph.as_default():
            after = program.out * 10
        assert int(session.run(after)) == 30
        assert int(session.run(program.out)) == 4
        wait_ahead(session)
        with program.graph.as_default():
            before = tf.negative(program.number, name="negated")
        assert int(session.run(before)) == -5
        assert [int(v) for v in session.run([after, before])] == [60, -6]
        with program.graph.as_default():
            raw = program.raw + tf1.placeholder_with_default(tf.constant(100, tf.int64), [])
        assert int(session.run(raw)) == 107
        assert int(session.run(program.out)) == 8


def test_graph_extended_by_a_second_read():
    """From then on the iterator may not be read ahead; what was read goes to whoever asks next."""
    program = numbers(count=30)
    with staged_session(program, capacity=4) as session:
        assert [int(session.run(program.out)) for _ in range(3)] == [0, 1, 2]
        wait_ahead(session)
        with program.graph.as_default():
            second = program.iterator.get_next(name="second")
        assert int(session.run(second)) == 3
        assert int(session.run(program.out)) == 4
        assert [int(session.run(second)) for _ in range(4)] == [5, 6, 7, 8]
        assert run_until_error(session, program.out)[0] == list(range(9, 30))


def test_closed_by_headrace():
    """headrace.close() ends the stages, not the data: takes fail, elements stay with the source."""
    program = numbers(count=10)
    with staged_session(program) as session:
        assert int(session.run(program.out)) == 0
        wait_ahead(session)
        assert headrace.close(session) == 1
        with pytest.raises(tf.errors.CancelledError):
            session.run(program.out)
        assert figures_of(session) == [] or only_stage(session).taken == 1


def test_storm_of_closing_and_cancelling():
    """Sessions that end at any point, from another thread, on a source that may be waiting."""
    with tf.Graph().as_default() as graph:
        queue = tf1.FIFOQueue(8, tf.int64, [[]], name="queue")
        fill = queue.enqueue_many([tf.range(3, dtype=tf.int64)])
        out = tf.strings.as_string(queue.dequeue(name="dequeue"), name="text")
    slowest = 0.0
    for round_number in range(60):
        session = tf1.Session(
            graph=graph,
            config=staged_config(capacity=1 + round_number % 3, num_threads=1 + round_number % 2),
        )
        session.run(fill)
        taken = []

        def steps(session=session, taken=taken):
            try:
                while True:
                    taken.append(session.run(out))
            except tf.errors.OpError:
                return
            except RuntimeError:  # attempted to use a closed session
                return

        runner = threading.Thread(target=steps)
        runner.start()
        wait_until(lambda n=round_number % 4, taken=taken: len(taken) >= n, "some steps")
        started = time.monotonic()
        session.close()
        runner.join()
        slowest = max(slowest, time.monotonic() - started)
        assert taken == [b"0", b"1", b"2"][: len(taken)]
    assert slowest < 2.0

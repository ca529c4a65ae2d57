"""Which thread runs what."""

import gc
import os
import threading
import time

import headrace
import jobs
import pytest
import tensorflow as tf

from corpus.sessions import (
    STAGE_THREADS,
    Dataset,
    numbers,
    numbers_here,
    run_until_error,
    stage_threads,
    staged_config,
    staged_session,
    thread_names,
    wait_ahead,
)
from corpus.waiting import wait_until

tf1 = tf.compat.v1


@pytest.fixture(name="thread_id", scope="module")
def fixture_thread_id():
    """An op that gives the id of the thread that runs it: thread_id(x) -> int64."""
    ops = tf.load_op_library(jobs.testing_library())
    return ops.headrace_thread_id


def test_sources_and_stages_have_threads_of_their_own():
    program = numbers(count=100)
    before = len(stage_threads())
    with staged_session(program, num_threads=3) as session:
        session.run(program.out)
        wait_ahead(session)
        assert len(stage_threads()) >= before + 4  # one reads, three compute
    gc.collect()
    wait_until(lambda: len(stage_threads()) <= before, "the threads of the stage to end")


def test_thread_pool_of_the_stage():
    pools = (headrace.ThreadPool(1, 1, "unused_pool"), headrace.ThreadPool(2, 1, "side_pool"))
    program = numbers(count=100)
    with staged_session(
        program,
        use_stage_subgraph_thread_pool=True,
        thread_pools=pools,
        stage_subgraph_thread_pool_id=1,
    ) as session:
        assert [int(session.run(program.out)) for _ in range(5)] == [0, 1, 2, 3, 4]
        names = thread_names()
        assert [n for n in names if "side_pool" in n]
        assert not [n for n in names if "unused_pool" in n]
        assert run_until_error(session, program.out)[0] == list(range(5, 100))


def test_main_never_runs_on_a_stage_thread(thread_id):
    """With the caller's thread as executor, every training op runs on the caller's thread."""
    with tf.Graph().as_default() as graph:
        program = numbers_here(Dataset.range(1000), graph)
        where = thread_id(program.out)
    with staged_session(program, num_threads=2) as session:
        for pool in (-1, 0):
            options = tf1.RunOptions(inter_op_thread_pool=pool)
            call = session._make_callable_from_options(
                _callable_options(options, program.out, where)
            )
            for _ in range(20):
                _, thread = call()
                name = _name_of(int(thread))
                assert name not in STAGE_THREADS
                if pool == -1:
                    assert int(thread) == threading.get_native_id()


def test_body_runs_on_the_stage_pool():
    """The pool's threads get the processor time that the body takes."""
    with tf.Graph().as_default() as graph:
        iterator = tf1.data.make_initializable_iterator(Dataset.range(4))
        x = iterator.get_next(name="next")
        rounds = tf.while_loop(
            lambda i, v: i < 20_000,
            lambda i, v: (i + 1, tf.math.floormod(v * 31 + 7, 1_000_003)),
            [tf.constant(0), x],
        )[1]
        init = iterator.initializer
    pools = (headrace.ThreadPool(2, 1, "side_pool"),)
    config = staged_config(use_stage_subgraph_thread_pool=True, thread_pools=pools)
    with tf1.Session(graph=graph, config=config) as session:
        session.run(init)
        before = time.process_time_ns()
        for _ in range(4):
            session.run(rounds)
        used = time.process_time_ns() - before
        assert used > 20e6
        assert _processor_ns("side_pool") > 0.5 * used


def _processor_ns(name):
    """Time that the live threads with `name` in their names have run."""
    total = 0
    for task in os.listdir("/proc/self/task"):
        if name in _name_of(task):
            with open(f"/proc/self/task/{task}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
    return total


def _callable_options(run_options, *tensors):
    from tensorflow.core.protobuf import config_pb2  # pylint: disable=import-outside-toplevel

    options = config_pb2.CallableOptions()
    options.fetch.extend(t.name for t in tensors)
    options.run_options.CopyFrom(run_options)
    return options


def _name_of(thread):
    with open(f"/proc/self/task/{thread}/comm", encoding="utf-8") as file:
        return file.read().strip()

"""What broke the throw-away prototype, one test each; the names say what went wrong there."""

import gc
import threading
import time

import headrace
import pytest
import tensorflow as tf

from corpus.sessions import (
    Dataset,
    Gate,
    in_process,
    numbers,
    numbers_here,
    only_stage,
    run_until_error,
    stage_threads,
    staged_config,
    staged_session,
    wait_ahead,
)
from corpus.waiting import wait_until

tf1 = tf.compat.v1


def test_e1_feed_of_a_raw_element_was_ignored_and_a_batch_eaten():
    program = numbers()
    with staged_session(program) as session:
        assert [int(session.run(program.out)) for _ in range(5)] == [0, 1, 2, 3, 4]
        # Refused, since what was computed ahead did not see the feed. No element is lost by it.
        with pytest.raises((ValueError, tf.errors.OpError), match="next"):
            session.run(program.out, {program.raw: 777})
        assert int(session.run(program.out)) == 5


def test_e1_feed_of_a_crossing_tensor_is_exact():
    program = numbers()
    with staged_session(program) as session:
        assert int(session.run(program.out)) == 0
        assert int(session.run(program.out, {program.number: 888})) == 888
        assert int(session.run(program.out)) == 1


def test_e1_fetch_of_an_interior_tensor_gave_another_batch():
    program = numbers()
    with staged_session(program) as session:
        assert int(session.run(program.out)) == 0
        with pytest.raises((ValueError, tf.errors.OpError), match="next"):
            session.run(program.raw)
        assert int(session.run(program.out)) == 1


def test_e1_raw_element_kept_is_fetched_and_fed():
    with tf.Graph().as_default() as graph:
        program = numbers_here(Dataset.range(100), graph)
        headrace.keep(program.raw)
    with staged_session(program) as session:
        assert [int(v) for v in session.run([program.raw, program.out])] == [0, 0]
        assert int(session.run(program.out, {program.raw: 777})) == 777
        assert int(session.run(program.raw)) == 1
        assert int(session.run(program.out)) == 2


def test_e1_new_consumer_of_a_crossing_tensor_after_extending():
    program = numbers()
    with staged_session(program) as session:
        assert int(session.run(program.out)) == 0
        with program.graph.as_default():
            z = program.out * 10
        assert [int(v) for v in session.run([program.out, z])] == [1, 10]
        with program.graph.as_default():
            w = program.number + 1_000_000
        assert int(session.run(w)) == 1_000_002
        assert int(session.run(program.out)) == 3


def test_e1_threads_ended_only_with_the_process():
    before = len(stage_threads())
    holder = [staged_session(numbers())]
    holder[0].run("out:0")
    holder.pop().close()
    gc.collect()
    wait_until(lambda: len(stage_threads()) <= before, "the threads of the stage to end")


def test_e2_released_callable_crashed_the_next_run():
    with tf.Graph().as_default() as graph:
        program = numbers_here(Dataset.range(100_000), graph)
        double = program.out * 2
    with staged_session(program) as session:
        first = session.make_callable(program.out)
        assert [int(first()) for _ in range(3)] == [0, 1, 2]
        del first
        gc.collect()
        wait_ahead(session)
        second = session.make_callable(double)
        assert [int(second()) for _ in range(20)] == [2 * k for k in range(3, 23)]


def test_e8_close_waited_for_a_source_without_end():
    def endless():
        i = 0
        while True:
            time.sleep(0.05)  # a slow source; nothing waits for this as a signal
            yield i
            i += 1

    before = len(stage_threads())
    holder = [staged_session(numbers(lambda: Dataset.from_generator(endless, tf.int64, [])))]
    assert [int(holder[0].run("out:0")) for _ in range(3)] == [0, 1, 2]
    started = time.monotonic()
    holder.pop().close()
    gc.collect()
    wait_until(lambda: len(stage_threads()) <= before, "the threads of the stage to end")
    assert time.monotonic() - started < 2.0


def test_e12_close_hung_on_a_blocked_generator():
    before = len(stage_threads())
    gate = Gate(100, 4)
    holder = [staged_session(numbers(gate.dataset))]
    assert [int(holder[0].run("out:0")) for _ in range(2)] == [0, 1]
    gate.reached[4].wait()
    opener = threading.Timer(0.5, gate.open)
    opener.start()
    holder.pop().close()
    gc.collect()
    wait_until(lambda: len(stage_threads()) <= before, "the threads of the stage to end")
    opener.join()


def test_e10_released_first_callable_owned_the_stage():
    """Callables on the caller's thread and on the pool, the first released, the stage goes on."""
    from tensorflow.core.protobuf import config_pb2  # pylint: disable=import-outside-toplevel

    program = numbers()
    with staged_session(program) as session:

        def callable_on(pool):
            options = config_pb2.CallableOptions()
            options.fetch.append(program.out.name)
            options.run_options.inter_op_thread_pool = pool
            return session._make_callable_from_options(options)

        inline = callable_on(-1)
        assert [int(inline()[0]) for _ in range(8)] == list(range(8))
        pooled = callable_on(0)
        assert [int(pooled()[0]) for _ in range(8)] == list(range(8, 16))
        del inline
        gc.collect()
        assert [int(pooled()[0]) for _ in range(10)] == list(range(16, 26))


@pytest.mark.parametrize("parallel", [None, 1])
def test_e11_cancelled_step_killed_the_iterator(parallel):
    """Stock TensorFlow answers every step after a cancelled read with CANCELLED."""
    release = threading.Event()

    def slow(i):
        def wait(value):
            if value == 3:
                release.wait()
            return value

        return tf1.py_func(wait, [i], tf.int64)

    def dataset():
        slowed = Dataset.range(10).map(slow, num_parallel_calls=parallel)
        return slowed.map(lambda i: tf.ensure_shape(i, []))

    program = numbers(dataset)
    with staged_session(program) as session:
        assert [int(session.run(program.out)) for _ in range(3)] == [0, 1, 2]
        for _ in range(3):
            with pytest.raises(tf.errors.DeadlineExceededError):
                session.run(program.out, options=tf1.RunOptions(timeout_in_ms=100))
        release.set()
        assert run_until_error(session, program.out)[0] == [3, 4, 5, 6, 7, 8, 9]


def test_e13_dataset_loop_in_a_function_has_no_iterator():
    """`for x in dataset` in a traced function is one reduce op: nothing to stage."""
    with tf.Graph().as_default() as graph:

        @tf.function
        def total(limit):
            acc = tf.constant(0, tf.int64)
            for x in Dataset.range(limit):
                acc += x
            return acc

        out = tf.identity(total(tf.constant(5, tf.int64)), name="total")
    assert headrace.explain(graph, headrace.StageOptions()).stages == []
    with tf1.Session(graph=graph, config=staged_config()) as session:
        assert int(session.run(out)) == 10


def test_e14_two_traces_lost_batches():
    from test_lifecycle_functions import (  # pylint: disable=import-outside-toplevel
        test_two_functions_and_the_unstaged_path_on_one_iterator,
    )

    test_two_functions_and_the_unstaged_path_on_one_iterator()


def test_e19_fetch_sets_that_need_one_of_two_sources():
    with tf.Graph().as_default() as graph:
        one = tf1.data.make_initializable_iterator(Dataset.range(1000))
        two = tf1.data.make_initializable_iterator(Dataset.range(1000, 2000))
        a, b = one.get_next(name="a"), two.get_next(name="b")
        v = tf1.get_variable(
            "v", shape=[], dtype=tf.int64, initializer=tf1.zeros_initializer(), use_resource=True
        )
        first, second, both = a + v.read_value(), b + v.read_value(), (a + b) + v.read_value()
        init = [tf1.global_variables_initializer(), one.initializer, two.initializer]
    with tf1.Session(graph=graph, config=staged_config()) as session:
        session.run(init)
        assert int(session.run(first)) == 0
        assert int(session.run(both)) == 1 + 1000
        assert int(session.run(second)) == 1001
        assert int(session.run(both)) == 2 + 1002


def _with_random():
    """(session, noisy, plain): both take an element, only the first fetches the draw."""
    with tf.Graph().as_default() as graph:
        tf1.set_random_seed(1)
        iterator = tf1.data.make_initializable_iterator(Dataset.range(1000))
        x = tf.cast(iterator.get_next(name="next"), tf.float32)
        noisy = x + tf1.random_uniform([], seed=7)
        v = tf1.get_variable("v", shape=[], initializer=tf1.zeros_initializer(), use_resource=True)
        outs = noisy + v.read_value(), tf.negative(x) + v.read_value()
        return graph, [tf1.global_variables_initializer(), iterator.initializer], outs


def test_e19_random_op_is_exact_when_every_step_fetches_it():
    graph, init, (noisy, plain) = _with_random()
    seen = {}
    for kind, config in (
        ("plain", tf1.ConfigProto()),
        ("staged", staged_config(capacity=4, num_threads=4)),
    ):
        with tf1.Session(graph=graph, config=config) as session:
            session.run(init)
            seen[kind] = [[float(v) for v in session.run([noisy, plain])] for _ in range(20)]
    assert seen["staged"] == seen["plain"]


def test_e21_ops_that_are_stateless_by_their_flags_only():
    """TensorFlow calls v1 summaries stateless: they are left out by name."""
    with tf.Graph().as_default() as graph:
        iterator = tf1.data.make_initializable_iterator(Dataset.range(5))
        x = tf.cast(iterator.get_next(name="next"), tf.float32, name="x")
        tf1.summary.scalar("loss", x)
        tf1.summary.histogram("values", x)
    explanation = headrace.explain(graph, headrace.StageOptions(cut="largest"))
    assert explanation.staged_nodes() == {"next", "x"}
    assert explanation.reasons()["loss"]["code"] == "summary"
    assert explanation.reasons()["values"]["code"] == "summary"


def test_cfg_compat_config_works_where_the_stock_message_does():
    done = in_process("""
        import headrace.compat.v1 as tf
        config = tf.ConfigProto()
        config.graph_options.optimizer_options.do_smart_stage = True
        iterator = tf.data.make_one_shot_iterator(tf.data.Dataset.range(5))
        x = tf.as_string(iterator.get_next())
        with tf.Session(config=config) as session:
            print([session.run(x) for _ in range(5)])
        server = tf.train.Server.create_local_server(config=config)
        with tf.Session(server.target, config=config) as session:
            print([session.run(x) for _ in range(5)])
        stock = __import__("tensorflow").compat.v1.ConfigProto()
        stock.CopyFrom(config.to_proto())
        """)
    assert done.stdout.splitlines() == [str([b"0", b"1", b"2", b"3", b"4"])] * 2


def test_stage_is_there_in_these_tests():
    """The tests above would pass unstaged: here the stage is seen to have done the work."""
    program = numbers()
    with staged_session(program) as session:
        session.run(program.out)
        assert wait_ahead(session).produced > 1
        assert only_stage(session).taken == 1

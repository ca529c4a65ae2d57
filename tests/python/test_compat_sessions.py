"""Every way in which compat.v1 makes a session: exact values, refusals explained."""

import gc
import logging
import weakref

import pytest
import tensorflow

import compat_module
import headrace
from headrace.errors import GraphMismatchError, OptionTypeError, StagedTensorError

tf = compat_module.load()


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


def pipeline(batches=20):
    """range -> get_next -> hash (staged) -> main: (initializer, hash, result)."""
    dataset = tf.data.Dataset.range(batches)
    iterator = tf.data.make_initializable_iterator(dataset)
    hashed = tf.string_to_hash_bucket_fast(tf.as_string(iterator.get_next()), 1000, name="hash")
    weights = tf.get_variable("weights", initializer=tf.range(1000, dtype=tf.float32))
    result = tf.gather(weights, hashed, name="result")
    return iterator.initializer, hashed, result


def expected(batches=20):
    with tf.Graph().as_default():
        initializer, _, result = pipeline(batches)
        with tensorflow.compat.v1.Session() as session:
            session.run([initializer, tf.global_variables_initializer()])
            return [session.run(result) for _ in range(batches)]


def smart(**options):
    config = tf.ConfigProto()
    config.graph_options.optimizer_options.do_smart_stage = True
    config.graph_options.optimizer_options.smart_stage_options.CopyFrom(
        tf.SmartStageOptions(**options)
    )
    return config


def scaffold(initializer):
    return tf.train.Scaffold(local_init_op=tf.group(tf.local_variables_initializer(), initializer))


def plain(config, initializer, make=None):
    session = (make or tf.Session)(config=config)
    session.run([initializer, tf.global_variables_initializer()])
    return session


def managed(config, initializer):
    init = tf.group(tf.global_variables_initializer(), initializer)
    return tf.train.SessionManager().prepare_session("", init_op=init, config=config)


def supervised(config, initializer):
    supervisor = tf.train.Supervisor(
        graph=tf.get_default_graph(), local_init_op=initializer, summary_op=None
    )
    return supervisor.prepare_or_wait_for_session("", config, start_standard_services=False)


def remote(config, initializer):
    return plain(config, initializer, lambda config: tf.Session(SERVERS[0].target, config=config))


SERVERS = []


@pytest.fixture(scope="module", autouse=True)
def server():
    SERVERS.append(tf.train.Server.create_local_server(config=tf.ConfigProto()))
    yield
    SERVERS.clear()


MAKERS = {
    "Session": plain,
    "InteractiveSession": lambda c, i: plain(c, i, tf.InteractiveSession),
    "MonitoredTrainingSession": lambda c, i: tf.train.MonitoredTrainingSession(
        config=c, scaffold=scaffold(i)
    ),
    "MonitoredTrainingSession by position": lambda c, i: tf.train.MonitoredTrainingSession(
        "", True, None, scaffold(i), [], None, None, None, None, c
    ),
    "MonitoredSession": lambda c, i: tf.train.MonitoredSession(
        tf.train.ChiefSessionCreator(config=c, scaffold=scaffold(i))
    ),
    "SingularMonitoredSession": lambda c, i: tf.train.SingularMonitoredSession(
        config=c, scaffold=scaffold(i)
    ),
    "SessionManager": managed,
    "Supervisor": supervised,
    "Server": remote,
}


@pytest.mark.parametrize("way", MAKERS)
def test_staged_with_the_same_values_and_refusals_explained(way):
    initializer, hashed, result = pipeline()
    extra = hashed.graph.get_operation_by_name("IteratorGetNext").outputs[0]
    session = MAKERS[way](smart(capacity=2), initializer)
    values = [session.run(result) for _ in range(7)]
    assert [figures["taken"] for figures in headrace.stats(session)] == [7]
    left = 13
    if way == "InteractiveSession":
        # It prunes the graph before the pass sees it: what is fetched alone is not staged, but
        # exact.
        assert session.run(extra) == 7
        left = 12
    else:
        with pytest.raises(StagedTensorError, match="IteratorGetNext") as caught:
            session.run(extra)
        assert "keep(" in str(caught.value) and caught.value.code == "HR030"
    # The refusal has cost no batch.
    values += [session.run(result) for _ in range(left)]
    assert values == [value for i, value in enumerate(expected()) if left == 13 or i != 7]
    with pytest.raises(tf.errors.OutOfRangeError):
        session.run(result)
    session.close()


def test_refused_in_each_way_to_run():
    initializer, hashed, result = pipeline()
    source = hashed.graph.get_operation_by_name("IteratorGetNext")
    with plain(smart(), initializer) as session:
        for action, call in [
            ("fed", lambda: session.run(result, {source.outputs[0]: 3})),
            ("run", lambda: session.run(source)),
            ("fetched", lambda: session.make_callable(source.outputs[0])()),
            ("fed", lambda: session.make_callable(result, [source.outputs[0]])(3)),
            ("fetched", lambda: session.partial_run_setup([source.outputs[0]], [])),
        ]:
            with pytest.raises(StagedTensorError) as caught:
                call()
            assert action in caught.value.action, action
            assert caught.value.names[0].split(":")[0] == "IteratorGetNext"
        run = session.make_callable(result)
        assert [run() for _ in range(3)] == expected()[:3]


def test_kept_tensor_can_be_fetched_and_fed():
    initializer, hashed, result = pipeline()
    raw = hashed.op.inputs[0]
    tf.keep([raw])
    with plain(smart(), initializer) as session:
        seen = [session.run([raw, result]) for _ in range(5)]
        assert [int(text) for text, _ in seen] == [0, 1, 2, 3, 4]
        assert session.run(result, {raw: b"7"}) == expected()[7]


def test_other_errors_are_not_translated():
    bad = tf.placeholder(tf.float32, [])
    with tf.Session(config=smart()) as session:
        with pytest.raises(tf.errors.InvalidArgumentError, match="placeholder"):
            session.run(bad + 1.0)


def test_unstaged_without_do_smart_stage():
    initializer, hashed, result = pipeline()
    with plain(tf.ConfigProto(), initializer) as session:
        assert session.run([hashed.op.inputs[0], result])[0] == b"0"
        assert headrace.stats(session) == []


@pytest.mark.parametrize("config", [None, "proxy", "stock"])
def test_marks_are_staged_without_do_smart_stage(config):
    dataset = tf.data.Dataset.range(9)
    staged = tf.staged(tf.data.make_one_shot_iterator(dataset).get_next() * 2, capacity=3)
    result = staged + tf.ones([], tf.int64)
    made = {"proxy": tf.ConfigProto(), "stock": tensorflow.compat.v1.ConfigProto()}.get(config)
    with tf.Session(config=made) as session:
        assert [session.run(result) for _ in range(9)] == list(range(1, 18, 2))
        (figures,) = headrace.stats(session)
        assert figures["taken"] == 9


def test_graph_mismatch(graph):
    pipeline()
    config = smart(graph=tf.Graph())
    with pytest.raises(GraphMismatchError, match="HR013"):
        tf.Session(config=config)
    with pytest.raises(GraphMismatchError):
        tf.train.MonitoredTrainingSession(config=config)
    tf.Session(config=smart(graph=graph)).close()
    tf.Session(graph=graph, config=smart(graph=graph)).close()


def test_wrong_config_is_refused_as_tensorflow_does():
    with pytest.raises(TypeError, match="ConfigProto"):
        tf.Session(config="fast")
    with pytest.raises(OptionTypeError):
        tf.ConfigProto(graph_options=tf.ConfigProto())


def test_each_session_has_its_own_figures():
    initializer, _, result = pipeline()
    config = smart()
    with plain(config, initializer) as first, plain(config, initializer) as second:
        first.run(result)
        second.run(result)
        second.run(result)
        assert [f["taken"] for f in headrace.stats(first)] == [1]
        assert [f["taken"] for f in headrace.stats(second)] == [2]
        assert {f["taken"] for f in headrace.stats()} >= {1, 2}
        assert headrace.close(first) == 1
        with pytest.raises(tf.errors.CancelledError):
            first.run(result)
        second.run(result)


def test_sessions_that_tensorflow_made_are_not_kept_alive():
    initializer, _, _ = pipeline()
    session = managed(smart(), initializer)
    reference = weakref.ref(session)
    del session
    gc.collect()
    assert reference() is None


def test_session_is_explained_again_after_it_was_re_created():
    class Preempted(tf.train.SessionRunHook):
        failures = []

        def before_run(self, run_context):
            if self.failures:
                raise self.failures.pop()

    initializer, hashed, result = pipeline()
    source = hashed.op.inputs[0]
    hook = Preempted()
    with tf.train.MonitoredSession(
        tf.train.ChiefSessionCreator(config=smart(), scaffold=scaffold(initializer)), [hook]
    ) as session:
        assert session.run(result) == expected()[0]
        before = session._tf_sess()
        hook.failures.append(tf.errors.AbortedError(None, None, "preempted"))
        assert session.run(result) == expected()[0]
        assert session._tf_sess() is not before
        with pytest.raises(StagedTensorError):
            session.run(source)


def test_hook_reports_starts_and_closes(caplog):
    initializer, _, result = pipeline()
    with caplog.at_level(logging.INFO, "headrace"):
        logging.getLogger("headrace").propagate = True
        hook = tf.make_prefetch_hook()
        with tf.train.MonitoredTrainingSession(
            config=smart(capacity=2), scaffold=scaffold(initializer), hooks=[hook]
        ) as session:
            raw = session._tf_sess()
            values = [session.run(result) for _ in range(5)]
        assert values == expected()[:5]
    text = caplog.text
    assert "IteratorGetNext" in text and "5 taken" in text
    assert headrace.stats(raw) == []


def test_hook_says_that_staging_is_switched_off(caplog, monkeypatch):
    monkeypatch.setenv("HEADRACE_STAGING", "off")
    initializer, hashed, result = pipeline()
    source = hashed.graph.get_operation_by_name("IteratorGetNext").outputs[0]
    with caplog.at_level(logging.INFO, "headrace"):
        logging.getLogger("headrace").propagate = True
        with tf.train.MonitoredTrainingSession(
            config=smart(), scaffold=scaffold(initializer), hooks=[tf.make_prefetch_hook()]
        ) as session:
            assert session.run(source) == 0
            assert session.run(result) == expected()[1]
            assert headrace.stats(session) == []
    assert "HEADRACE_STAGING=off" in caplog.text and "run ahead" not in caplog.text


def test_hook_closes_stages_before_the_session_ends():
    initializer, _, result = pipeline()
    with plain(smart(), initializer) as session:
        session.run(result)
        tf.make_prefetch_hook().end(session)
        assert headrace.stats(session) == []
        with pytest.raises(tf.errors.CancelledError):
            session.run(result)


def test_hook_starts_stages_before_the_first_step():
    from headrace.compat.v1 import hook

    initializer, _, result = pipeline()
    with plain(smart(capacity=3), initializer) as session:
        assert headrace.stats(session) == []
        assert hook.start_stages(session)
        assert [f["taken"] for f in headrace.stats(session)] == [0]
        assert [session.run(result) for _ in range(20)] == expected()
    with plain(tf.ConfigProto(), initializer) as session:
        assert not hook.start_stages(session)


def test_training_works_with_the_hook_where_nothing_is_staged():
    step = tf.assign_add(tf.train.get_or_create_global_step(), 1)
    with tf.train.MonitoredTrainingSession(hooks=[tf.make_prefetch_hook()]) as session:
        assert session.run(step) == 1

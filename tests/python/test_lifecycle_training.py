"""Stages under the ways in which programs train: monitored sessions, servers, exports."""

import os

import headrace
import pytest
import tensorflow as tf

from corpus.sessions import (
    Dataset,
    in_process,
    numbers,
    numbers_here,
    only_stage,
    run_until_error,
    staged_config,
    staged_session,
    wait_ahead,
)

tf1 = tf.compat.v1


def _training(count=12):
    """(graph, program, step): the global step counts, the sum of what was seen is trained."""
    with tf.Graph().as_default() as graph:
        program = numbers_here(Dataset.range(count), graph)
        total = tf1.get_variable(
            "total",
            shape=[],
            dtype=tf.int64,
            use_resource=True,
            initializer=tf1.zeros_initializer(),
        )
        step = tf1.train.create_global_step()
        with tf.control_dependencies([total.assign_add(program.number, read_value=False)]):
            count_up = tf1.assign_add(step, 1)
        with tf.control_dependencies([count_up]):
            result = tf.stack([program.number, total.read_value(), step.read_value()])
        return graph, program, result


def _scaffold(program):
    return tf1.train.Scaffold(
        local_init_op=tf.group(tf1.local_variables_initializer(), program.iterator.initializer)
    )


def _monitored(config, folder, hooks):
    graph, program, result = _training()
    rows = []
    with graph.as_default():
        with tf1.train.MonitoredTrainingSession(
            config=config,
            scaffold=_scaffold(program),
            checkpoint_dir=folder,
            hooks=hooks,
            save_checkpoint_steps=4,
            save_summaries_steps=0,
            save_summaries_secs=None,
            log_step_count_steps=0,
        ) as session:
            while not session.should_stop():
                rows.append(session.run(result).tolist())
    return rows


class _AbortOnce(tf1.train.SessionRunHook):
    """After the sixth step the parameter server is "restarted": the session is made anew."""

    def __init__(self):
        self.sessions = 0
        self._steps = 0

    def after_create_session(self, session, coord):
        self.sessions += 1

    def after_run(self, run_context, run_values):
        self._steps += 1
        if self._steps == 6:
            raise tf.errors.AbortedError(None, None, "the server is gone")


def test_monitored_training_session(tmp_path):
    plain = _monitored(tf1.ConfigProto(), str(tmp_path / "plain"), [])
    staged = _monitored(staged_config(), str(tmp_path / "staged"), [])
    assert staged == plain
    assert [row[0] for row in staged] == list(range(12))


def test_monitored_session_that_is_made_again(tmp_path):
    """As unstaged: the new session restores the checkpoint and starts the data over."""
    rows = {}
    for kind, config in (("plain", tf1.ConfigProto()), ("staged", staged_config(capacity=4))):
        hook = _AbortOnce()
        rows[kind] = _monitored(config, str(tmp_path / kind), [hook])
        assert hook.sessions == 2
    assert rows["staged"] == rows["plain"]


def test_checkpoints_and_meta_graphs_hold_nothing_of_headrace(tmp_path):
    config = staged_config()
    _monitored(config, str(tmp_path), [])
    metas = sorted(f for f in os.listdir(tmp_path) if f.endswith(".meta"))
    assert metas
    for name in metas:
        meta = tf1.MetaGraphDef()
        meta.ParseFromString((tmp_path / name).read_bytes())
        assert not [n.op for n in meta.graph_def.node if "Headrace" in n.op]
        assert not [
            f.signature.name
            for f in meta.graph_def.library.function
            if "eadrace" in f.signature.name
        ]
    checkpoint = tf1.train.NewCheckpointReader(tf1.train.latest_checkpoint(str(tmp_path)))
    assert set(checkpoint.get_variable_to_shape_map()) == {"global_step", "total", "weight"}


def test_saved_model_of_a_staged_graph_runs_without_headrace(tmp_path):
    with tf.Graph().as_default() as graph:
        program = numbers_here(Dataset.range(5), graph)
        x = tf1.placeholder(tf.int64, [], name="x")
        y = tf.add(x, program.out, name="y")
        headrace.keep(program.raw)
        with staged_session(program) as session:
            assert int(session.run(y, {x: 10})) == 10
            wait_ahead(session)
            tf1.saved_model.simple_save(session, str(tmp_path / "model"), {"x": x}, {"y": y})
    done = in_process(
        """
        import sys
        import tensorflow as tf
        tf1 = tf.compat.v1
        with tf1.Session(graph=tf.Graph()) as session:
            tf1.saved_model.load(session, ["serve"], sys.argv[1])
            print(int(session.run("y:0", {"x:0": 5, "next:0": 37})))
        assert not [m for m in sys.modules if m.startswith("headrace")]
        """,
        str(tmp_path / "model"),
    )
    assert done.stdout.split() == ["42"]


def test_graph_def_stays_as_it_was():
    program = numbers(count=5)
    before = program.graph.as_graph_def().SerializeToString(deterministic=True)
    with staged_session(program) as session:
        assert run_until_error(session, program.out)[0] == list(range(5))
        assert only_stage(session).taken == 5
    assert program.graph.as_graph_def().SerializeToString(deterministic=True) == before


_PARTITIONS = """
    import hashlib, sys
    import tensorflow as tf
    tf1 = tf.compat.v1
    if sys.argv[1] == "loaded":
        from headrace import library
        library.load()
    with tf.Graph().as_default() as graph:
        iterator = tf1.data.make_initializable_iterator(tf1.data.Dataset.range(5))
        x = tf.strings.as_string(iterator.get_next(name="next"), name="text")
        v = tf1.get_variable("v", initializer=1.5, use_resource=True)
        y = tf.strings.to_number(x, tf.float32, name="number") * v
        init = tf1.global_variables_initializer()
        with tf1.Session() as session:
            session.run([init, iterator.initializer])
            options = tf1.RunOptions(output_partition_graphs=True)
            metadata = tf1.RunMetadata()
            session.run(y, options=options, run_metadata=metadata)
    for partition in metadata.partition_graphs:
        for node in sorted(partition.node, key=lambda n: n.name):
            text = node.SerializeToString(deterministic=True)
            print(node.name, node.op, hashlib.sha256(text).hexdigest())
    """


def test_loading_the_library_without_options_leaves_graphs_identical():
    stock = in_process(_PARTITIONS, "stock").stdout
    loaded = in_process(_PARTITIONS, "loaded").stdout
    assert "IteratorGetNext" in stock
    assert loaded == stock


def test_kill_switch_of_the_operator():
    done = in_process(
        """
        import tensorflow as tf
        import headrace
        from corpus.sessions import numbers, staged_session, run_until_error
        program = numbers(count=5)
        with staged_session(program) as session:
            print(run_until_error(session, program.out)[0])
            print(headrace.stats(session))
        """,
        environment={"HEADRACE_STAGING": "off", "TF_CPP_MIN_LOG_LEVEL": "0"},
    )
    assert done.stdout.splitlines()[-2:] == ["[0, 1, 2, 3, 4]", "[]"]
    assert "HEADRACE_STAGING" in done.stderr


@pytest.fixture(name="server")
def fixture_server():
    return tf1.train.Server.create_local_server()


def test_distributed_session(server):
    """The pass runs in the server, which is this process; same batches to the end and beyond."""
    program = numbers(count=30)
    with staged_session(program, target=server.target) as session:
        assert [int(session.run(program.out)) for _ in range(3)] == [0, 1, 2]
        assert wait_ahead(session).taken == 3
        values, error = run_until_error(session, program.out)
        assert values == list(range(3, 30))
        assert isinstance(error, tf.errors.OutOfRangeError)
        session.run(program.iterator.initializer)
        assert run_until_error(session, program.out)[0] == list(range(30))


def test_distributed_sessions_share_an_iterator(server):
    """Resources of a server outlive sessions: what one session read ahead, the next one gets."""
    with tf.Graph().as_default() as graph:
        iterator = tf1.data.make_initializable_iterator(Dataset.range(30), shared_name="shared")
        text = tf.strings.as_string(iterator.get_next(name="next"), name="text")
        number = tf.strings.to_number(text, tf.int64, name="number")
    with tf1.Session(server.target, graph=graph, config=staged_config(capacity=4)) as one:
        one.run(iterator.initializer)
        assert [int(one.run(number)) for _ in range(3)] == [0, 1, 2]
        wait_ahead(one)
    with tf1.Session(server.target, graph=graph, config=staged_config()) as two:
        assert [int(two.run(number)) for _ in range(3)] == [3, 4, 5]
        wait_ahead(two)
    with tf1.Session(server.target, graph=graph) as plain:
        assert run_until_error(plain, number)[0] == list(range(6, 30))
        plain.run(iterator.initializer)
        assert run_until_error(plain, number)[0] == list(range(30))


def test_rewritten_graph_that_cannot_be_written_is_no_reason_to_fail(tmp_path):
    program = numbers(count=5)
    with staged_session(program, dump_graph=str(tmp_path / "missing" / "graph.pb")) as session:
        assert run_until_error(session, program.out)[0] == list(range(5))


def test_options_of_a_newer_headrace_are_refused_by_name():
    config = staged_config()
    entry = config.graph_options.rewrite_options.custom_optimizers[0]
    entry.parameter_map["version"].i = 999
    program = numbers(count=5)
    with tf1.Session(graph=program.graph, config=config) as session:
        with pytest.raises(tf.errors.InvalidArgumentError, match="version is 999"):
            session.run(program.init)

"""explain, rewrite, stats, close and trace as calls, and as the command line."""

import json

import pytest
import tensorflow as tf
from google.protobuf import text_format
from typer.testing import CliRunner

import headrace
from headrace import cli, errors

tf1 = tf.compat.v1
RUNNER = CliRunner()


def build():
    """range -> string -> hash (to be staged), and a variable's gather (not)."""
    iterator = tf1.data.make_initializable_iterator(tf.data.Dataset.range(50))
    hashed = tf1.string_to_hash_bucket_fast(tf.as_string(iterator.get_next()), 10, name="hash")
    weights = tf1.get_variable("weights", initializer=tf.range(10.0))
    result = tf.gather(weights, hashed, name="result")
    tf.negative(result, name="after")
    return iterator.initializer, result


@pytest.fixture
def graph():
    with tf.Graph().as_default() as graph:
        build()
    return graph


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Paths that all hold build()'s graph."""
    folder = tmp_path_factory.mktemp("graphs")
    with tf.Graph().as_default() as graph:
        initializer, _ = build()
        definition = graph.as_graph_def()
        with tf1.Session() as session:
            session.run([initializer, tf1.global_variables_initializer()])
            one = tf1.saved_model.Builder(str(folder / "saved"))
            one.add_meta_graph_and_variables(session, ["serve"])
            one.save()
            two = tf1.saved_model.Builder(str(folder / "two"))
            two.add_meta_graph_and_variables(session, ["train"])
            two.add_meta_graph(["serve"])
            two.save()
        meta = tf1.train.export_meta_graph(str(folder / "model.meta"), clear_devices=False)
    (folder / "graph.pb").write_bytes(definition.SerializeToString())
    (folder / "graph.pbtxt").write_text(text_format.MessageToString(definition))
    (folder / "meta.pb").write_bytes(meta.SerializeToString())
    (folder / "meta.pbtxt").write_text(text_format.MessageToString(meta))
    (folder / "noise.pb").write_bytes(b"\x00\xff" * 40)
    (folder / "noise.pbtxt").write_text("not a graph")
    (folder / "nothing.pb").write_bytes(b"")
    (folder / "empty").mkdir()
    return folder


GRAPH_FILES = [
    "graph.pb",
    "graph.pbtxt",
    "meta.pb",
    "meta.pbtxt",
    "model.meta",
    "saved",
    "saved/saved_model.pb",
]


def test_before_a_session_exists(graph):
    options = headrace.StageOptions(capacity=4)
    explanation = headrace.explain(graph, options)
    assert {"IteratorGetNext", "AsString", "hash"} <= explanation.staged_nodes()
    (stage,) = explanation.stages
    assert stage["sources"] == ["IteratorGetNext"]
    reasons = explanation.reasons()
    assert "result" in reasons and "result" not in explanation.staged_nodes()
    assert "weights" in reasons["result"]["text"] and reasons["result"]["ancestor"] is None
    assert reasons["after"]["ancestor"] == "result" and "result" in reasons["after"]["text"]
    assert explanation.json["version"] == 1 and len(explanation.hash) == 16
    assert explanation.hash in str(explanation) and explanation.hash in explanation.summary()
    assert {op.name for op in graph.get_operations()} == explanation.staged_nodes() | set(reasons)


def test_same_plan_from_every_kind_of_graph_and_options(graph):
    config = headrace.configure(tf1.ConfigProto(), headrace.StageOptions())
    definition = graph.as_graph_def()
    with graph.as_default():
        meta = tf1.train.export_meta_graph()
    plans = [headrace.explain(g, o) for g in (graph, definition, meta) for o in (None, config)]
    assert len({plan.hash for plan in plans}) == 1


@pytest.mark.parametrize("name", GRAPH_FILES)
def test_files(files, name):
    assert "hash" in headrace.explain(str(files / name)).staged_nodes()
    assert "hash" in headrace.explain(files / name).staged_nodes()


@pytest.mark.parametrize(
    "name,text",
    [
        ("noise.pb", "neither"),
        ("noise.pbtxt", "neither"),
        ("nothing.pb", "neither"),
        ("empty", "saved_model.pb"),
        ("missing.pb", "No such file"),
        ("two", "train"),
    ],
)
def test_files_that_cannot_be_read(files, name, text):
    with pytest.raises(errors.GraphFileError, match=text):
        headrace.explain(files / name)
    result = RUNNER.invoke(cli.app, ["explain", str(files / name)])
    assert result.exit_code == 1 and "HR020" in result.stderr and not result.stdout


def test_saved_model_with_several_graphs(files):
    assert "hash" in headrace.explain(files / "two", tags=["train"]).staged_nodes()
    with pytest.raises(errors.GraphFileError, match="train"):
        headrace.explain(files / "two", tags=["gpu"])


def test_wrong_arguments(graph):
    with pytest.raises(errors.GraphFileError, match="int"):
        headrace.explain(3)
    with pytest.raises(errors.OptionTypeError):
        headrace.explain(graph, {"capacity": 2})
    with pytest.raises(errors.SessionOptionsError):
        headrace.explain(graph, tf1.ConfigProto())


def test_options_change_the_plan(graph):
    assert headrace.explain(graph, headrace.StageOptions(smart=False)).stages == []
    excluded = headrace.explain(graph, headrace.StageOptions(exclude=["hash"]))
    assert "hash" not in excluded.staged_nodes() and "AsString" in excluded.staged_nodes()


def test_rewrite_leaves_the_graph_and_shows_the_stage(graph):
    before = graph.as_graph_def()
    rewritten = headrace.rewrite(graph)
    assert graph.as_graph_def() == before
    ops = {node.op for node in rewritten.node}
    assert "Headrace>StagedCall" in ops and "IteratorGetNext" not in ops
    assert not any(node.op.startswith("Headrace") for node in before.node)


def test_dump_graph_is_written_by_the_session(tmp_path):
    path = tmp_path / "rewritten.pbtxt"
    with tf.Graph().as_default():
        initializer, result = build()
        config = headrace.configure(None, headrace.StageOptions(dump_graph=path))
        with tf1.Session(config=config) as session:
            session.run([initializer, tf1.global_variables_initializer()])
            session.run(result)
    definition = text_format.Parse(path.read_text(), tf1.GraphDef())
    assert any(node.op == "Headrace>StagedCall" for node in definition.node)


def test_stats_close_and_trace(tmp_path):
    path = tmp_path / "trace.json"
    with tf.Graph().as_default():
        initializer, result = build()
        config = headrace.configure(tf1.ConfigProto(), headrace.StageOptions(name="input"))
        with tf1.Session(config=config) as session:
            session.run([initializer, tf1.global_variables_initializer()])
            assert headrace.stats(session) == []
            with headrace.trace(path):
                for _ in range(5):
                    session.run(result)
                with pytest.raises(errors.TraceError, match="already"):
                    with headrace.trace(tmp_path / "second.json"):
                        pass
            (figures,) = headrace.stats(session)
            assert figures["taken"] == 5 and figures["produced"] >= 5
            assert figures["name"].startswith("input")
            assert headrace.close(session) == 1
    events = json.loads(path.read_text())["traceEvents"]
    assert len([e for e in events if e.get("ph") == "X"]) >= 10
    assert not (tmp_path / "second.json").exists()


def test_trace_is_written_when_the_block_raises(tmp_path):
    with pytest.raises(KeyError):
        with headrace.trace(tmp_path / "trace.json"):
            raise KeyError
    assert "traceEvents" in json.loads((tmp_path / "trace.json").read_text())
    with pytest.raises(errors.TraceError, match="directory"):
        with headrace.trace(tmp_path / "missing" / "trace.json"):
            pass
    with pytest.raises(errors.OptionError, match="max_events"):
        with headrace.trace(tmp_path / "trace.json", max_events=0):
            pass


def test_command_prints_the_plan(files, tmp_path):
    text = RUNNER.invoke(cli.app, ["explain", str(files / "graph.pb")])
    assert text.exit_code == 0 and "IteratorGetNext" in text.stdout and "\x1b" not in text.stdout
    plan = RUNNER.invoke(cli.app, ["explain", str(files / "saved"), "--format", "json"])
    assert plan.exit_code == 0 and json.loads(plan.stdout)["stages"]
    assert json.loads(plan.stdout)["hash"] == headrace.explain(files / "saved").hash
    tagged = RUNNER.invoke(cli.app, ["explain", str(files / "two"), "--tags", "train"])
    assert tagged.exit_code == 0 and "IteratorGetNext" in tagged.stdout


def test_command_options(files, tmp_path):
    out = tmp_path / "out.pb"
    result = RUNNER.invoke(
        cli.app,
        [
            "explain",
            str(files / "graph.pb"),
            "--format",
            "json",
            "--cut",
            "largest",
            "--exclude",
            "hash",
            "--num-threads",
            "2",
            "--dump-graph",
            str(out),
        ],
    )
    assert result.exit_code == 0
    options = headrace.StageOptions(cut="largest", exclude=["hash"], num_threads=2)
    assert json.loads(result.stdout)["hash"] == headrace.explain(files / "graph.pb", options).hash
    written = tf1.GraphDef.FromString(out.read_bytes())
    assert any(node.op == "Headrace>StagedCall" for node in written.node)
    nothing = RUNNER.invoke(cli.app, ["explain", str(files / "graph.pb"), "--no-smart"])
    assert nothing.exit_code == 0, "nothing to stage is a normal result"


@pytest.mark.parametrize(
    "arguments",
    [
        ["explain"],
        ["explain", "x", "--capacity", "-2"],
        ["explain", "x", "--cut", "half"],
        ["explain", "x", "--format", "yaml"],
        ["explain", "x", "--fast"],
        ["export"],
    ],
)
def test_wrong_usage_exits_with_2(arguments):
    assert RUNNER.invoke(cli.app, arguments).exit_code == 2


def test_version():
    result = RUNNER.invoke(cli.app, ["--version"])
    assert result.exit_code == 0 and result.stdout == f"headrace {headrace.__version__}\n"


def test_excluding_what_is_not_there_is_an_error():
    with tf.Graph().as_default() as graph:
        tf.strings.as_string(tf.range(3), name="text")
    headrace.explain(graph, headrace.StageOptions(exclude=("text",)))
    for name in ("txt", "text:0"):
        with pytest.raises(errors.OptionError, match=f"exclude is '{name}'.*did you mean 'text'"):
            headrace.explain(graph, headrace.StageOptions(exclude=(name,)))

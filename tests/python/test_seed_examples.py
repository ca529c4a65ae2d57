"""Both examples of the SmartStage document, run with only their import line changed."""

import ast
import pathlib
import runpy

import pytest
import tensorflow

import compat_module
import headrace

compat_module.load()
EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples" / "seed"
ROWS = [(f"key{i}", f"value{i}") for i in range(10)]


@pytest.fixture
def data(tmp_path, monkeypatch):
    text = "".join(f"{key},{value}\n" for key, value in ROWS)
    (tmp_path / "test_data.csv").write_text(text)
    (tmp_path / "1.txt").write_text(text)
    monkeypatch.chdir(tmp_path)


def run(path):
    """The example's variables after it ran in a graph of its own."""
    with tensorflow.Graph().as_default() as graph:
        return runpy.run_path(str(path)), graph


def unstaged(name, tmp_path):
    """The same program on TensorFlow alone: stock imports, and without DeepRec's lines."""
    lines = (
        (EXAMPLES / name)
        .read_text(encoding="utf-8")
        .replace("import headrace.compat.v1 as tf", "import tensorflow.compat.v1 as tf")
        .splitlines()
    )
    deeprec = ("config.graph_options", "smart_stage_options =", "tf.train.mark_target_node")
    program = "\n".join(line for line in lines if not line.startswith(deeprec))
    program = program.replace("tf.staged([v0, v1])", "[v0, v1]").replace(
        "tf.make_prefetch_hook()", ""
    )
    path = tmp_path / f"unstaged_{name}"
    path.write_text(program, encoding="utf-8")
    return path


def test_only_the_import_line_is_headraces():
    for path in EXAMPLES.glob("*.py"):
        names = [
            node
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, (ast.Import, ast.ImportFrom))
        ]
        assert [ast.unparse(node) for node in names] == ["import headrace.compat.v1 as tf"]


@pytest.mark.parametrize(
    "name,source",
    [
        ("smart_stage_auto.py", "IteratorGetNext"),
        ("smart_stage_with_staged.py", "batch"),
    ],
)
def test_example_prints_the_same_as_unstaged_and_is_staged(name, source, data, tmp_path, capsys):
    variables, graph = run(EXAMPLES / name)
    staged_output = capsys.readouterr().out
    run(unstaged(name, tmp_path))
    assert staged_output == capsys.readouterr().out
    assert staged_output.count("xxx") == 2 * 5 and "value9" in staged_output

    explanation = headrace.explain(graph, variables["config"])
    (stage,) = explanation.stages
    assert source in stage["sources"]
    types = {graph.get_operation_by_name(node).type for node in explanation.staged_nodes()}
    assert "StringToHashBucket" in types and "ConcatV2" in types
    assert not types & {"ResourceGather", "AsString", "VarHandleOp"}
    target = variables["target"].op
    assert explanation.reasons()[target.name]["code"]

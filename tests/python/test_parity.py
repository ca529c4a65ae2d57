"""The corpus: every case staged as its golden says, and equal to stock TensorFlow bit for bit."""

import os
import pickle
import subprocess
import sys

import headrace
import pytest
import tensorflow as tf

from corpus import marks, plan_view, runner
from corpus.case import expand
from corpus.outcome import difference
from corpus.reference import load_cases

tf1 = tf.compat.v1

CASES = load_cases()
AUTO = headrace.AUTOTUNE
CONFIGURATIONS = [*((c, t) for c in (1, 2, 8) for t in (1, 4)), (0, 1), (0, 4), (AUTO, AUTO)]
REFERENCE_SECONDS = 300


@pytest.fixture(scope="module", autouse=True)
def real_marks():
    marks.enable(headrace)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """What stock TensorFlow gives for every case, from a process that never loads Headrace."""
    out = tmp_path_factory.mktemp("reference") / "outcomes"
    done = subprocess.run(
        [sys.executable, "-m", "corpus.reference", str(out)],
        capture_output=True,
        text=True,
        cwd=os.path.dirname(__file__),
        timeout=REFERENCE_SECONDS,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    with open(out, "rb") as file:
        return pickle.load(file)


def _options(case, **kwargs):
    return headrace.StageOptions(**{**kwargs, **case.options})


def _stock_config(case):
    config = tf1.ConfigProto()
    if case.config:
        case.config(config)
    return config


def test_there_are_enough_cases():
    assert len(CASES) >= 40


@pytest.mark.parametrize("name", CASES)
def test_plan_is_the_golden_one(name):
    case = CASES[name]
    with tf.Graph().as_default() as graph:
        case.build()
    plan = plan_view.plan_of(graph, _options(case, cut="largest"))
    golden = {expand(stage, graph) for stage in case.stages}
    assert {s.staged for s in plan.stages} == golden
    if case.crossing is not None:
        assert frozenset().union(*(s.crossing for s in plan.stages)) == case.crossing
    for node, code in case.left_out.items():
        assert plan.reasons[node] == code, node


@pytest.mark.parametrize("name", CASES)
def test_staged_equals_stock(name, reference):
    case = CASES[name]
    expected = reference[name]
    with tf.Graph().as_default() as graph:
        built = case.build()
    before = graph.as_graph_def().SerializeToString(deterministic=True)

    # The library alone, without options, changes nothing.
    steps = runner.run_program(built, graph, _stock_config(case))
    assert not difference(expected, steps.outcomes), "unstaged: " + difference(
        expected, steps.outcomes
    )

    for capacity, threads in CONFIGURATIONS:
        options = _options(case, capacity=capacity, num_threads=threads, cut="largest")
        _compare(case, built, graph, options, expected)
    _compare(case, built, graph, _options(case, capacity=2, num_threads=2), expected)
    assert graph.as_graph_def().SerializeToString(deterministic=True) == before


def _compare(case, built, graph, options, expected):
    config = headrace.configure(_stock_config(case), options)
    steps = runner.run_program(built, graph, config, plan_view.figures_of)
    found = difference(expected, steps.outcomes)
    what = f"capacity {options.capacity}, threads {options.num_threads}, cut {options.cut}"
    assert not found, f"{what}: {found}"
    if case.ahead and options.capacity != 0:
        assert len(steps.seen_ahead) == len(case.stages), f"{what}: ahead were {steps.seen_ahead}"

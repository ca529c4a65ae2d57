"""Random graphs, staged against stock TensorFlow: same fetches, variables and end, bit for bit.

    pytest tests/python/test_random_graphs.py --random-graphs=5000 --random-seed=1

Every failure names the seed of its graph; --random-graphs=1 --random-seed=SEED runs it alone.
"""

import datetime
import faulthandler
import os
import pickle
import subprocess
import sys

import headrace
import tensorflow as tf

from corpus import marks, plan_view, random_graphs, runner
from corpus.outcome import difference

tf1 = tf.compat.v1

AT_A_TIME = 250  # graphs per reference process
SECONDS_PER_GRAPH = 10


def _first_seed(given):
    return given if given is not None else int(datetime.date.today().strftime("%Y%m%d")) * 1000


def _reference(out, first, count):
    """Starts the reference process."""
    command = [sys.executable, "-m", "corpus.random_reference", str(out), str(first), str(count)]
    return subprocess.Popen(
        command,
        cwd=os.path.dirname(__file__),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_random_graphs(pytestconfig, tmp_path, capsys):
    marks.enable(headrace)
    total = pytestconfig.getoption("random_graphs")
    first = _first_seed(pytestconfig.getoption("random_seed"))
    with capsys.disabled():
        print(f"\nrandom graphs: seeds {first} to {first + total - 1}")
    staged = ended = steps = 0
    for begin in range(first, first + total, AT_A_TIME):
        count = min(AT_A_TIME, first + total - begin)
        faulthandler.dump_traceback_later(60 + count * SECONDS_PER_GRAPH, exit=True)
        out = tmp_path / f"{begin}"
        process = _reference(out, begin, count)
        _, errors = process.communicate(timeout=60 + count * SECONDS_PER_GRAPH)
        assert process.returncode == 0, errors[-4000:]
        with open(out, "rb") as file:
            expected = pickle.load(file)
        for seed in range(begin, begin + count):
            figures = _compare(seed, expected[seed])
            staged += figures["stages"] > 0
            ended += figures["ended"]
            steps += figures["steps"]
    with capsys.disabled():
        print(f"random graphs: {total}, staged {staged}, to the end of data {ended}, steps {steps}")
    if total >= 100:  # else the generator makes graphs in which there is nothing to see
        assert staged >= 0.6 * total
        assert ended >= 0.2 * total


def _compare(seed, expected):
    with tf.Graph().as_default() as graph:
        built = random_graphs.build(seed)
    options = headrace.StageOptions(**built.options)
    plan = plan_view.plan_of(graph, options)
    config = headrace.configure(tf1.ConfigProto(), options)
    outcomes = runner.run_program(built.program, graph, config).outcomes
    found = difference(expected, outcomes)
    assert not found, f"seed {seed}: {found}\n{built.text}\nstaged: {sorted(plan.staged)}"
    return {
        "stages": len(plan.stages),
        "steps": len(outcomes),
        "ended": any(o.error == "OutOfRangeError" for o in outcomes),
    }

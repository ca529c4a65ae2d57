"""Random graphs, staged against stock TensorFlow: same fetches, variables and end, bit for bit.

    pytest tests/python/test_random_graphs.py --random-graphs=5000 --random-seed=1

Every failure names the seed of its graph; --random-graphs=1 --random-seed=SEED runs it alone.
"""

import dataclasses
import datetime
import os
import pickle
import subprocess
import sys

import headrace
import tensorflow as tf

from conftest import ends_within
from corpus import marks, plan_view, random_graphs, runner
from corpus.outcome import difference

AT_A_TIME = 50  # graphs per reference process
SECONDS_PER_GRAPH = 10
MANY_FAILURES = 5  # then the run stops


def _first_seed(given):
    return given if given is not None else int(datetime.date.today().strftime("%Y%m%d")) * 1000


class _Reference:
    """Stock TensorFlow on `seeds`, in a process beside this one."""

    def __init__(self, folder, seeds):
        self._seeds, self._out = seeds, folder / str(seeds[0])
        command = [sys.executable, "-m", "corpus.random_reference"]
        self._process = subprocess.Popen(
            [*command, str(self._out), str(seeds[0]), str(len(seeds))],
            cwd=os.path.dirname(__file__),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def outcomes(self):
        """One after the other; waits for the process."""
        _, errors = self._process.communicate()
        assert self._process.returncode == 0, errors[-4000:]
        with open(self._out, "rb") as file:
            outcomes = pickle.load(file)
        return [outcomes[seed] for seed in self._seeds]


def test_random_graphs(pytestconfig, tmp_path, capsys):
    marks.enable(headrace)
    total = pytestconfig.getoption("random_graphs")
    first = _first_seed(pytestconfig.getoption("random_seed"))
    with capsys.disabled():
        print(f"\nrandom graphs: seeds {first} to {first + total - 1}")
    runs, failures = [], []
    for begin in range(first, first + total, AT_A_TIME):
        seeds = range(begin, min(begin + AT_A_TIME, first + total))
        ends_within(60 + len(seeds) * SECONDS_PER_GRAPH)
        reference = _Reference(tmp_path, seeds)
        some = [_staged_run(seed) for seed in seeds]
        failures += [text for text in map(_failure, some, reference.outcomes()) if text]
        assert len(failures) < MANY_FAILURES, "\n\n".join(failures)
        runs += [(run.stages, run.ended, len(run.outcomes)) for run in some]
    staged, ended, steps = map(sum, zip(*runs, strict=True))
    with capsys.disabled():
        print(f"random graphs: {total}, staged {staged}, to the end of data {ended}, steps {steps}")
    assert not failures, "\n\n".join(failures)
    if total >= 100:  # else the generator makes graphs in which there is nothing to see
        assert staged >= 0.6 * total
        assert ended >= 0.2 * total


@dataclasses.dataclass
class _Run:
    seed: int
    stages: bool
    outcomes: list
    text: str

    @property
    def ended(self):
        return any(o.error == "OutOfRangeError" for o in self.outcomes)


def _staged_run(seed):
    with tf.Graph().as_default() as graph:
        built = random_graphs.build(seed)
    options = headrace.StageOptions(**built.options)
    plan = plan_view.plan_of(graph, options)
    config = headrace.configure(built.config, options)
    steps = runner.run_program(built.program, graph, config)
    text = f"{built.text}\nstaged: {sorted(plan.staged)}"
    return _Run(seed, bool(plan.stages), steps.outcomes, text)


def _failure(run, expected):
    found = difference(expected, run.outcomes)
    return f"seed {run.seed}: {found}\n{run.text}" if found else ""

"""Staged sessions and small graphs for the life-cycle tests."""

import dataclasses
import os
import subprocess
import sys
import textwrap
import threading
from typing import Any

import headrace
import tensorflow as tf

from corpus import plan_view
from corpus.waiting import wait_until

tf1 = tf.compat.v1
Dataset = tf1.data.Dataset

STAGE_THREADS = ("hr-read", "hr-stage")  # names of the threads of a source and of a stage


@dataclasses.dataclass
class Numbers:
    """Integers through text and back, plus a variable: two staged ops, one training op.

    out: element + weight, where weight starts at 0 and no step writes it.
    """

    graph: Any
    iterator: Any
    raw: Any
    number: Any
    out: Any
    init: Any

    def start(self, session):
        session.run([self.init, self.iterator.initializer])
        return session


def numbers(make_dataset=None, count=1000):
    """Builds Numbers in a graph of its own. make_dataset: default 0, 1, ... count-1."""
    with tf.Graph().as_default() as graph:
        return numbers_here(make_dataset() if make_dataset else Dataset.range(count), graph)


def numbers_here(dataset, graph):
    iterator = tf1.data.make_initializable_iterator(dataset)
    raw = iterator.get_next(name="next")
    number = tf.strings.to_number(tf.strings.as_string(raw, name="text"), tf.int64, name="number")
    weight = tf1.get_variable(
        "weight", shape=[], dtype=tf.int64, use_resource=True, initializer=tf1.zeros_initializer()
    )
    out = tf.add(number, weight.read_value(), name="out")
    return Numbers(graph, iterator, raw, number, out, tf1.global_variables_initializer())


def staged_config(config=None, **options):
    """A ConfigProto with Headrace's options; everything that may be staged is."""
    options.setdefault("cut", "largest")
    options.setdefault("capacity", 2)
    return headrace.configure(config or tf1.ConfigProto(), headrace.StageOptions(**options))


def staged_session(program, target="", **options):
    """A started session on `program` (a Numbers)."""
    return program.start(tf1.Session(target, graph=program.graph, config=staged_config(**options)))


def only_stage(session):
    figures = plan_view.figures_of(session)
    assert len(figures) == 1, figures
    return figures[0]


def wait_ahead(session):
    """Until the session's only stage has something that no step has taken."""
    return wait_until(
        lambda: next((s for s in plan_view.figures_of(session) if s.produced > s.taken), None),
        "run-ahead",
    )


def run_until_error(session, fetch, limit=10_000):
    """([values], the error that ended them)."""
    values = []
    for _ in range(limit):
        try:
            values.append(int(session.run(fetch)))
        except tf.errors.OpError as error:
            return values, error
    raise AssertionError(f"no error within {limit} steps")


def thread_names():
    """Name of every thread of this process."""
    names = []
    for task in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{task}/comm", encoding="utf-8", errors="replace") as file:
                names.append(file.read().strip())
        except OSError:  # ended meanwhile
            continue
    return names


def stage_threads():
    """Names of the threads of this process that belong to a source or to a stage."""
    return [n for n in thread_names() if n in STAGE_THREADS]


class Gate:
    """A dataset of numbers that waits at given elements until the test lets it on.

    The wait is deaf to cancellation: Python code that blocks cannot be interrupted.
    """

    def __init__(self, count, *stops):
        self._count = count
        self._stops = {stop: threading.Event() for stop in stops}
        self.reached = {stop: threading.Event() for stop in stops}

    def open(self, stop=None):
        for at, event in self._stops.items():
            if stop is None or at == stop:
                event.set()

    def dataset(self):
        def elements():
            for i in range(self._count):
                if i in self._stops:
                    self.reached[i].set()
                    self._stops[i].wait()
                yield i

        return Dataset.from_generator(elements, tf.int64, [])


def in_process(code, *arguments, environment=None, timeout=240):
    """Runs Python `code` in a process of its own with the tests on its path; gives its output."""
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    env = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "1", **(environment or {})}
    env["PYTHONPATH"] = os.pathsep.join([here, *(p for p in sys.path if p)])
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        env=env,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, (
        f"exit status {done.returncode}\n{done.stdout}\n{done.stderr[-6000:]}"
    )
    return done

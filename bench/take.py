"""Taking a step of 40 tensors from a stage, against put and get of TensorFlow's StagingArea.

  stage           a step that takes 40 ready tensors; the stage holds all that its source has before
                  the steps are timed, so that what is timed is the hand-over and not the reading
  area, one run   put and get of 40 tensors in one step, side by side (TensorFlow's own advice)
  area, two runs  put and get in two steps
  empty           a step that does nothing: what calling costs by itself, part of all the others
  one op,         a step in which one op, or one more, is given 40 tensors that are there and gives them
  two ops         on: the difference is what TensorFlow's executor takes to hand 40 tensors from any op to
                  the next. Whatever takes, the tensors pass twice: to the op that gives them to the step,
                  and to the one that uses them.

Each runs with the step in the caller's thread (inter_op_parallelism_threads = -1), where calling
costs least, and on the session's pool. What taking, or put and get, costs is the step less the
empty step. The goal is half of the faster area, in the caller's thread; on the pool, handing the
step to another thread varies by more than what is compared here.
"""

import dataclasses
import time

import numpy as np
import tensorflow as tf
from tensorflow.python.ops import data_flow_ops

from bench import workloads
from bench.intervals import over
from bench.processes import Contender, Field
from bench.report import bars, interval
from bench.sizes import Sizes
from examples.common import staging
from examples.common.stepper import Segment, Stepper

NAME = "take"
QUESTION = "What does taking 40 tensors cost, against put and get of TensorFlow's StagingArea?"
GOAL = 0.5
TENSORS, LENGTH = 40, 512
EXECUTORS = {"caller's thread": -1, "pool": 0}
CONTENDERS = ("stage", "area, one run", "area, two runs", "empty", "one op", "two ops")
HANDED_TWICE = 2  # out of the stage, and into what uses them
AHEAD = 256


@dataclasses.dataclass(frozen=True, kw_only=True)
class TakeSizes(Sizes):
    """seconds: of one contender in one round."""

    seconds: float = 0.5


QUICK = TakeSizes(expected_s=15, rounds=5, seconds=0.1)
FULL = TakeSizes(expected_s=90, rounds=14)


def _use(tensors):
    """An op that needs every tensor and does nothing with it.

    It must be what the step fetches: behind a control edge only, it would be optimized away.
    """
    return tf.raw_ops.IdentityN(input=tensors)[0].op


def _batch():
    """Constants: nothing is computed or read to give them."""
    return [tf.constant(np.full(LENGTH, i, np.int64)) for i in range(TENSORS)]


def _config(inter_op_threads, ahead=None):
    config = staging.session_config(ahead)
    config.inter_op_parallelism_threads = inter_op_threads
    return config


class _FullStage:
    """Steps a staged graph in bursts, each begun with all that the source has in the stage."""

    def __init__(self, inter_op_threads):
        def build():
            # One element more than a burst: its take, which is not timed, starts the stage.
            tensors, initializer = workloads.tensors(TENSORS, LENGTH, elements=AHEAD + 1)
            self._initializer = initializer
            return _use(tensors), initializer

        ahead = staging.Staging(capacity=AHEAD)
        self._stepper = Stepper("stage", build, _config(inter_op_threads, ahead))
        staging.require_staged(self._stepper, "IteratorGetNext")

    def _fill(self):
        self._stepper.session.run(self._initializer)
        self._stepper.advance(1)
        while True:
            figures, = staging.stats(self._stepper)
            if figures["depth"] >= AHEAD:
                return
            time.sleep(0.0005)

    def advance(self, steps):
        parts = []
        while steps > 0:
            self._fill()
            parts.append(self._stepper.advance(min(steps, AHEAD)))
            steps -= parts[-1].steps
        return Segment(sum(p.steps for p in parts), sum(p.seconds for p in parts),
                       sum(p.cpu_seconds for p in parts), [])

    def close(self):
        self._stepper.close()


class _Area:
    """Steps a StagingArea that always holds one batch, in one run a step or in two."""

    def __init__(self, inter_op_threads, runs):
        def build():
            area = data_flow_ops.StagingArea([tf.int64] * TENSORS, shapes=[[LENGTH]] * TENSORS,
                                             capacity=2)
            self._put, got = area.put(_batch()), area.get()
            self._get = _use(got)
            with tf.control_dependencies([self._put]):
                return _use(got), []

        self._stepper = Stepper("area", build, _config(inter_op_threads))
        put, get = map(self._stepper.session.make_callable, (self._put, self._get))
        put()
        if runs == 2:
            def both():
                put()
                get()

            self._stepper.replace_step(both)

    def advance(self, steps):
        return self._stepper.advance(steps)

    def close(self):
        self._stepper.close()


def _ops(name, inter_op_threads, ops):
    """A Stepper of `ops` ops, one behind the other, each given all tensors."""
    def build():
        tensors = _batch()
        for _ in range(ops - 1):
            tensors = tf.raw_ops.IdentityN(input=tensors)
        return _use(tensors), []

    config = _config(inter_op_threads)
    config.graph_options.rewrite_options.disable_meta_optimizer = True  # which would leave nothing of it
    return Stepper(name, build, config)


def make(contender, inter_op_threads):
    """What bench.worker steps."""
    if contender == "stage":
        return _FullStage(inter_op_threads)
    if contender == "empty":
        return Stepper(contender, lambda: (tf.no_op(), []), _config(inter_op_threads))
    if contender in ("one op", "two ops"):
        return _ops(contender, inter_op_threads, 1 if contender == "one op" else 2)
    return _Area(inter_op_threads, runs=2 if contender == "area, two runs" else 1)


def _row(rounds, executor):
    def area(r):
        return min(r.seconds("area, one run"), r.seconds("area, two runs"))

    def without_call(r):
        # What the hand-over itself costs: the step less the call that both pay.
        return (r.seconds("stage") - r.seconds("empty")) / (area(r) - r.seconds("empty"))

    def floor(r):
        # What is left of `without_call` if taking itself cost nothing.
        return HANDED_TWICE * (r.seconds("two ops") - r.seconds("one op")) / (area(r) - r.seconds("empty"))

    ratio = over(rounds, without_call)
    has_goal = EXECUTORS[executor] == -1
    return {"executor": executor, "tensors": TENSORS, "ratio": ratio.as_json(),
            "floor": over(rounds, floor).as_json(),
            "ratio_of_steps": over(rounds, lambda r: r.seconds("stage") / area(r)).as_json(),
            "us": {name: over(rounds, lambda r, n=name: 1e6 * r.seconds(n)).as_json()
                   for name in CONTENDERS},
            "goal": GOAL if has_goal else None, "met": ratio.median <= GOAL if has_goal else None}


def run(sizes, setting):
    """Rows of the result, one an executor."""
    setting.watch.parts(len(EXECUTORS))
    rows = []
    for executor, threads in EXECUTORS.items():
        setting.watch.part(f"{TENSORS} tensors, {executor}")
        with Field((Contender(name, "bench.take:make",
                              {"contender": name, "inter_op_threads": threads})
                    for name in CONTENDERS), setting.watch) as field:
            rounds = field.run(sizes.rounds, sizes.seconds, setting.seed, measure_cores=False)
            rows.append(_row(rounds, executor))
    return rows


COLUMNS = (
    ("step runs in", lambda row: row["executor"]),
    *((f"{name}, us", lambda row, n=name: f"{row['us'][n]['median']:.1f}") for name in CONTENDERS),
    ("stage / faster area, both less the empty step (95% interval)", lambda row: interval(row["ratio"], 3)),
    (f"handing {TENSORS} tensors on {HANDED_TWICE} times / faster area",
     lambda row: interval(row["floor"], 3)),
    ("whole steps", lambda row: f"{row['ratio_of_steps']['median']:.3f}"),
)


def notes(rows):
    """Why the goal is where it is."""
    del rows
    return [f"A step that takes hands {TENSORS} tensors on {HANDED_TWICE} times, out of the stage and into "
            "what uses them. What that takes with ops that do nothing (two ops less one op) is the least "
            "that the ratio can be, with nothing spent on taking, and on freeing what was taken: the tensors of a "
            "stage are fresh ones, those of the area are always the same."]


def draw(rows, axes):
    """Time of a step by contender and executor."""
    width = 0.8 / len(rows)
    for at, row in enumerate(rows):
        us = row["us"]
        bars(axes, [i + at * width for i in range(len(CONTENDERS))], [us[name] for name in CONTENDERS], width,
             label=row["executor"])
    axes.set_xticks([i + 0.4 - width / 2 for i in range(len(CONTENDERS))], CONTENDERS)
    axes.set_ylabel(f"step of {TENSORS} tensors, us")
    axes.legend()

"""What staging costs where there is nothing to overlap, at steps of about a millisecond.

  read        the stage only reads; the training part computes 1 ms
  40 tensors  the same, and 40 tensors cross
  no source   nothing can be staged: the graph stays as it is
  no training the stage computes 1 ms; the training part only keeps the result

unstaged / staged must not fall below 0.98.
"""

import dataclasses

import tensorflow as tf

from bench import calibrate, workloads
from bench.intervals import over
from bench.processes import Contender, Field, Round
from bench.sizes import Sizes
from examples.common import staging
from examples.common.stepper import Stepper

NAME = "overhead"
QUESTION = "What does staging cost where nothing can overlap, at steps of 1 ms?"
GOAL = 0.98
STEP_MS = 1.0
CASES = ("read", "40 tensors", "no source", "no training")
STAGED_OP = {"read": "IteratorGetNext", "40 tensors": "IteratorGetNext",
             "no training": "StringToHashBucketStrong"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class OverheadSizes(Sizes):
    """cases: of CASES. seconds: of one contender in one round."""

    cases: tuple = CASES
    seconds: float = 0.5


QUICK = OverheadSizes(expected_s=15, rounds=4, seconds=0.2)
FULL = OverheadSizes(expected_s=75, rounds=14)


def _build(case, strings):
    if case == "no source":
        batch = tf.compat.v1.get_variable("batch", initializer=tf.zeros([512], tf.int64),
                                          use_resource=True).read_value()
        return workloads.computing_step(batch, strings), []
    if case == "no training":
        element, initializer = workloads.element(strings)
        return workloads.keep(workloads.compute(element)), initializer
    batch, initializer = workloads.tensors(40 if case == "40 tensors" else 1)
    return workloads.computing_step(batch, strings), initializer


def make(case, strings, staged):
    """What bench.worker steps."""
    config = staging.session_config(staging.Staging(capacity=1) if staged else None)
    stepper = Stepper(case, lambda: _build(case, strings), config)
    if staged and case in STAGED_OP:
        staging.require_staged(stepper, STAGED_OP[case])
    return stepper


def _row(rounds, case):
    def by_contender(value):
        return {n: over(rounds, lambda r: 1e3 * value(r, n)).as_json()
                for n in ("unstaged", "staged")}

    ratio = over(rounds, lambda r: r.seconds("unstaged") / r.seconds("staged"))
    return {"case": case, "ratio": ratio.as_json(), "ms": by_contender(Round.seconds),
            "cpu_ms": by_contender(Round.cpu_seconds), "goal": GOAL, "met": ratio.median >= GOAL}


def run(sizes, setting):
    """Rows of the result, one a case."""
    setting.watch.parts(len(sizes.cases))
    strings = calibrate.strings_for(STEP_MS, calibrate.strings_per_millisecond())
    rows = []
    for case in sizes.cases:
        setting.watch.part(case)
        with Field((Contender(name, "bench.overhead:make",
                              {"case": case, "strings": strings, "staged": name == "staged"})
                    for name in ("unstaged", "staged")), setting.watch) as field:
            rows.append(_row(field.run(sizes.rounds, sizes.seconds, setting.seed,
                                       measure_cores=False), case))
    return rows


COLUMNS = (
    ("case", lambda row: row["case"]),
    ("unstaged ms", lambda row: f"{row['ms']['unstaged']['median']:.4f}"),
    ("staged ms", lambda row: f"{row['ms']['staged']['median']:.4f}"),
    ("unstaged / staged (95% interval)",
     lambda row: "{median:.4f} ({low:.4f} to {high:.4f})".format(**row["ratio"])),
)


def draw(rows, axes):
    """Every round's ratio, its median and interval, a line a case."""
    for at, row in enumerate(rows):
        ratio = row["ratio"]
        axes.plot(ratio["rounds"], [at] * len(ratio["rounds"]), ".", color="0.7")
        axes.errorbar(ratio["median"], at, xerr=[[ratio["median"] - ratio["low"]],
                                                 [ratio["high"] - ratio["median"]]],
                      marker="o", capsize=4, color="C0")
    axes.axvline(GOAL, color="k", linestyle="--", linewidth=1, label="goal")
    axes.set_yticks(range(len(rows)), [row["case"] for row in rows])
    axes.set_xlabel("unstaged step / staged step")
    axes.legend()

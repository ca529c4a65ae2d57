"""The SmartStage table with a stand-in for the accelerator: the training part only waits, and learns nothing.

The input parts are those of the zoo's models, on this machine; the training part takes all that they give and
then waits, without a processor, as long as one of these says:

  seed    the seed's A100 step: that of its fastest column, in which the training part does not wait for input
  scaled  that, scaled to this machine's input part: as many times that as the seed's table implies,
          step / (unstaged step - step)
  equal   as long as this machine's input part: what overlapping alone is worth at its best, two times

`--accelerator gpu` runs the models' own training parts on a GPU (accelerator_gpu.py).
"""

import dataclasses
import pathlib
import tempfile

from bench import limits, zoo
from bench.processes import Field
from bench.report import bars, interval, legend_above
from bench.settled import AUTOTUNE, as_text, settle
from bench.sizes import Sizes
from examples.common.contenders import PARTS
from examples.common.measure import cores

NAME = "accelerator"
QUESTION = ("SmartStage's table with a stand-in for the accelerator: the models' input parts with a training "
            "part that only waits, as long as the seed's A100 took. No accelerator was used.")
GOAL_OF_LIMIT = 0.97
GOAL_EQUAL = 1.9
UNTIMED = 6
CASES = ("seed", "scaled", "equal")

# The seed's global steps a second on an A100: without SmartStage, with do_smartstage, with do_smartstage_gpu
# (stage_subgraph_on_cpu). The table has no wdl, which here takes DeepFM's.
SEED = {"dien": (17.1673, 16.918, 17.2557), "din": (137.584, 132.619, 165.069),
        "dlrm": (91.6982, 67.735, 188.105), "dssm": (92.4544, 83.7194, 101.352),
        "deepfm": (74.7011, 62.1227, 93.0858)}
LIKE = {"wdl": "deepfm"}


def seed_of(model):
    """The seed's three figures for a model, or for the one that stands for it."""
    return SEED[LIKE.get(model, model)]


def seed_wait_ms(model):
    """The seed's training part, ms: the step of its fastest column."""
    return 1e3 / max(seed_of(model))


def training_over_input(model):
    """The seed's training part over its input part, as its table implies."""
    main = seed_wait_ms(model)
    return main / (1e3 / seed_of(model)[0] - main)


@dataclasses.dataclass(frozen=True, kw_only=True)
class WaitSizes(Sizes):
    """seed, scaled, equal: models of each case. small: models whose scaled step would take seconds, and so
    has batches of small_batch instead of batch. records: drawn, of each kind of data. seconds: of one
    contender in one round."""

    seed: tuple = ("dlrm", "deepfm", "din", "dien", "dssm", "wdl")
    scaled: tuple = ("dlrm", "deepfm", "din", "dien", "dssm", "wdl")
    equal: tuple = ("dlrm",)
    batch: int = 512
    small: tuple = ("dien",)
    small_batch: int = 32
    records: int = 100_000
    seconds: float = 0.4


QUICK = WaitSizes(expected_s=80, rounds=3, seed=(), scaled=("dlrm", "din", "dssm"), records=20_000,
                  seconds=0.3)
FULL = WaitSizes(expected_s=590, rounds=9)
CONTENDERS = {"unstaged": {}, "staged": AUTOTUNE, "on_cpu": AUTOTUNE | {"stage_subgraph_on_cpu": True}}


def _contender(name, **arguments):
    return zoo.staged_or(name, CONTENDERS.get(name), UNTIMED, **arguments)


def input_ms(rounds, seconds, seed, **arguments):
    """This machine's input part, by itself; the best of `rounds` rounds, as other work only makes it longer.

    arguments: of zoo.make().
    """
    with Field([_contender("prepare", **arguments)]) as field:
        done = field.run(rounds, seconds, seed, measure_cores=False)
    return min(1e3 * r.seconds("prepare") for r in done)


def _wait_ms(case, model, alone_ms):
    if case == "seed":
        return seed_wait_ms(model)
    return alone_ms * (training_over_input(model) if case == "scaled" else 1.0)


def _row(rounds, case, model, batch_size, wait_ms, chosen):
    row = {"case": case, "model": model, "batch_size": batch_size, "wait_ms": wait_ms, "chosen": chosen,
           **limits.found(rounds, tuple(CONTENDERS), threads=cores())}
    speedup = row["speedup"]["staged"]
    goal = {f"limit / staged {GOAL_OF_LIMIT}": row["of_limit"]["staged"]["median"] >= GOAL_OF_LIMIT}
    if case == "scaled":
        goal["unstaged / staged from 0.98 on"] = speedup["low"] >= 0.98
    if case == "equal":
        goal[f"unstaged / staged {GOAL_EQUAL}"] = speedup["median"] >= GOAL_EQUAL
    return row | {"goal": goal, "met": all(goal.values())}


def run(sizes, setting):
    """Rows of the result, one a case and model."""
    todo = [(case, model) for case in CASES for model in getattr(sizes, case)]
    setting.watch.parts(len(todo))
    rows = []
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        for case, model in todo:
            batch_size = sizes.small_batch if case == "scaled" and model in sizes.small else sizes.batch
            setting.watch.part(f"{model}, stand-in, {case}")
            path = zoo.generate(model, pathlib.Path(folder), sizes.records, setting.seed)
            arguments = {"model": model, "path": path, "batch_size": batch_size}
            alone_ms = 0
            if case != "seed":
                alone_ms = input_ms(max(5, sizes.rounds), sizes.seconds, setting.seed, **arguments)
            wait_ms = _wait_ms(case, model, alone_ms)
            with Field((_contender(name, wait_ms=wait_ms, **arguments) for name in (*CONTENDERS, *PARTS)),
                       setting.watch) as field:
                chosen = settle(field, ("staged", "on_cpu"))
                rounds = field.run(sizes.rounds, sizes.seconds, setting.seed)
            rows.append(_row(rounds, case, model, batch_size, wait_ms, chosen))
    return rows


def steps_a_second(row, name):
    """Text."""
    return f"{1e3 / row['ms'][name]['median']:.4g}"


def seed_ratios(row):
    """Text: the seed's speed-up with do_smartstage and with do_smartstage_gpu."""
    without, *others = seed_of(row["model"])
    return ", ".join(f"{other / without:.2f}" for other in others) + (
        f" ({LIKE[row['model']]}'s)" if row["model"] in LIKE else "")


COLUMNS = (
    ("model, batch", lambda row: f"{row['model']}, {row['batch_size']}"),
    ("stand-in waits", lambda row: f"{row['wait_ms']:.2f} ms ({row['case']})"),
    ("input part", lambda row: f"{row['ms']['prepare']['median']:.2f} ms"),
    ("chosen: capacity, threads", lambda row: as_text(row["chosen"]["staged"])),
    ("unstaged, steps/s", lambda row: steps_a_second(row, "unstaged")),
    ("staged, steps/s", lambda row: steps_a_second(row, "staged")),
    ("stage_subgraph_on_cpu, steps/s", lambda row: steps_a_second(row, "on_cpu")),
    ("unstaged / staged", lambda row: interval(row["speedup"]["staged"])),
    ("the seed's", seed_ratios),
    ("limit set by", lambda row: row["bound_by"]),
    ("limit / staged", lambda row: interval(row["of_limit"]["staged"], 3)),
    ("limit / on_cpu", lambda row: interval(row["of_limit"]["on_cpu"], 3)),
)


def notes(rows):
    """What the figures are not."""
    del rows
    return ["A stand-in: the training part waits and computes nothing, so these are no figures of an "
            "accelerator.",
            "The seed's columns are do_smartstage and do_smartstage_gpu over neither, on an A100 with 64 "
            "cores; its DLRM gains more than two times, which overlapping alone cannot give."]


FIGURE_SIZE = (9, 4.2)


def draw(rows, axes):
    """Speed over unstaged by row, with what the limit allows."""
    for at, (name, label) in enumerate((("staged", "staged"), ("on_cpu", "stage_subgraph_on_cpu"))):
        bars(axes, [i + 0.35 * at for i in range(len(rows))], [row["speedup"][name] for row in rows], 0.33,
             label=label)
    for i, row in enumerate(rows):
        axes.hlines(row["speedup"]["limit"]["median"], i - 0.2, i + 0.55, color="black", linestyle="--",
                    label=None if i else "limit")
    axes.axhline(1, color="grey", linewidth=1)
    axes.set_xticks([i + 0.17 for i in range(len(rows))], [f"{r['model']}\n{r['case']}" for r in rows],
                    fontsize=8)
    axes.set_ylabel("speed over unstaged, stand-in for the accelerator")
    legend_above(axes)

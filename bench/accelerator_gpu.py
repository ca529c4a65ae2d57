"""The SmartStage table with the models' own training parts on a GPU: `headrace bench accelerator
--accelerator gpu`.

Needs TensorFlow's GPU wheel and a GPU. Columns as the seed's, and the stage on a stream of its own; a
contender that Headrace refuses has its reason in the table.
"""

import dataclasses
import pathlib
import statistics
import tempfile

from bench import accelerator, limits, zoo
from bench.environment import Unfit
from bench.processes import Field, WorkerError
from bench.report import bars, interval, legend_above
from bench.settled import AUTOTUNE, settle
from bench.sizes import Sizes
from bench.smartstage import UNTIMED, compare
from examples.common.contenders import PARTS
from examples.common.measure import cores

NAME = "accelerator-gpu"
QUESTION = ("SmartStage's table with the training part on a GPU: unstaged, staged, stage_subgraph_on_cpu, "
            "multi-stream.")
GOALS = {"dlrm": 2.2}  # times unstaged, in the best column
GOAL_MEAN = 1.35       # geometric mean of the seed's five models
CONTENDERS = {"unstaged": {}, "staged": AUTOTUNE, "on_cpu": AUTOTUNE | {"stage_subgraph_on_cpu": True},
              "streams": AUTOTUNE | {"streams": 2, "stage_subgraph_stream_id": 1}}


@dataclasses.dataclass(frozen=True, kw_only=True)
class GpuSizes(Sizes):
    """models: of the zoo. batch: their batch size. records: drawn. seconds: of one contender in one round.

    compared: steps whose losses must be equal; 0, as sums on a GPU need not come in the same order: none.
    """

    models: tuple = ("dlrm", "deepfm", "din", "dien", "dssm", "wdl")
    batch: int = 512
    records: int = 200_000
    seconds: float = 1.0
    compared: int = 0


QUICK = GpuSizes(expected_s=240, rounds=3, records=20_000, seconds=0.3)
FULL = GpuSizes(expected_s=900, rounds=9)


def check(sizes):
    """Raises Unfit where TensorFlow sees no GPU."""
    del sizes
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        build = "the GPU wheel" if tf.test.is_built_with_cuda() else "the CPU wheel"
        raise Unfit(f"--accelerator gpu: TensorFlow {tf.__version__} ({build}) sees no GPU here. On a "
                    "machine with one, install tensorflow[and-cuda]==2.21.* in place of tensorflow-cpu; "
                    "without one, `headrace bench accelerator` measures with a stand-in")


def _contender(name, model, path, batch_size):
    return zoo.staged_or(name, CONTENDERS.get(name), UNTIMED, model=model, path=path, batch_size=batch_size)


def _refused(model, path, batch_size):
    """{name: why} of contenders that cannot be built here."""
    why = {}
    for name in ("on_cpu", "streams"):
        try:
            with Field([_contender(name, model, path, batch_size)]) as field:
                field.contenders[name].advance(1)
        except WorkerError as error:
            why[name] = str(error).strip().splitlines()[-1]
    return why


def _row(rounds, model, batch_size, refused):
    names = tuple(name for name in CONTENDERS if name in rounds[0].segments)
    found = limits.found(rounds, names, threads=cores())
    best = max(names[1:], key=lambda name: found["speedup"][name]["median"])
    row = {"model": model, "batch_size": batch_size, "refused": refused, "best": best, **found, "goal": None,
           "met": None}
    if model in GOALS:
        row["goal"] = GOALS[model]
        row["met"] = row["speedup"][best]["median"] >= GOALS[model]
    return row


def run(sizes, setting):
    """Rows of the result, one a model."""
    setting.watch.parts(len(sizes.models))
    rows, refused = [], None
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        for model in sizes.models:
            setting.watch.part(model)
            path = zoo.generate(model, pathlib.Path(folder), sizes.records, setting.seed)
            if refused is None:
                refused = _refused(model, path, sizes.batch)
            names = [name for name in (*CONTENDERS, *PARTS) if name not in refused]
            contenders = [_contender(name, model, path, sizes.batch) for name in names]
            with Field(contenders, setting.watch) as field:
                if sizes.compared:
                    compare(field, sizes.compared)
                settle(field, [name for name in names if name in CONTENDERS and name != "unstaged"])
                rounds = field.run(sizes.rounds, sizes.seconds, setting.seed)
            rows.append(_row(rounds, model, sizes.batch, refused))
    return rows


def _speed(row, name):
    if name not in row["ms"]:
        return "refused"
    return accelerator.steps_a_second(row, name)


COLUMNS = (
    ("model, batch", lambda row: f"{row['model']}, {row['batch_size']}"),
    ("unstaged, steps/s", lambda row: _speed(row, "unstaged")),
    ("staged, steps/s", lambda row: _speed(row, "staged")),
    ("stage_subgraph_on_cpu, steps/s", lambda row: _speed(row, "on_cpu")),
    ("multi-stream, steps/s", lambda row: _speed(row, "streams")),
    ("best / unstaged", lambda row: f"{row['best']}: {interval(row['speedup'][row['best']])}"),
    ("the seed's", accelerator.seed_ratios),
    ("limit set by", lambda row: row["bound_by"]),
    ("limit / best", lambda row: interval(row["of_limit"][row["best"]], 3)),
)


def notes(rows):
    """The mean over the seed's models, and why a column is empty."""
    gains = [row["speedup"][row["best"]]["median"] for row in rows if row["model"] in accelerator.SEED]
    lines = [f"{name}: {why}" for name, why in rows[0]["refused"].items()]
    if len(gains) == len(accelerator.SEED):
        mean = statistics.geometric_mean(gains)
        lines.append(f"geometric mean over the seed's five models {mean:.2f} (goal {GOAL_MEAN}: "
                     f"{'met' if mean >= GOAL_MEAN else 'missed'}); the seed's 1.28")
    return lines


def draw(rows, axes):
    """Speed over unstaged, by model and contender."""
    names = [name for name in CONTENDERS if name in rows[0]["speedup"]]
    for at, name in enumerate(names):
        bars(axes, [i + 0.25 * at for i in range(len(rows))], [row["speedup"][name] for row in rows], 0.23,
             label=name)
    axes.axhline(1, color="grey", linewidth=1)
    axes.set_xticks([i + 0.25 for i in range(len(rows))], [row["model"] for row in rows])
    axes.set_ylabel("speed over unstaged")
    legend_above(axes)

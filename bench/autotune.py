"""AUTOTUNE against every fixed capacity and number of threads, and against not staging.

In trial rounds of their own the fixed settings compete; the best of them then meets AUTOTUNE and the unstaged
graph. AUTOTUNE measures first, alone, as long as it wants to; how long that was is a column.
"""

import dataclasses
import pathlib
import tempfile

from bench import accelerator, limits, smartstage, zoo
from bench.intervals import over
from bench.processes import Field
from bench.report import bars, interval, legend_above
from bench.settled import AUTOTUNE, as_text, settle
from bench.sizes import Sizes
from examples.common.measure import cores

NAME = "autotune"
QUESTION = ("StageOptions' default, which chooses capacity, threads, and whether to run ahead at all, "
            "against the best fixed setting and against the unstaged graph.")
GOAL_OF_BEST = 0.97
GOAL_OVER_UNSTAGED = 0.98
GOAL_STEPS, GOAL_SECONDS = 100, 3.0
SPARE_BYTES = 64 << 20  # beside what is held ahead
UNTIMED = 8
# What the training part is: the model's own, or waiting as long as the input part takes, or a tenth of that.
TRAINING = {"computes": None, "waits": 1.0, "waits briefly": 0.1}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TuneSizes(Sizes):
    """computes, waits, briefly: models of each case. batches: of the six models, in the order of smartstage.
    records: drawn, of each kind of data. seconds: of one contender in one round. trials: rounds of the fixed
    settings. capacities: fixed ones, each with one thread and with one a core."""

    computes: tuple = ("dlrm", "deepfm", "din", "dien", "dssm", "wdl")
    waits: tuple = ("dlrm", "din")
    briefly: tuple = ("dlrm",)
    records: int = 100_000
    seconds: float = 0.4
    trials: int = 3
    capacities: tuple = (1, 4)


QUICK = TuneSizes(expected_s=45, rounds=3, computes=("dlrm",), waits=("din",), briefly=(), records=20_000,
                  seconds=0.3, capacities=(1, 4))
FULL = TuneSizes(expected_s=300, rounds=9)


def _fixed(sizes):
    settings = [(c, t) for c in sizes.capacities for t in sorted({1, cores()})]
    return {f"{c}, {t}": {"capacity": c, "num_threads": t} for c, t in settings}


def _memory(pid):
    """Resident bytes of a process."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) << 10
    raise RuntimeError(f"/proc/{pid}/status has no VmRSS")


def _measure(sizes, setting, case, model, path, batch_size):
    arguments = {"model": model, "path": path, "batch_size": batch_size}
    if TRAINING[case] is not None:
        alone_ms = accelerator.input_ms(5, sizes.seconds, setting.seed, **arguments)
        arguments["wait_ms"] = TRAINING[case] * alone_ms
    fixed = _fixed(sizes)
    contenders = {"unstaged": {}, "auto": AUTOTUNE, **fixed}
    with Field((zoo.staged_or(name, how, UNTIMED, **arguments) for name, how in contenders.items()),
               setting.watch) as field:
        settle(field, ["auto"])
        trials = field.run(sizes.trials, sizes.seconds, setting.seed, measure_cores=False,
                           names=list(fixed))
        medians = {name: over(trials, lambda r, n=name: 1e3 * r.seconds(n)).median for name in fixed}
        best = min(fixed, key=medians.get)
        for name in set(fixed) - {best}:
            field.contenders.pop(name).close()
        field.contenders["best"] = field.contenders.pop(best)
        rounds = field.run(sizes.rounds, sizes.seconds, setting.seed, measure_cores=False)
        chosen = field.contenders["auto"].about()
        more_bytes = _memory(field.contenders["auto"].pid) - _memory(field.contenders["unstaged"].pid)
    found = {"best": fixed[best], "trials_ms": medians, "chosen": chosen, "more_bytes": more_bytes,
             "wait_ms": arguments.get("wait_ms")}
    return _row(rounds, case, model, batch_size, found)


def allowed_bytes(chosen):
    """(depth + 1) batches and 64 MB, over unstaged."""
    held = 0
    for stage in chosen["stages"]:
        batch = stage["held_bytes"] / max(stage["depth_limit"], 1)
        held += (stage["depth_limit"] + 1) * batch
    return held + SPARE_BYTES


def in_time(chosen, rounds_over=1.35):
    """Whether it chose within 100 steps or 3 s, whichever ends later; a round that has begun is finished."""
    return chosen["steps"] <= rounds_over * GOAL_STEPS or chosen["seconds"] <= rounds_over * GOAL_SECONDS


def _row(rounds, case, model, batch_size, found):
    of_best = limits.ratio(rounds, "best", "auto")
    over_unstaged = limits.ratio(rounds, "unstaged", "auto")
    goal = {f"best fixed / AUTOTUNE {GOAL_OF_BEST}": of_best.median >= GOAL_OF_BEST,
            f"unstaged / AUTOTUNE {GOAL_OVER_UNSTAGED}": over_unstaged.median >= GOAL_OVER_UNSTAGED,
            "100 steps or 3 s": in_time(found["chosen"]),
            "memory": found["more_bytes"] <= allowed_bytes(found["chosen"])}
    return {"case": case, "model": model, "batch_size": batch_size, **found,
            "ms": {name: over(rounds, lambda r, n=name: 1e3 * r.seconds(n)).as_json()
                   for name in ("unstaged", "best", "auto")},
            "of_best": of_best.as_json(), "over_unstaged": over_unstaged.as_json(),
            "best_over_unstaged": limits.ratio(rounds, "unstaged", "best").as_json(),
            "goal": goal, "met": all(goal.values())}


def run(sizes, setting):
    """Rows of the result, one a case and model."""
    batches = dict(zip(smartstage.FULL.models, smartstage.FULL.batches, strict=True))
    cases = zip(TRAINING, (sizes.computes, sizes.waits, sizes.briefly), strict=True)
    todo = [(case, model) for case, models in cases for model in models]
    setting.watch.parts(len(todo))
    rows = []
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        for case, model in todo:
            setting.watch.part(f"{model}, training part {case}")
            path = zoo.generate(model, pathlib.Path(folder), sizes.records, setting.seed)
            rows.append(_measure(sizes, setting, case, model, path, batches[model]))
    return rows


def _training(row):
    return row["case"] if row["wait_ms"] is None else f"{row['case']} ({row['wait_ms']:.2f} ms)"


COLUMNS = (
    ("model, batch", lambda row: f"{row['model']}, {row['batch_size']}"),
    ("training part", _training),
    *((f"{name} ms", lambda row, n=key: f"{row['ms'][n]['median']:.2f}")
      for name, key in (("unstaged", "unstaged"), ("best fixed", "best"), ("AUTOTUNE", "auto"))),
    ("best fixed: capacity, threads", lambda row: "{capacity}, {num_threads}".format(**row["best"])),
    ("chosen", lambda row: as_text(row["chosen"])),
    ("after", lambda row: f"{row['chosen']['steps']} steps, {row['chosen']['seconds']:.1f} s"),
    ("best fixed / AUTOTUNE", lambda row: interval(row["of_best"])),
    ("unstaged / AUTOTUNE", lambda row: interval(row["over_unstaged"])),
    ("memory over unstaged", lambda row: f"{row['more_bytes'] / (1 << 20):.0f} of "
                                         f"{allowed_bytes(row['chosen']) / (1 << 20):.0f} MiB"),
)


def notes(rows):
    """All trials."""
    return [f"{row['model']}, {row['case']}: trials of capacity, threads: "
            + ", ".join(f"({name}) {ms:.2f} ms" for name, ms in row["trials_ms"].items()) for row in rows]


FIGURE_SIZE = (9, 4.2)


def draw(rows, axes):
    """Speed over unstaged by row: the best fixed setting and AUTOTUNE."""
    for at, (name, key) in enumerate((("best fixed", "best_over_unstaged"), ("AUTOTUNE", "over_unstaged"))):
        bars(axes, [i + 0.35 * at for i in range(len(rows))], [row[key] for row in rows], 0.33, label=name)
    axes.axhline(1, color="grey", linewidth=1)
    axes.set_xticks([i + 0.17 for i in range(len(rows))], [f"{r['model']}\n{r['case']}" for r in rows],
                    fontsize=8)
    axes.set_ylabel("speed over unstaged")
    legend_above(axes)

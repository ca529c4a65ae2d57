"""The SmartStage table on a CPU: the zoo's models unstaged, staged, tuned by hand, and the limit of each.

The model's code is the same in all: unstaged and staged sessions run the graph as its author wrote it;
whoever tunes by hand moves parsing, hashing and padding into a parallel map over whole batches
(bench/zoo.py). All must have the same losses, bit for bit. In full runs the tuned input is tried with several
degrees of parallelism, in trial rounds of their own, and the best competes. The staged one has StageOptions'
defaults: it tunes itself.
"""

import dataclasses
import pathlib
import tempfile

from bench import limits, zoo
from bench.intervals import over
from bench.processes import Contender, Field
from bench.report import bars, interval, legend_above
from bench.settled import AUTOTUNE, as_text, settle
from bench.sizes import Sizes
from examples.common.contenders import PARTS
from examples.common.measure import cores
from examples.common.turns import losses_equal

NAME = "smartstage"
QUESTION = ("SmartStage's table on a CPU: the zoo's models unstaged, staged, and with the input tuned by "
            "hand (parallel map, prefetch, AUTOTUNE), with what the parts allow.")
GOAL_OVER_TUNED = 0.98  # of the lower end of the interval
GOAL_OF_LIMIT = 0.95
UNTIMED = 7
CONTENDERS = ("tuned", "service", "staged")
# The seed's row: global steps a second of DLRM on 32 cores, without and with SmartStage.
SEED = {"dlrm": (201, 212)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelSizes(Sizes):
    """models: of the zoo. batches: their batch sizes. records: drawn, of each kind of data.

    seconds: of one contender in one round. compared: steps whose losses must be equal. trials: rounds in
    which settings of the tuned input are tried, 0 = none. service: models that also try a tf.data service on
    this host.
    """

    models: tuple = ("dlrm", "deepfm", "din", "dien", "dssm", "wdl")
    batches: tuple = (2048, 512, 512, 128, 512, 512)
    records: int = 100_000
    seconds: float = 0.4
    compared: int = 20
    trials: int = 3
    service: tuple = ("dlrm", "din")


QUICK = ModelSizes(expected_s=100, rounds=3, records=20_000, seconds=0.3, compared=5, trials=0, service=())
FULL = ModelSizes(expected_s=540, rounds=15)


def _candidates(sizes, model):
    """{name: (contender, settings)} of all that may compete."""
    tried = sizes.trials > 0
    tuned = sorted({0, 1, cores()}) if tried else [0]
    found = {"unstaged": ("unstaged", {}), "staged": ("staged", AUTOTUNE)}
    found |= {f"tuned, {n or 'AUTOTUNE'}": ("tuned", {"parallel_calls": n}) for n in tuned}
    if model in sizes.service:
        found["service"] = ("service", {})
    return found | {part: (part, {}) for part in PARTS}


def _best(field, sizes, setting, candidates):
    """Name of the "tuned" candidate with the shortest median step in trial rounds, and all medians in ms; the
    others are closed."""
    names = [name for name, (kind, _) in candidates.items() if kind == "tuned"]
    if not sizes.trials:
        return names[0], {}
    rounds = field.run(sizes.trials, sizes.seconds, setting.seed, measure_cores=False, names=names)
    medians = {name: over(rounds, lambda r, n=name: 1e3 * r.seconds(n)).median for name in names}
    best = min(names, key=medians.get)
    for name in set(names) - {best}:
        field.contenders.pop(name).close()
    return best, medians


def _measure(sizes, setting, model, batch_size, path):
    candidates = _candidates(sizes, model)
    with Field((Contender(name, "bench.zoo:make", {"contender": kind, "model": model, "path": path,
                                                   "batch_size": batch_size, **how}, UNTIMED)
                for name, (kind, how) in candidates.items()), setting.watch) as field:
        compare(field, sizes.compared)
        settle(field, ["staged"])
        best, medians = _best(field, sizes, setting, candidates)
        field.contenders["tuned"] = field.contenders.pop(best)
        rounds = field.run(sizes.rounds, sizes.seconds, setting.seed)
        settings = {"staged": field.contenders["staged"].about(), "tuned": candidates[best][1]}
    return _row(rounds, model, batch_size, settings, medians)


def compare(field, steps):
    """Raises RuntimeError where contenders, none of which has stepped yet, have other losses than each
    other."""
    losses = {name: contender.advance(steps, values=True).values
              for name, contender in field.contenders.items() if name not in PARTS}
    if not losses_equal(losses):
        raise RuntimeError(f"losses differ within {steps} steps: {losses}")


def _row(rounds, model, batch_size, settings, trials):
    names = tuple(name for name in ("unstaged", *CONTENDERS) if name in rounds[0].segments)
    over_tuned = limits.ratio(rounds, "tuned", "staged")
    row = {"model": model, "batch_size": batch_size, "settings": settings, "trials_ms": trials,
           **limits.found(rounds, names, cores()), "over_tuned": over_tuned.as_json()}
    if "service" in names:
        row["over_service"] = limits.ratio(rounds, "service", "staged").as_json()
    reached = row["of_limit"]["staged"]["median"]
    row["goal"] = {f"tuned / staged from {GOAL_OVER_TUNED} on": over_tuned.low >= GOAL_OVER_TUNED,
                   f"limit / staged {GOAL_OF_LIMIT}": reached >= GOAL_OF_LIMIT}
    return row | {"met": all(row["goal"].values())}


def run(sizes, setting):
    """Rows of the result, one a model."""
    setting.watch.parts(len(sizes.models))
    rows = []
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        for model, batch_size in zip(sizes.models, sizes.batches, strict=True):
            setting.watch.part(f"{model}, batches of {batch_size}")
            path = zoo.generate(model, pathlib.Path(folder), sizes.records, setting.seed)
            rows.append(_measure(sizes, setting, model, batch_size, path))
    return rows


def _settings(row):
    return f"{as_text(row['settings']['staged'])}; {row['settings']['tuned']['parallel_calls'] or 'AUTOTUNE'}"


COLUMNS = (
    ("model, batch", lambda row: f"{row['model']}, {row['batch_size']}"),
    *((f"{name} ms", lambda row, n=name: f"{row['ms'][n]['median']:.2f}" if n in row["ms"] else "")
      for name in ("unstaged", *CONTENDERS)),
    ("chosen: capacity, threads; tuned calls", _settings),
    ("limit ms", lambda row: f"{row['limit_ms']['median']:.2f}"),
    ("limit set by", lambda row: row["bound_by"]),
    ("unstaged / staged", lambda row: interval(row["speedup"]["staged"])),
    ("tuned / staged", lambda row: interval(row["over_tuned"])),
    ("service / staged", lambda row: interval(row["over_service"]) if "over_service" in row else ""),
    ("limit / staged", lambda row: interval(row["of_limit"]["staged"])),
)


def notes(rows):
    """What the limits are made of, and what the seed's page has."""
    lines = []
    for row in rows:
        terms = ", ".join(f"{name} {value['median']:.2f} ms" for name, value in row["terms_ms"].items())
        reached = ", ".join(f"{name} {value['median']:.2f}" for name, value in row["of_limit"].items())
        lines.append(f"{row['model']}: {terms} ({row['cores']['median']:.2f} effective cores); of the limit: "
                     f"{reached}; at best {interval(row['speedup']['limit'])} times unstaged")
    lines += [f"The seed's {model}: {before} and {after} steps/s on 32 cores, {after / before:.2f} times"
              for model, (before, after) in SEED.items()]
    return lines


FIGURE_SIZE = (9, 4.2)


def draw(rows, axes):
    """Speed over unstaged, by model and contender; what the limit allows."""
    for at, name in enumerate(CONTENDERS):
        found = {i + 0.25 * at: row["speedup"][name] for i, row in enumerate(rows) if name in row["speedup"]}
        if found:
            bars(axes, list(found), list(found.values()), 0.23, color=f"C{at}", label=name)
    for i, row in enumerate(rows):
        axes.hlines(row["speedup"]["limit"]["median"], i - 0.15, i + 0.65, color="black", linestyle="--",
                    label=None if i else "limit")
    axes.axhline(1, color="grey", linewidth=1)
    axes.set_xticks([i + 0.25 for i in range(len(rows))], [f"{r['model']}\n{r['batch_size']}" for r in rows])
    axes.set_ylabel("speed over unstaged")
    legend_above(axes)

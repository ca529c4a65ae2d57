"""DLRM on a CPU: unstaged, staged, tuned by hand, and the limit that its parts set.

The model and its input are those of examples/dlrm. The hand-tuned input (parse and hash in a
parallel map, prefetch, AUTOTUNE) is tried with several degrees of parallelism, and the staged one
with several depths and threads, in trial rounds of their own; the best of each then competes. All
must have the same losses, bit for bit.
"""

import pathlib
import tempfile

import tensorflow as tf

from bench.intervals import over
from bench.processes import Contender, Field
from examples.common import staging
from examples.common.contenders import PARTS, terms
from examples.common.measure import cores
from examples.common.turns import losses_equal
from examples.dlrm import generate, input_tuned, model
from examples.dlrm import input as plain
from examples.dlrm.train import contenders

NAME = "dlrm"
GOAL_OVER_TUNED = 1.0
GOAL_OF_LIMIT = 0.95
UNTIMED = 12
COMPARED_STEPS = 40


def add_arguments(parser):
    parser.add_argument("--dlrm-batch-sizes", type=int, nargs="+", default=[2048],
                        help="default: %(default)s")
    parser.add_argument("--dlrm-rows", type=int, default=200_000, help="generated rows to train on")
    parser.add_argument("--dlrm-data", nargs="+", type=str, default=[],
                        help="Criteo-format files to train on instead")
    parser.add_argument("--dlrm-seconds", type=float, default=2.5,
                        help="time of one contender in one round (default: %(default)s)")


def make(contender, files, batch_size, capacity=2, threads=1, parallel_calls=0):
    """What bench.worker steps. parallel_calls: of the tuned input; 0 = AUTOTUNE."""
    config = model.Config()
    made = contenders(files, batch_size, config)
    if contender == "staged":
        stepper = made.staged(staging.Staging(capacity, threads))
        staging.require_staged(stepper, "DecodeCSV")
        return stepper
    if contender == "tuned":
        calls = parallel_calls or tf.data.AUTOTUNE
        return made.other("tuned", lambda: input_tuned.next_batch(
            files, batch_size, config.buckets, calls))
    return made.unstaged() if contender == "unstaged" else made.part(contender)


def _contender(name, kind, files, batch_size, **settings):
    return Contender(name, "bench.dlrm:make", {"contender": kind, "files": files,
                                               "batch_size": batch_size, **settings}, UNTIMED)


def _best(args, files, batch_size, kind, candidates):
    """The settings of `candidates` with the shortest median step in trial rounds, and all
    medians."""
    if len(candidates) == 1:
        return candidates[0], []
    named = {", ".join(f"{k} {v}" for k, v in c.items()): c for c in candidates}
    with Field(_contender(name, kind, files, batch_size, **settings)
               for name, settings in named.items()) as field:
        rounds = field.run(max(3, args.rounds // 2), args.dlrm_seconds / 2, args.seed,
                           measure_cores=False)
    medians = {name: over(rounds, lambda r, n=name: r.seconds(n)).median for name in named}
    trials = [{"settings": named[name], "ms": 1e3 * medians[name]} for name in named]
    return named[min(medians, key=medians.get)], trials


def _compete(args, files, batch_size, tuned, staged):
    names = {"unstaged": {}, "tuned": tuned, "staged": staged, **{part: {} for part in PARTS}}
    with Field(_contender(name, name, files, batch_size, **settings)
               for name, settings in names.items()) as field:
        losses = {name: field.contenders[name].advance(COMPARED_STEPS, values=True).values
                  for name in ("unstaged", "tuned", "staged")}
        if not losses_equal(losses):
            raise RuntimeError(f"losses differ within {COMPARED_STEPS} steps: {losses}")
        return field.run(max(7, args.rounds), args.dlrm_seconds, args.seed)


def _row(rounds, batch_size, tuned, staged, trials):
    threads = staged["threads"]

    def limit(r):
        return terms(r.segments, r.cores).limit(threads)

    names = ("unstaged", "tuned", "staged", *PARTS)
    over_tuned = over(rounds, lambda r: r.seconds("tuned") / r.seconds("staged"))
    of_limit = over(rounds, lambda r: limit(r) / r.seconds("staged"))
    binding = [terms(r.segments, r.cores).binding(threads) for r in rounds]
    return {
        "batch_size": batch_size, "tuned": tuned, "staged": staged, "trials": trials,
        "losses_compared": COMPARED_STEPS,
        "ms": {n: over(rounds, lambda r, n=n: 1e3 * r.seconds(n)).as_json() for n in names},
        "cpu_ms": {n: over(rounds, lambda r, n=n: 1e3 * r.cpu_seconds(n)).as_json() for n in names},
        "limit_ms": over(rounds, lambda r: 1e3 * limit(r)).as_json(),
        "bound_by": max(sorted(set(binding)), key=binding.count),
        "cores": over(rounds, lambda r: r.cores).as_json(),
        "speedup": over(rounds, lambda r: r.seconds("unstaged") / r.seconds("staged")).as_json(),
        "speedup_limit": over(rounds, lambda r: r.seconds("unstaged") / limit(r)).as_json(),
        "over_tuned": over_tuned.as_json(), "of_limit": of_limit.as_json(),
        "tuned_of_limit": over(rounds, lambda r: limit(r) / r.seconds("tuned")).as_json(),
        "goal": GOAL_OF_LIMIT,
        "met": over_tuned.median >= GOAL_OVER_TUNED and of_limit.median >= GOAL_OF_LIMIT}


def run(args, say):
    """Rows of the result, one a batch size."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="bench-dlrm-") as folder:
        files = plain.data_files(args.dlrm_data) if args.dlrm_data else None
        if files is None:
            files = [str(pathlib.Path(folder) / "rows.tsv")]
            generate.write_rows(files[0], args.dlrm_rows, args.seed)
        parallel = [{"parallel_calls": n} for n in sorted({0, 1, cores()})]
        depths = [{"capacity": c, "threads": t} for c in (1, 4) for t in sorted({1, cores()})]
        for batch_size in args.dlrm_batch_sizes:
            say(f"{NAME}: trials at batches of {batch_size}")
            tuned, tuned_trials = _best(args, files, batch_size, "tuned", parallel)
            staged, staged_trials = _best(args, files, batch_size, "staged", depths)
            say(f"{NAME}: batches of {batch_size}, tuned {tuned}, staged {staged}")
            rounds = _compete(args, files, batch_size, tuned, staged)
            rows.append(_row(rounds, batch_size, tuned, staged,
                             {"tuned": tuned_trials, "staged": staged_trials}))
    return rows


def _interval(key):
    return lambda row: "{median:.3f} ({low:.3f} to {high:.3f})".format(**row[key])


COLUMNS = (
    ("batch", lambda row: str(row["batch_size"])),
    *((f"{name} ms", lambda row, n=name: f"{row['ms'][n]['median']:.2f}")
      for name in ("unstaged", "tuned", "staged")),
    ("limit ms", lambda row: f"{row['limit_ms']['median']:.2f}"),
    ("limit set by", lambda row: row["bound_by"]),
    ("unstaged / staged", _interval("speedup")),
    ("tuned / staged (goal 1)", _interval("over_tuned")),
    ("limit / staged", _interval("of_limit")),
)


def draw(rows, axes):
    """Every round's steps per second and their medians, by contender; the limit as a line."""
    names = ("unstaged", "tuned", "staged")
    ticks = []
    for group, row in enumerate(rows):
        for at, name in enumerate(names):
            x = group * (len(names) + 1) + at
            ticks.append((x, f"{name}\n{row['batch_size']}" if len(rows) > 1 else name))
            speeds = [1e3 / ms for ms in row["ms"][name]["rounds"]]
            axes.plot([x] * len(speeds), speeds, ".", color="0.7")
            axes.plot(x, 1e3 / row["ms"][name]["median"], "o", color=f"C{at}")
        left = group * (len(names) + 1)
        axes.hlines(1e3 / row["limit_ms"]["median"], left - 0.4, left + len(names) - 0.6, color="k",
                    linestyle="--", label="limit" if group == 0 else None)
    axes.set_xticks([x for x, _ in ticks], [text for _, text in ticks])
    axes.set_ylabel("steps per second")
    axes.legend()

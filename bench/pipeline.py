"""Pipeline efficiency: how near a staged step comes to the limit that its parts set.

The stage computes for as long as the training part takes, the hardest case for overlapping: any
time lost in either shows in the step. The training part computes too, or waits as for an
accelerator.

    T_limit = max(T_main, T_read, (T_read + T_body) / threads, CPU time / effective cores)
    efficiency = T_limit / T_step

T_main, T_read and T_read + T_body are steps of graphs that hold that part alone; CPU time is that
of an unstaged step in a session whose threads do not spin when idle.
"""

import dataclasses
import functools

from bench import calibrate, workloads
from bench.intervals import over
from bench.processes import Contender, Field
from bench.sizes import Sizes
from examples.common import staging
from examples.common.contenders import PARTS, Contenders, terms

NAME = "pipeline"
QUESTION = "How near is a staged step to the limit that its parts set?"
GOAL = 0.95
GOAL_FROM_MS = 0.5
CONTENDERS = ("staged", "unstaged", *PARTS)
MAIN = {"compute": "computes", "wait": "stand-in, only waits"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class PipelineSizes(Sizes):
    """lengths: of the training part, ms. main: what it does. seconds: of one contender in one round.

    capacity, threads: of the stage.
    """

    lengths: tuple = (0.05, 0.2, 0.5, 1.0, 5.0)
    main: tuple = ("compute", "wait")
    seconds: float = 0.5
    capacity: int = 2
    threads: int = 1


QUICK = PipelineSizes(expected_s=30, rounds=3, lengths=(0.5, 1.0), seconds=0.2)
FULL = PipelineSizes(expected_s=300, rounds=7)


def make(contender, main, length_ms, strings, capacity, threads):
    """What bench.worker steps."""
    def next_batch():
        element, initializer = workloads.element(strings)
        return workloads.compute(element), initializer

    if main == "compute":
        step = functools.partial(workloads.computing_step, strings=strings)
    else:
        step = functools.partial(workloads.waiting_step, microseconds=round(1000 * length_ms))
    made = Contenders(functools.partial(workloads.element, strings), next_batch, step)
    if contender == "unstaged":
        return made.unstaged()
    if contender == "staged":
        stepper = made.staged(staging.Staging(capacity, threads))
        staging.require_staged(stepper, "StringToHashBucketStrong")
        return stepper
    return made.part(contender)


def _row(rounds, main, length_ms, threads):
    def round_terms(r):
        return terms(r.segments, r.cores)

    efficiency = over(rounds, lambda r: round_terms(r).limit(threads) / r.seconds("staged"))
    binding = [round_terms(r).binding(threads) for r in rounds]
    return {
        "main": main, "length_ms": length_ms, "threads": threads,
        "efficiency": efficiency.as_json(),
        "speedup": over(rounds, lambda r: r.seconds("unstaged") / r.seconds("staged")).as_json(),
        "ms": {name: over(rounds, lambda r, n=name: 1e3 * r.seconds(n)).as_json()
               for name in CONTENDERS},
        "limit_ms": over(rounds, lambda r: 1e3 * round_terms(r).limit(threads)).as_json(),
        "cpu_ms": over(rounds, lambda r: 1e3 * r.cpu_seconds("cpu")).as_json(),
        "cores": over(rounds, lambda r: r.cores).as_json(),
        "bound_by": max(sorted(set(binding)), key=binding.count),
        "goal": GOAL if length_ms >= GOAL_FROM_MS else None,
        "met": efficiency.median >= GOAL if length_ms >= GOAL_FROM_MS else None,
    }


def run(sizes, setting):
    """Rows of the result, one for each length and kind of training part."""
    setting.watch.parts(len(sizes.main) * len(sizes.lengths))
    per_ms = calibrate.strings_per_millisecond()
    rows = []
    for main in sizes.main:
        for length in sizes.lengths:
            setting.watch.part(f"training part of {length} ms, {main}")
            arguments = {"main": main, "length_ms": length,
                         "strings": calibrate.strings_for(length, per_ms),
                         "capacity": sizes.capacity, "threads": sizes.threads}
            with Field((Contender(name, "bench.pipeline:make", {"contender": name, **arguments})
                        for name in CONTENDERS), setting.watch) as field:
                rounds = field.run(sizes.rounds, sizes.seconds, setting.seed)
            rows.append(_row(rounds, main, length, sizes.threads))
    return rows


COLUMNS = (
    ("training part", lambda row: f"{row['length_ms']:g} ms, {MAIN[row['main']]}"),
    ("unstaged ms", lambda row: f"{row['ms']['unstaged']['median']:.3f}"),
    ("staged ms", lambda row: f"{row['ms']['staged']['median']:.3f}"),
    ("limit ms", lambda row: f"{row['limit_ms']['median']:.3f}"),
    ("limit set by", lambda row: row["bound_by"]),
    ("cores", lambda row: f"{row['cores']['median']:.2f}"),
    ("efficiency (95% interval)", lambda row: "{median:.3f} ({low:.3f} to {high:.3f})".format(
        **row["efficiency"])),
)


def draw(rows, axes):
    """Efficiency over the length of the training part."""
    for main in dict.fromkeys(row["main"] for row in rows):
        mine = [row for row in rows if row["main"] == main]
        x = [row["length_ms"] for row in mine]
        y = [row["efficiency"]["median"] for row in mine]
        below = [row["efficiency"]["median"] - row["efficiency"]["low"] for row in mine]
        above = [row["efficiency"]["high"] - row["efficiency"]["median"] for row in mine]
        axes.errorbar(x, y, yerr=[below, above], marker="o", capsize=3,
                      label=f"training part: {MAIN[main]}")
    axes.axhline(GOAL, color="k", linestyle="--", linewidth=1,
                 label=f"goal from {GOAL_FROM_MS} ms on")
    axes.set_xscale("log")
    axes.set_xlabel("training part, ms")
    axes.set_ylabel("limit / step")
    axes.set_ylim(0, 1.1)
    axes.legend()

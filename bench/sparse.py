"""A step's time and bytes with a table of ten thousand rows on parameter servers, and of twenty million.

A job for each: one worker, two parameter servers, Adam, width 16; 26 rows an example, batches of 32. Measured
while it trains: steps by the master's account, bytes on the loopback interface, which carries nothing else.
"""

import dataclasses
import pathlib
import tempfile

from bench import jobs, table_job
from bench.intervals import estimate
from bench.report import bars, interval
from bench.sizes import Sizes

NAME = "sparse"
QUESTION = ("A step with a table of 20 million rows on parameter servers, against one of 10 thousand: time "
            "and bytes.")
GOAL = 1.2


@dataclasses.dataclass(frozen=True, kw_only=True)
class SparseSizes(Sizes):
    """small, large: rows of the two tables. steps: of a job, of which the first `warm_up` do not count."""

    small: int = 10_000
    large: int = 20_000_000
    steps: int = 4000
    warm_up: int = 400


QUICK = SparseSizes(expected_s=30, rounds=1, large=2_000_000, steps=1200, warm_up=300)
FULL = SparseSizes(expected_s=200, rounds=3)


def _loopback_bytes():
    for line in pathlib.Path("/proc/net/dev").read_text().splitlines():
        if line.strip().startswith("lo:"):
            return int(line.split()[1])
    raise OSError("there is no loopback interface")


def _measure(folder, rows, sizes):
    """{"step_ms", "step_bytes"} of one job."""
    watch = jobs.watch(lambda status: (int(status["step"]), _loopback_bytes()))
    table_job.run(folder, rows, sizes.steps, watch, num_minibatches_per_task=100, num_ps=2)
    inside = [sample for sample in watch.samples if sizes.warm_up <= sample[1] < sizes.steps]
    (began, first, before), (ended, last, after) = inside[0], inside[-1]
    steps = last - first
    return {"step_ms": (ended - began) / steps * 1e3, "step_bytes": (after - before) / steps}


def in_words(rows):
    """"10 thousand", "20 million"."""
    return f"{rows / 1e6:g} million" if rows >= 1e6 else f"{rows / 1e3:g} thousand"


def _rows(rounds, small, large):
    """Of rounds of {rows of the table: what _measure() gave}."""
    rows = []
    for what, unit in (("step_ms", "ms"), ("step_bytes", "bytes")):
        ratio = estimate([r[large][what] / r[small][what] for r in rounds])
        values = {in_words(size): estimate([r[size][what] for r in rounds]).as_json()
                  for size in (small, large)}
        rows.append({"what": f"a step's {unit}", "values": values, "ratio": ratio.as_json(), "goal": GOAL,
                     "met": ratio.median <= GOAL})
    return rows


def run(sizes, setting):
    """Rows of the result: time and bytes."""
    setting.watch.parts(2 * sizes.rounds)
    rounds = []
    for number in range(sizes.rounds):
        measured = {}
        for size in setting.order((sizes.small, sizes.large), number):
            setting.watch.part(f"round {number + 1} of {sizes.rounds}, {in_words(size)} rows")
            with tempfile.TemporaryDirectory() as folder:
                measured[size] = _measure(pathlib.Path(folder), size, sizes)
        rounds.append(measured)
    return _rows(rounds, sizes.small, sizes.large)


def _value(row, at):
    """Text: of the smaller table, at 0, or of the larger one."""
    rows, value = list(row["values"].items())[at]
    return f"{value['median']:.4g} ({rows} rows)"


COLUMNS = (
    ("", lambda row: row["what"]),
    ("small table", lambda row: _value(row, 0)),
    ("large table", lambda row: _value(row, 1)),
    ("ratio (95% interval), at most", lambda row: interval(row["ratio"])),
)


def draw(rows, axes):
    """Both ratios, with the limit."""
    bars(axes, range(len(rows)), [row["ratio"] for row in rows], 0.5)
    axes.axhline(GOAL, color="black", linestyle="--", linewidth=1)
    axes.set_xticks(range(len(rows)), [row["what"] for row in rows])
    small, large = rows[0]["values"]
    axes.set_ylabel(f"{large} rows over {small}")

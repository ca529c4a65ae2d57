"""A job of two workers, one at a tenth of the other's speed: its time over what the sum of both speeds
allows.

Two workers and a parameter server; a step waits, in the graph; the slower worker's step waits nine times that
in addition (src/trainer/failpoint.h). Both speeds are measured while both are at work, by what they say to
the master; the time is counted from the first status that shows both at work to the one that shows no record
left.
"""

import dataclasses
import pathlib
import tempfile
from unittest import mock

from bench import jobs, waiting_job
from bench.environment import OPS, require
from bench.intervals import estimate
from bench.sizes import Sizes

NAME = "straggler"
QUESTION = ("Two workers of one model, one at a tenth of the speed, with a stand-in that only waits: the "
            "job's time over what both speeds allow.")
GOAL = 1.25
WAIT_MS, SLOWER_MS = 8, 80
MIDDLE = 0.7  # of the records: until then both surely have some


@dataclasses.dataclass(frozen=True, kw_only=True)
class StragglerSizes(Sizes):
    """steps: of a job, both workers together. rounds: jobs."""

    steps: int = 2400


QUICK = StragglerSizes(expected_s=20, rounds=1, steps=1200)
FULL = StragglerSizes(expected_s=100, rounds=3)


def _slowed(describe):
    """job_file.describe, with one worker slowed down."""

    def described(*arguments):
        made = describe(*arguments)
        made["trainer"]["die_at"] = f"slow:read:{SLOWER_MS}"
        return made

    return described


def _measure(folder, steps):
    """{"ratio", "seconds", "allowed_s", "fast", "slow"}: of one job, speeds in steps a second."""
    from headrace.elastic import job_file

    with mock.patch.object(job_file, "describe", _slowed(job_file.describe)):
        samples = waiting_job.run(folder, steps, WAIT_MS, num_workers="2", num_ps=1)
    return _ratio(samples, waiting_job.BATCH * steps)


def _ratio(samples, total):
    """Of a job's samples, see the module. total: records."""
    fast, slow = jobs.speeds(samples, 2, total, MIDDLE)
    began, left, _ = next(s for s in samples if len(s[2]) == 2 and min(s[2].values()) > 0)
    over = next(s for s in samples if s[1] == 0)
    allowed = left / waiting_job.BATCH / (fast + slow)
    return {"ratio": (over[0] - began) / allowed, "seconds": over[0] - began, "allowed_s": allowed,
            "fast": fast, "slow": slow}


def check(sizes):
    """Raises Unfit where the op that waits is not built."""
    del sizes
    require(OPS)


def run(sizes, setting):
    """Rows of the result: one."""
    setting.watch.parts(sizes.rounds)
    rounds = []
    for number in range(sizes.rounds):
        setting.watch.part(f"job {number + 1} of {sizes.rounds}")
        with tempfile.TemporaryDirectory() as folder:
            rounds.append(_measure(pathlib.Path(folder), sizes.steps))
    return _rows(rounds)


def _rows(rounds):
    """Of what _measure() gave for each job."""
    ratio = estimate([r["ratio"] for r in rounds])
    return [{"what": "two workers, one at a tenth of the speed", "rounds": rounds, "ratio": ratio.as_json(),
             "goal": GOAL, "met": ratio.median <= GOAL}]


def _median(row, key):
    return estimate([r[key] for r in row["rounds"]]).median


COLUMNS = (
    ("", lambda row: row["what"]),
    ("steps/s of each", lambda row: f"{_median(row, 'fast'):.0f}, {_median(row, 'slow'):.0f}"),
    ("allowed, s", lambda row: f"{_median(row, 'allowed_s'):.1f}"),
    ("took, s", lambda row: f"{_median(row, 'seconds'):.1f}"),
    ("took / allowed (95% interval), at most 1.25",
     lambda row: "{median:.2f} ({low:.2f} to {high:.2f})".format(**row["ratio"])),
)


def draw(rows, axes):
    """Each job's ratio, with the limit."""
    for row in rows:
        jobs = range(1, len(row["rounds"]) + 1)
        axes.plot(jobs, [r["ratio"] for r in row["rounds"]], "o", label=row["what"])
        axes.set_xticks(jobs)
    axes.axhline(GOAL, color="black", linestyle="--", linewidth=1)
    axes.axhline(1, color="grey", linewidth=1)
    axes.set_xlabel("job")
    axes.set_ylabel("time over what the speeds allow")
    axes.legend()

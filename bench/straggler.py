"""A job of two workers, one at a tenth of the other's speed: its time over what the sum of both speeds allows.

Two workers and a parameter server; a step waits, in the graph; the slower worker's step waits nine times that in
addition (src/trainer/failpoint.h). Both speeds are measured while both are at work, by what they say to the master;
the time is counted from the first status that shows both at work to the one that shows no record left.
"""

import pathlib
import shutil
import tempfile
from unittest import mock

from bench import jobs
from bench.intervals import estimate

NAME = "straggler"
GOAL = 1.25
BATCH, STEPS, SLOWER_MS = 20, 2400, 80
MIDDLE = 0.7  # of the records: until then both surely have some


def add_arguments(parser):
    parser.add_argument("--straggler_rounds", type=int, default=3, help="jobs (default: %(default)s)")


def _steps(status):
    """{worker: its steps}."""
    return {w["name"]: int(w.get("telemetry", {}).get("steps", 0)) for w in status["workers"]}


def _slowed(describe):
    """job_file.describe, with one worker slowed down."""

    def described(*arguments):
        made = describe(*arguments)
        made["trainer"]["die_at"] = f"slow:read:{SLOWER_MS}"
        return made

    return described


def _measure(folder):
    """{"ratio", "seconds", "allowed_s", "speeds"}: of one job, speeds in steps a second."""
    from bench.loops import OPS
    from headrace.elastic import job, job_file
    from headrace.elastic.flags import JobFlags

    shutil.copy(pathlib.Path(__file__).with_name("straggler_model.py"), folder / "model.py")
    (folder / "data.txt").write_text("".join(f"{i}\n" for i in range(BATCH * STEPS)))
    watch = jobs.watch(lambda status: (int(status["totals"]["pending"]), _steps(status)))
    flags = JobFlags(
        "train", model_def=str(folder / "model.py"), training_data=[str(folder / "data.txt")],
        minibatch_size=BATCH, num_workers="2", num_ps=1, job_dir=str(folder / "job"), load_op_library=[OPS],
    )
    with mock.patch.object(job_file, "describe", _slowed(job_file.describe)):
        _, code = job.run(flags, watch)
    jobs.check(code, folder)
    return _ratio(watch.samples)


def _ratio(samples):
    """Of a job's samples, see the module."""
    total = BATCH * STEPS
    busy = [s for s in samples if len(s[2]) == 2 and min(s[2].values()) > 0]
    middle = [s for s in busy if s[1] > (1 - MIDDLE) * total]
    over = next(s for s in samples if s[1] == 0)
    (began, left, first), (until, _, last) = middle[0], middle[-1]
    speeds = sorted(((last[name] - first[name]) / (until - began) for name in first), reverse=True)
    allowed = left / BATCH / sum(speeds)
    return {"ratio": (over[0] - began) / allowed, "seconds": over[0] - began, "allowed_s": allowed,
            "fast": speeds[0], "slow": speeds[1]}


def run(args, say):
    """Rows of the result: one."""
    rounds = []
    for number in range(args.straggler_rounds):
        say(f"{NAME}: round {number + 1} of {args.straggler_rounds}")
        with tempfile.TemporaryDirectory() as folder:
            rounds.append(_measure(pathlib.Path(folder)))
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

"""What headrace-trainer's loop adds to a step, and what the change from one lease to the next costs.

`loop` is the trainer as it is: acknowledges every record, counts, tells the agent; `bare` calls the same
callable and does nothing else. Both are processes that a real agent feeds from a real master, without
staging, which would hide the change of leases, and put the scheduling of its threads into every figure.
"""

import dataclasses
import json
import pathlib
import shutil
import statistics
import tempfile

from bench import jobs
from bench.environment import PROJECT, require
from bench.intervals import estimate
from bench.sizes import Sizes

NAME = "steps"
QUESTION = ("What headrace-trainer's loop adds to a step over the bare callable, and what the change of "
            "leases adds.")
BATCH, LEASE = 4, 100  # LEASE: steps
GOALS = {"loop": 20.0, "switch": 200.0}  # microseconds


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepsSizes(Sizes):
    """steps: of a job. program: step_benchmark of a build with HEADRACE_BUILD_BENCHMARKS."""

    steps: int = 40_000
    program: str = str(PROJECT / "build/release/src/trainer/step_benchmark")


QUICK = StepsSizes(expected_s=20, rounds=2, steps=10_000)
FULL = StepsSizes(expected_s=130, rounds=7)


def _export(folder, steps):
    """Path of the settings for the program."""
    from headrace.elastic import export_process
    from headrace.elastic.flags import JobFlags

    shutil.copy(pathlib.Path(__file__).with_name("steps_model.py"), folder / "model.py")
    (folder / "data.txt").write_text("".join(f"{i % 1000}\n" for i in range(BATCH * steps)))
    flags = JobFlags("train", model_def=str(folder / "model.py"), training_data=[str(folder / "data.txt")],
                     minibatch_size=BATCH)
    export_process.export(str(folder / "export"), flags)
    path = folder / "settings.json"
    exported = str(folder / "export")
    path.write_text(json.dumps({"verb": "train", "exported": exported, "output": "", "staging": ""}))
    return path


def _measure(folder, program, mode, settings):
    """What the program found in a job of its own."""
    from headrace.elastic import job, progress
    from headrace.elastic.flags import JobFlags

    with tempfile.TemporaryDirectory(dir=folder) as own:
        own = pathlib.Path(own)
        flags = JobFlags("run", training_data=[str(folder / "data.txt")], minibatch_size=BATCH,
                         num_minibatches_per_task=LEASE, job_dir=str(own / "job"), shuffle=False)
        command = [program, mode, str(settings), str(own / "found.json")]
        _, code = job.run(flags, progress.Progress(quiet=True), command=command)
        jobs.check(code, own)
        return json.loads((own / "found.json").read_text())


def _rows(rounds):
    """Of rounds of {"loop", "bare": what the program found}."""
    def mean(found):
        return found["seconds"] / found["steps"] * 1e6

    pairs = {
        "loop": [(mean(r["bare"]), mean(r["loop"])) for r in rounds],
        "switch": [(r["bare"]["step_us"], r["bare"]["switch_us"]) for r in rounds],
    }
    rows = []
    for what, values in pairs.items():
        added = estimate([more - less for less, more in values])
        rows.append({"what": what, "without_us": statistics.median(less for less, _ in values),
                     "with_us": statistics.median(more for _, more in values), "added_us": added.as_json(),
                     "goal": GOALS[what], "met": added.median <= GOALS[what]})
    return rows


def check(sizes):
    """Raises Unfit where the program is not built."""
    require(sizes.program)


def run(sizes, setting):
    """Rows of the result: the loop around a step, the change of leases."""
    setting.watch.parts(2 * sizes.rounds)
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        settings = _export(folder, sizes.steps)
        for number in range(sizes.rounds):
            measured = {}
            for mode in setting.order(("loop", "bare"), number):
                setting.watch.part(f"round {number + 1} of {sizes.rounds}, {mode}")
                measured[mode] = _measure(folder, sizes.program, mode, settings)
            rounds.append(measured)
    return _rows(rounds)


WHAT = {"loop": "a step in headrace-trainer, over the bare callable",
        "switch": "a step that begins a lease, over one within"}
COLUMNS = (
    ("", lambda row: WHAT[row["what"]]),
    ("without, µs", lambda row: f"{row['without_us']:.0f}"),
    ("with, µs", lambda row: f"{row['with_us']:.0f}"),
    ("added, µs (95% interval), at most",
     lambda row: "{median:.1f} ({low:.1f} to {high:.1f})".format(**row["added_us"])),
)


def draw(rows, axes):
    """What is added, with its limits."""
    for at, row in enumerate(rows):
        added = row["added_us"]
        axes.bar(at, added["median"], 0.5, color="C0")
        axes.plot([at] * len(added["rounds"]), added["rounds"], ".", color="black")
        axes.hlines(row["goal"], at - 0.3, at + 0.3, color="black", linestyle="--", linewidth=1)
    axes.set_xticks(range(len(rows)), ["the trainer's loop", "the change of leases"])
    axes.set_ylabel("microseconds added to a step")

"""How speed grows with workers and parameter servers, and what the master alone can do.

Jobs of 1, 2 and 4 workers and parameter servers whose training part is a stand-in: it waits, so that two
cores do not decide. Speed is that of all workers together, while all are at work. The master alone: simulated
workers that each report a task and ask for the next, durably, as fast as they are answered, one call
outstanding each, on the same cores as the master (master_tasks_benchmark). Bytes a task: those of its events,
and of the whole journal's file.
"""

import dataclasses
import json
import pathlib
import subprocess
import tempfile

from bench import jobs, waiting_job
from bench.environment import OPS, PROJECT, require
from bench.intervals import estimate
from bench.report import interval
from bench.sizes import Sizes

NAME = "scaling"
QUESTION = ("1, 2 and 4 workers and parameter servers, with a stand-in for the training part that only "
            "waits; the master alone under 1 to 1,000 simulated workers.")
GOAL_TASKS = 5000  # tasks a second, from 10 simulated workers on
MASTER_FIGURES = ("p50_ms", "p99_ms", "event_bytes_per_task", "file_bytes_per_task")
MIDDLE = 0.8       # of a job's records: until then all surely have some


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScalingSizes(Sizes):
    """jobs: WORKERSxSERVERS; the first is what the others are compared with. steps: of a worker. wait_ms: of
    a step. clients: simulated workers. master_seconds: with each number of them. program:
    master_tasks_benchmark of a build with HEADRACE_BUILD_BENCHMARKS."""

    jobs: tuple = ("1x1", "2x2", "4x1", "4x4")
    steps: int = 200
    wait_ms: float = 50.0
    clients: tuple = (1, 10, 64, 100, 1000)
    master_seconds: float = 4.0
    program: str = str(PROJECT / "build/release/src/master/master_tasks_benchmark")


QUICK = ScalingSizes(expected_s=55, rounds=1, jobs=("1x1", "2x2", "4x4"), steps=120,
                     clients=(1, 10, 64, 1000), master_seconds=1.5)
FULL = ScalingSizes(expected_s=282, rounds=3)


def _cluster(name):
    """(workers, servers) of WORKERSxSERVERS."""
    workers, servers = map(int, name.split("x"))
    return workers, servers


def _job_speed(sizes, name):
    """Steps a second of all workers of a job."""
    workers, servers = _cluster(name)
    steps = sizes.steps * workers
    with tempfile.TemporaryDirectory() as folder:
        samples = waiting_job.run(pathlib.Path(folder), steps, sizes.wait_ms, num_workers=str(workers),
                                  num_ps=servers, num_minibatches_per_task=10)
    return sum(jobs.speeds(samples, workers, waiting_job.BATCH * steps, MIDDLE))


def _master(sizes, clients):
    """What the program found."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([sizes.program, "--clients", str(clients), str(sizes.master_seconds), folder],
                              capture_output=True, text=True, timeout=60 + 10 * sizes.master_seconds)
    if done.returncode != 0:
        raise RuntimeError(f"{sizes.program} with {clients} clients:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def check(sizes):
    """Raises Unfit where what it needs of the release build is not there."""
    require(OPS)
    if sizes.clients:
        require(sizes.program)


def run(sizes, setting):
    """Rows of the result: one a job, one a number of simulated workers."""
    setting.watch.parts(sizes.rounds * (len(sizes.jobs) + (1 if sizes.clients else 0)))
    speeds, found = [], []
    for number in range(sizes.rounds):
        measured = {}
        for name in setting.order(sizes.jobs, number):
            setting.watch.part(f"round {number + 1} of {sizes.rounds}, {jobs.cluster_of(*_cluster(name))}")
            measured[name] = _job_speed(sizes, name)
        speeds.append(measured)
        if sizes.clients:
            setting.watch.part(f"round {number + 1} of {sizes.rounds}, the master alone")
            found.append({n: _master(sizes, n) for n in setting.order(sizes.clients, number)})
    return _job_rows(speeds, sizes.jobs, sizes.wait_ms) + _master_rows(found, sizes.clients)


def _job_rows(rounds, names, wait_ms):
    """Of rounds of {job: steps a second}."""
    alone = names[0] if names else None
    rows = []
    for name in names:
        workers, servers = _cluster(name)
        per_worker = workers / _cluster(alone)[0]
        rows.append({"kind": "job", "workers": workers, "servers": servers, "wait_ms": wait_ms,
                     "rate": estimate([r[name] for r in rounds]).as_json(),
                     "of_linear": estimate([r[name] / r[alone] / per_worker for r in rounds]).as_json(),
                     "goal": None, "met": None})
    return rows


def _master_rows(rounds, clients):
    """Of rounds of {clients: what the program found}."""
    rows = []
    for n in clients:
        rate = estimate([r[n]["tasks_per_s"] for r in rounds])
        goal = GOAL_TASKS if n >= 10 else None
        rows.append({"kind": "master", "clients": n, "rate": rate.as_json(),
                     **{key: estimate([r[n][key] for r in rounds]).as_json() for key in MASTER_FIGURES},
                     "goal": goal, "met": None if goal is None else rate.median >= goal})
    return rows


def _what(row):
    if row["kind"] == "master":
        return f"master alone, {row['clients']:,} simulated worker{'s' if row['clients'] > 1 else ''}"
    return f"{jobs.cluster_of(row['workers'], row['servers'])}, stand-in waits {row['wait_ms']:g} ms"


def _bytes(row):
    """Text; "" where they were not measured."""
    if "file_bytes_per_task" not in row:
        return ""
    return f"{row['event_bytes_per_task']['median']:.0f}, {row['file_bytes_per_task']['median']:.0f}"


COLUMNS = (
    ("", _what),
    ("a second (95% interval)", lambda row: interval(row["rate"], 1 if row["kind"] == "job" else 0)
     + (" steps" if row["kind"] == "job" else " tasks")),
    ("of as many times the first", lambda row: interval(row["of_linear"]) if row["kind"] == "job" else ""),
    ("median, 99th percentile, ms", lambda row: "" if row["kind"] == "job" else
     f"{row['p50_ms']['median']:.2f}, {row['p99_ms']['median']:.2f}"),
    ("bytes a task: events, file", _bytes),
)
FIGURE_SIZE = (9, 4.2)


def draw(rows, axes):
    """Left half: steps a second of jobs, with what as many times the first would be; right half: the
    master."""
    mine = [row for row in rows if row["kind"] == "job"]
    axes.bar(range(len(mine)), [row["rate"]["median"] for row in mine], 0.5, label="jobs: steps a second")
    for at, row in enumerate(mine):
        axes.hlines(row["rate"]["median"] / row["of_linear"]["median"], at - 0.35, at + 0.35, color="black",
                    linestyle="--", label=None if at else "as many times the first")
    axes.set_ylabel("steps a second, the stand-in waits")
    other = axes.twinx()
    masters = [row for row in rows if row["kind"] == "master"]
    places = [len(mine) + 0.5 + at for at in range(len(masters))]
    other.bar(places, [row["rate"]["median"] for row in masters], 0.5, color="C1",
              label="master: tasks a second")
    other.set_ylabel("tasks a second")
    clusters = [jobs.cluster_of(r["workers"], r["servers"]) for r in mine]
    clusters = [text.replace(", ", "\n").replace("parameter ", "") for text in clusters]
    axes.set_xticks([*range(len(mine)), *places],
                    clusters + [f"{r['clients']:,}\nclients" for r in masters], fontsize=8)
    axes.set_xlim(-0.6, len(rows) + 0.1)
    handles = [axes.get_legend_handles_labels(), other.get_legend_handles_labels()]
    axes.legend(*[a + b for a, b in zip(*handles)], loc="upper left", fontsize=8)

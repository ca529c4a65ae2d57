"""The worker's loop on the seed's CIFAR-10 model: the seed's before, its after, and `headrace train`.

Every contender trains the same records once, batch 128, tasks of 32 batches, one worker; whole runs
alternate. Time is that of the loop: what happens once (imports, tracing, starting processes) is left out for
all. Once with the CPU computing, once with a training part that waits as long as the seed's accelerator did.

The limit of full overlap, as for staging (examples/common/measure.py): the largest of what the training
part, reading, reading and decoding on all cores, and the processor time on the effective cores take alone.
The training part is `after`'s columns; the rest is measured in the same round (bench/loops.py, `parts`).
"""

import dataclasses
import json
import pathlib
import shutil
import tempfile

from bench import environment
from bench.environment import MODELS, OPS, PROJECT, require
from bench.intervals import estimate
from bench.report import interval
from bench.sizes import Sizes
from examples.common.measure import Terms, cores, effective_cores

NAME = "elasticdl"
QUESTION = ("ElasticDL's table: its CIFAR-10 worker before and after its optimization, and `headrace train`; "
            "the training part computes, or is a stand-in that only waits, as long as the document's "
            "accelerator took.")
GOAL = {"wait": 2.14}  # before / headrace
GOAL_LIMIT = 0.9
CONTENDERS = ("before", "after", "headrace")
TRAINING = {"compute": "computes", "wait": "stand-in, only waits"}
# The document's tables: seconds of an epoch.
SEED_STEPS = 391
SEED = {"before": {"total": 51.0, "get_batch": 6.7, "input_fn": 17.9, "compute_loss": 14.8, "get_model": 5.0,
                   "report_gradient": 5.0},
        "after": {"total": 23.8, "compute_loss": 4.2, "get_model": 5.4, "report_gradient": 7.6}}


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoopSizes(Sizes):
    """compute, wait: records that are trained once, where the training part computes and where it waits."""

    compute: int = 6144
    wait: int = 20_000

    @property
    def records(self):
        """By training part."""
        return {"compute": self.compute, "wait": self.wait}


QUICK = LoopSizes(expected_s=64, rounds=1, compute=1280, wait=5120)
FULL = LoopSizes(expected_s=355, rounds=3)


def _loop(name, folder, model):
    return json.loads(environment.run("-m", "bench.loops", name, "--model", model,
                                      "--records", f"{folder}/{model}.tfrecord").splitlines()[-1])


def _headrace(folder, model):
    job = pathlib.Path(folder) / "job"
    shutil.rmtree(job, ignore_errors=True)
    command = ["-m", "headrace", "train", "--num_epochs=1", "--minibatch_size=128",
               "--num_minibatches_per_task=32", "--num_workers=1", "--grads_to_wait=1",
               f"--training_data={folder}/{model}.tfrecord", f"--job_dir={job}", "--job_name=loop",
               "--format=json"]
    if model == "compute":
        command += ["--model_def=cifar10_functional_api.cifar10_functional_api.custom_model",
                    f"--model_zoo={MODELS}"]
    else:
        command += [f"--model_def={PROJECT / 'bench' / 'waiting_model.py'}",
                    f"--load_op_library={OPS}"]
    made = json.loads(environment.run(*command).splitlines()[-1])
    table = made["time_table"]
    return {"seconds": table["total"]["busy_s"], "steps": made["steps"],
            "columns": {f"{name}_{kind}": value for name, entry in table.items()
                        for kind, value in (("busy", entry["busy_s"]), ("waited", entry["waited_s"]))}}


def _round(folder, model, setting, number):
    return {name: _headrace(folder, model) if name == "headrace" else _loop(name, folder, model)
            for name in setting.order((*CONTENDERS, "parts"), number)} | {"cores": effective_cores()}


def check(sizes):
    """Raises Unfit where the op that waits is not built."""
    del sizes
    require(OPS)


def run(sizes, setting):
    """Rows of the result, one a training part."""
    setting.watch.parts(sizes.rounds * len(sizes.records))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for model, records in sizes.records.items():
            environment.run("-m", "headrace", "data", "generate", "cifar", f"{folder}/{model}.tfrecord",
                            "--records", str(records), "--to", "tfrecord")
            rounds = []
            for number in range(sizes.rounds):
                setting.watch.part(f"{model}, round {number + 1} of {sizes.rounds}")
                rounds.append(_round(folder, model, setting, number))
            rows.append(_row(model, rounds))
    return rows


def _terms(r):
    """Of a round: seconds of a step's parts."""
    training = sum(r["after"]["columns"].get(c, 0) for c in ("compute_loss", "get_model", "report_gradient"))
    return Terms(training / r["after"]["steps"], **r["parts"], cores=r["cores"])


def _row(model, rounds):
    threads = cores()

    def ratio(name):
        return estimate([r[name]["seconds"] / r["headrace"]["seconds"] for r in rounds])

    def limit(r):
        return _terms(r).limit(threads) * r["headrace"]["steps"]

    binding = [_terms(r).binding(threads) for r in rounds]
    of_limit = estimate([limit(r) / r["headrace"]["seconds"] for r in rounds])
    goal = {f"limit / headrace {GOAL_LIMIT:g}": of_limit.median >= GOAL_LIMIT}
    if model in GOAL:
        goal[f"before / headrace {GOAL[model]:g}"] = ratio("before").median >= GOAL[model]
    return {"training": model, "steps": rounds[0]["headrace"]["steps"],
            "seconds": {name: estimate([r[name]["seconds"] for r in rounds]).as_json()
                        for name in CONTENDERS},
            "columns": {name: rounds[-1][name]["columns"] for name in CONTENDERS},
            "to_before": ratio("before").as_json(), "to_after": ratio("after").as_json(),
            "limit": estimate([limit(r) for r in rounds]).as_json(),
            "terms_ms": {part: estimate([1e3 * _terms(r).parts(threads)[part] for r in rounds]).as_json()
                         for part in _terms(rounds[0]).parts(threads)},
            "bound_by": max(sorted(set(binding)), key=binding.count),
            "of_limit": of_limit.as_json(), "goal": goal, "met": all(goal.values())}


def _of_limit(row):
    """Text; of a result that counted the training part alone: that."""
    if "of_limit" not in row:
        return f"{interval(row['of_training'])}, of the training part alone"
    return f"{interval(row['of_limit'])}, {row['bound_by']}"


COLUMNS = (
    ("training part", lambda row: TRAINING[row["training"]]),
    *((f"{name}, s", lambda row, n=name: f"{row['seconds'][n]['median']:.1f}") for name in CONTENDERS),
    ("before / headrace (95% interval)",
     lambda row: interval(row["to_before"])),
    ("after / headrace", lambda row: interval(row["to_after"])),
    ("limit / headrace, set by", _of_limit),
)


TIMES = ("total", "get_batch", "input_fn", "compute_loss", "get_model", "report_gradient")


def details(rows):
    """The document's time tables, and each contender's of the last round, in seconds."""
    tables = {f"the document's {name}": columns for name, columns in SEED.items()}
    for row in rows:
        for name, columns in row["columns"].items():
            total = {"total": row["seconds"][name]["rounds"][-1]}
            tables[f"{TRAINING[row['training']]}: {name}"] = columns | total
    yield ("seconds", *TIMES), [[name, *(_seconds(columns, time) for time in TIMES)]
                                for name, columns in tables.items()]


def _seconds(columns, time):
    """Text of a column; of Headrace's, which overlap: busy, and what the step waited for it."""
    if time in columns:
        return f"{columns[time]:.1f}"
    if f"{time}_busy" in columns:
        return f"{columns[f'{time}_busy']:.1f}, waited {columns[f'{time}_waited']:.1f}"
    return ""


def draw(rows, axes):
    """Seconds by training part and contender."""
    for at, name in enumerate(CONTENDERS):
        axes.bar([i + 0.27 * at for i in range(len(rows))],
                 [row["seconds"][name]["median"] for row in rows], 0.25, label=name)
    axes.set_xticks([i + 0.27 for i in range(len(rows))], [TRAINING[row["training"]] for row in rows])
    axes.set_ylabel("seconds")
    axes.legend()

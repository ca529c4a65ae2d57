"""How long a checkpoint of 1 GB of variables stops the training, against TensorFlow writing the same
variables.

A table and Adam's two slots of it; a job with the model in its one process, and one with it on two parameter
servers. The pause is from the last step before to when the checkpoint is complete on disk, synced and
renamed.
"""

import dataclasses
import os
import pathlib
import statistics
import tempfile
import time

from bench import jobs, table_job
from bench.intervals import estimate
from bench.sizes import Sizes

NAME = "checkpoint"
QUESTION = ("How long a checkpoint stops the training, in one process and on two parameter servers, against "
            "tf.train.Checkpoint.")
WIDTH, SLOTS = 16, 3
STEPS, EVERY = 60, 15
PLACES = {"one process": 0, "two parameter servers": 2}


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointSizes(Sizes):
    """megabytes: of the variables. rounds: jobs of each kind."""

    megabytes: int = 1000

    @property
    def rows(self):
        """Of the table."""
        return self.megabytes * 1_000_000 // (4 * WIDTH * SLOTS)


QUICK = CheckpointSizes(expected_s=30, rounds=1, megabytes=300)
FULL = CheckpointSizes(expected_s=130, rounds=3)


def _job(folder, rows, servers):
    """Seconds: the median pause of one job's checkpoints, the last one aside, after which nothing trains."""
    watch = jobs.watch(lambda status: (int(status.get("checkpoint_step", 0)),
                                       int(status.get("checkpoint_pause_ms", 0)) / 1e3))
    table_job.run(folder, rows, STEPS, watch, num_minibatches_per_task=10, num_ps=servers,
                  checkpoint_steps=EVERY, keep_checkpoint_max=1)
    pauses = list({step: pause for _, step, pause in watch.samples if 0 < step < STEPS}.values())
    if not pauses:
        raise RuntimeError("the job made no checkpoint before its end")
    return statistics.median(pauses)


def _stock(folder, rows):
    """Seconds in which TensorFlow writes such variables, synced."""
    import tensorflow as tf

    variables = [tf.Variable(tf.zeros([rows, WIDTH])) for _ in range(SLOTS)]
    checkpoint = tf.train.Checkpoint(variables=variables)
    begin = time.monotonic()
    prefix = checkpoint.write(str(folder / "stock"))
    for path in pathlib.Path(prefix).parent.glob("stock*"):
        with open(path, "rb") as file:
            os.fsync(file.fileno())
    return time.monotonic() - begin


def _rows(rounds, gigabytes):
    """Of rounds of {place: seconds, "stock": seconds}."""
    return [
        {"place": place, "gigabytes": gigabytes, "pause_s": estimate([r[place] for r in rounds]).as_json(),
         "stock_s": estimate([r["stock"] for r in rounds]).as_json(),
         "over_stock": estimate([r[place] / r["stock"] for r in rounds]).as_json(), "goal": None, "met": None}
        for place in PLACES
    ]


def run(sizes, setting):
    """Rows of the result: one for each place of the model."""
    setting.watch.parts(sizes.rounds * (1 + len(PLACES)))
    rounds = []
    for number in range(sizes.rounds):
        measured = {}
        for what in setting.order([*PLACES, "stock"], number):
            setting.watch.part(f"round {number + 1} of {sizes.rounds}, {what}")
            with tempfile.TemporaryDirectory() as folder:
                folder = pathlib.Path(folder)
                measured[what] = (_stock(folder, sizes.rows) if what == "stock"
                                  else _job(folder, sizes.rows, PLACES[what]))
        rounds.append(measured)
    return _rows(rounds, sizes.megabytes / 1e3)


COLUMNS = (
    ("the model is in", lambda row: row["place"]),
    ("GB", lambda row: f"{row['gigabytes']:.2f}"),
    ("pause, s", lambda row: "{median:.2f} ({low:.2f} to {high:.2f})".format(**row["pause_s"])),
    ("tf.train.Checkpoint, s", lambda row: f"{row['stock_s']['median']:.2f}"),
    ("pause / that (95% interval)",
     lambda row: "{median:.2f} ({low:.2f} to {high:.2f})".format(**row["over_stock"])),
)


def draw(rows, axes):
    """Each round's pause, beside TensorFlow's own writing."""
    for at, row in enumerate(rows):
        axes.plot([at] * len(row["pause_s"]["rounds"]), row["pause_s"]["rounds"], "o", color="C0",
                  label=None if at else "Headrace: training stands still")
        axes.plot([at + 0.15] * len(row["stock_s"]["rounds"]), row["stock_s"]["rounds"], "x", color="0.5",
                  label=None if at else "tf.train.Checkpoint.write")
    axes.set_xticks(range(len(rows)), [f"{row['place']}, {row['gigabytes']:.2g} GB" for row in rows])
    axes.set_xlim(-0.5, len(rows) - 0.5)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("seconds")
    axes.legend()

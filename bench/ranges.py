"""Reading leased record ranges into batches, against TensorFlow's TFRecordDataset().batch().

Both read the same TFRecord file from the page cache, checksums checked. Headrace's source also gives each
record its identity, and tells the account that it was read.
"""

import dataclasses
import pathlib
import tempfile
import time

import numpy as np
import tensorflow as tf

from bench.intervals import over
from bench.processes import Contender, Field
from bench.sizes import Sizes
from examples.common.stepper import Segment

NAME = "ranges"
QUESTION = "Leased record ranges into batches, against TFRecordDataset().batch()."
GOAL = 1.5
BATCH = 1024
RECORDS = {128: 400_000, 1024: 150_000}  # by their bytes
TASK = 10_000
CONTENDERS = ("ranges", "stock")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RangesSizes(Sizes):
    """seconds: of one contender in one round."""

    seconds: float = 0.5


QUICK = RangesSizes(expected_s=15, rounds=5, seconds=0.2)
FULL = RangesSizes(expected_s=40, rounds=9)


class _Reader:
    """Steps through batches of an endless dataset."""

    def __init__(self, dataset):
        self._iterator = iter(dataset)

    def advance(self, steps):
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(steps):
            next(self._iterator)
        return Segment(steps, time.perf_counter() - wall, time.process_time() - cpu, [])

    def close(self):
        self._iterator = None


def _ranges(path, records):
    from headrace.data import ranges, tracking
    from headrace.data.account import Account

    queue, account = ranges.RangeQueue("bench"), Account("bench")
    for lap in range(1000):
        for begin in range(0, records, TASK):
            queue.push(path, lap * 1000 + begin // TASK, begin, min(begin + TASK, records))
    reader = _Reader(
        tracking.TrackedDataset(ranges.dataset("bench", "bench"), "bench", records=True)
        .batch(BATCH).dataset)
    reader.keep = queue, account
    return reader


def make(contender, path, records):
    """What bench.worker steps."""
    if contender == "ranges":
        return _ranges(path, records)
    return _Reader(tf.data.TFRecordDataset(path).repeat().batch(BATCH))


def _write(folder, size):
    path = str(pathlib.Path(folder) / f"{size}.tfrecord")
    random = np.random.default_rng(size)
    with tf.io.TFRecordWriter(path) as writer:
        for _ in range(RECORDS[size]):
            writer.write(random.bytes(size))
    return path


def _row(rounds, size):
    ratio = over(rounds, lambda r: r.seconds("stock") / r.seconds("ranges"))
    return {"bytes": size, "ratio": ratio.as_json(),
            "records_per_s": {name: over(rounds, lambda r, n=name: BATCH / r.seconds(n)).as_json()
                              for name in CONTENDERS},
            "goal": GOAL, "met": ratio.median >= GOAL}


def run(sizes, setting):
    """Rows of the result, one a record size."""
    setting.watch.parts(len(RECORDS))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for size in RECORDS:
            setting.watch.part(f"records of {size} bytes")
            path = _write(folder, size)
            with Field((Contender(name, "bench.ranges:make",
                                  {"contender": name, "path": path, "records": RECORDS[size]})
                        for name in CONTENDERS), setting.watch) as field:
                rounds = field.run(sizes.rounds, sizes.seconds, setting.seed, measure_cores=False)
            rows.append(_row(rounds, size))
    return rows


COLUMNS = (
    ("bytes a record", lambda row: str(row["bytes"])),
    *((f"{name}, million records/s",
       lambda row, n=name: f"{row['records_per_s'][n]['median'] / 1e6:.2f}") for name in CONTENDERS),
    ("ranges / stock (95% interval)",
     lambda row: "{median:.2f} ({low:.2f} to {high:.2f})".format(**row["ratio"])),
)


def draw(rows, axes):
    """Records a second by size and contender."""
    for at, name in enumerate(CONTENDERS):
        values = [row["records_per_s"][name] for row in rows]
        axes.bar([i + 0.4 * at for i in range(len(rows))], [v["median"] / 1e6 for v in values], 0.4,
                 yerr=[[(v["median"] - v["low"]) / 1e6 for v in values],
                       [(v["high"] - v["median"]) / 1e6 for v in values]], capsize=3, label=name)
    axes.set_xticks([i + 0.2 for i in range(len(rows))], [f"{row['bytes']} B" for row in rows])
    axes.set_ylabel("million records a second")
    axes.legend()

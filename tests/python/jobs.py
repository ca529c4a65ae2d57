"""Runs whole jobs, with their real processes, for tests."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import urllib.request

import numpy as np
import pytest

from headrace import programs
from headrace.elastic import export_process, job, job_file, progress
from headrace.elastic.flags import JobFlags

# Its own witness: `count` says how often each record was trained, by a number that the record itself
# holds and that no part of Headrace ever sees. Records divisible by 7 are filtered.
WITNESS = """
    import keras
    import tensorflow as tf

    class Witness(tf.Module):
        def __init__(self):
            super().__init__()
            self.weight = tf.Variable(0.0)
            self.count = tf.Variable(tf.zeros([4000], tf.int32), trainable=False)

        def __call__(self, features, training):
            number = features["number"]
            if training:
                ones = tf.ones_like(number, tf.int32)
                self.count.scatter_add(tf.IndexedSlices(ones, number))
            score = tf.cast(number, tf.float32) * 0.0 + self.weight
            return {"score": score, "count": tf.gather(self.count, number)}

    def custom_model():
        return Witness()

    def loss(labels, predictions):
        return tf.square(labels - predictions["score"])

    def optimizer():
        return keras.optimizers.SGD(0.01)

    def dataset_fn(dataset, mode, metadata):
        def parse(record):
            number = tf.strings.to_number(record, tf.int64)
            return {"number": number}, tf.cast(number, tf.float32)

        dataset = dataset.map(parse)
        if mode == "training":
            dataset = dataset.filter(lambda f, label: f["number"] % 7 != 0).shuffle(300)
        return dataset

    def eval_metrics_fn():
        return {"mean": lambda labels, predictions: labels}
"""
# Four numbers to three classes; records of a fourth are filtered.
CLASSIFIER = """
    import keras
    import tensorflow as tf

    def custom_model():
        return keras.Sequential([
            keras.Input((4,)),
            keras.layers.Dense(8, activation="relu", kernel_initializer=keras.initializers.HeNormal(1)),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(3, kernel_initializer=keras.initializers.HeNormal(2)),
        ])

    def loss(labels, predictions):
        return keras.losses.sparse_categorical_crossentropy(labels, predictions, from_logits=True)

    def optimizer():
        return keras.optimizers.Adam(0.05)

    def dataset_fn(dataset):
        def parse(record):
            values = tf.strings.to_number(tf.strings.split(record, ","))
            return tf.ensure_shape(values[:4], [4]), tf.cast(values[4], tf.int64)
        return dataset.map(parse).filter(lambda features, label: label < 3)
"""
RECORDS = 2000
KEPT = np.array([i % 7 != 0 for i in range(RECORDS)], int)


def write_module(folder, text=WITNESS):
    path = pathlib.Path(folder) / "model.py"
    path.write_text(textwrap.dedent(text))
    return str(path)


def write_records(folder, count=RECORDS, files=2):
    """Files of consecutive numbers, a line a record."""
    paths = []
    for part in np.array_split(np.arange(count), files):
        paths.append(str(pathlib.Path(folder) / f"{len(paths)}.txt"))
        pathlib.Path(paths[-1]).write_text("".join(f"{i}\n" for i in part))
    return paths


class Runner:
    """Runs jobs of one model module, which it exports once for each batch size, locally and for servers.

    shared: a folder for the exports. tmp_path: of this test.
    """

    def __init__(self, shared, tmp_path, monkeypatch, text=WITNESS):
        self.shared = pathlib.Path(shared)
        self.folder = tmp_path
        self._monkeypatch = monkeypatch
        self.module = write_module(self.shared, text)
        monkeypatch.setattr(export_process, "export", self._export)

    def _export(self, directory, flags):
        kind = "sharded" if flags.servers else "local"
        saved = self.shared / f"export-{kind}-{flags.minibatch_size}"
        notes = EXPORTS.get(str(saved))
        if notes is None:
            notes = EXPORTS[str(saved)] = REAL_EXPORT(str(saved), flags)
        shutil.copytree(saved, directory)
        return notes

    def flags(self, verb="train", **changes):
        values = {
            "model_def": self.module,
            "minibatch_size": 20,
            "job_name": "job",
            "job_dir": str(self.folder / "job"),
            "num_minibatches_per_task": 5,
        }
        if "records_per_task" in changes:
            del values["num_minibatches_per_task"]
        if verb in ("evaluate", "predict") and not changes.keys() & {"checkpoint_dir", "checkpoint_dir_for_init"}:
            values["no_checkpoint"] = True
        return JobFlags(verb=verb, **{**values, **changes})

    def run(self, verb="train", die_at=(), command=(), **changes):
        """(summary, exit code). die_at: points of failpoint.h, of the job's first trainer, its second, ..."""
        describe = job_file.describe

        def described(*arguments):
            made = describe(*arguments)
            if die_at:
                made["trainer"]["die_at"] = [die_at] if isinstance(die_at, str) else list(die_at)
            return made

        self._monkeypatch.setattr(job_file, "describe", described)
        try:
            flags = self.flags(verb, **changes)
            return job.run(flags, progress.Progress(quiet=True), command=command)
        finally:
            self._monkeypatch.setattr(job_file, "describe", describe)

    def killed(self):
        """How many of the job's trainers were killed by SIGKILL, as its agents say."""
        return self.logs().count("the training process ended: killed by signal 9")

    def logs(self):
        folder = self.folder / "job" / "logs"
        return "\n".join(f"== {p.name}\n{p.read_text()}" for p in sorted(folder.glob("*.log")))


def testing_library():
    """Path of the library of ops that only tests use; skips the test where it was not built."""
    built = pathlib.Path(__file__).parents[2] / "build/release/src/tensorflow/testing/libheadrace_testing.so"
    path = os.environ.get("HEADRACE_TESTING_LIBRARY", str(built))
    if not os.path.exists(path):
        pytest.skip(f"there is no {path}: build the target headrace_testing")
    return path


REAL_EXPORT = export_process.export
EXPORTS = {}


def counts(model, records=RECORDS):
    """How often the witness saw each record, from the model that the job wrote."""
    import tensorflow as tf

    served = tf.saved_model.load(model).signatures["serving_default"]
    return served(features_number=tf.range(records, dtype=tf.int64))["count"].numpy()


def possibly_repeated(made, files, each):
    """How often a summary names each record as possibly repeated. files: of `each` records, in order."""
    named = np.zeros(len(files) * each, int)
    for entry in made["possibly_repeated"]:
        first = files.index(entry["path"]) * each
        for begin, end in entry["ranges"]:
            named[first + begin : first + end] += 1
    return named


# --- commands ---------------------------------------------------------------------------------


def headrace(*arguments, timeout_s=120):
    """The command's end: exit code and what it said."""
    command = [sys.executable, "-m", "headrace", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s)


def status(job_dir):
    """What the master of a job that runs says (JobStatus). Waits for it to be there."""
    address = pathlib.Path(job_dir) / "master.address"
    eventually(address.exists, 60)
    ask = [programs.path("headrace-ctl"), "--master", address.read_text().strip(), "status"]
    return json.loads(subprocess.run(ask, capture_output=True, text=True, check=True).stdout)


def prometheus(port):
    """The figures that a process of this machine gives there, as text."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return answer.read().decode()


# --- processes --------------------------------------------------------------------------------


def processes(job_dir, program):
    """Numbers of a job's processes: headrace-master, headrace-worker, or what the workers started."""
    found, parents = [], set()
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        words = _words(entry.name, "cmdline")
        if not words:
            continue
        name = os.path.basename(words[0])
        ours = any(str(job_dir) in word for word in words)
        if name == "headrace-worker" and ours:
            parents.add(int(entry.name))
        if name == program and ours:
            found.append(int(entry.name))
    return found if program != "child" else [pid for pid in _pids() if _parent(pid) in parents]


def free_ports(count):
    """The first of so many ports, one behind the other, that nobody had a moment ago."""
    while True:
        with contextlib.ExitStack() as taken:
            first = taken.enter_context(socket.socket())
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                for more in range(1, count):
                    taken.enter_context(socket.socket()).bind(("127.0.0.1", port + more))
            except OSError:
                continue
            return port


def none_left(job_dir):
    """Whether no process of a job is there, nor one that its workers started."""
    return not any(
        str(job_dir) in word for pid in _pids() for name in ("cmdline", "environ") for word in _words(pid, name)
    )


def state(pid):
    """A process's state as in /proc (R running, S sleeping, T stopped, Z ended and not waited for); "": it is gone."""
    fields = _stat(pid)
    return fields[0] if fields else ""


def _words(pid, name):
    """What /proc/PID/cmdline or environ has; nothing of a process that is gone."""
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read().decode(errors="replace").split("\0")
    except OSError:
        return []


def children(parent):
    return [pid for pid in _pids() if _parent(pid) == parent]


def _pids():
    return [int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()]


def _parent(pid):
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def _stat(pid):
    """What /proc/PID/stat has behind the name; nothing of a process that is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rsplit(")", 1)[1].split()
    except OSError:
        return []


class Killer(threading.Thread):
    """Kills processes of a job, one after the other, at moments drawn from a seed, until it has killed
    `kills` or is told to stop."""

    def __init__(self, job_dir, program, kills, seed, longest_s=1.0):
        super().__init__(daemon=True)
        self._job_dir, self._program, self._kills = job_dir, program, kills
        self._random = np.random.default_rng(seed)
        self._longest_s = longest_s
        self._stopped = threading.Event()
        self.killed = 0

    def run(self):
        while self.killed < self._kills and not self._stopped.is_set():
            pids = processes(self._job_dir, self._program)
            if not pids:
                self._stopped.wait(0.05)
                continue
            self._stopped.wait(self._random.uniform(0.05, self._longest_s))
            try:
                os.kill(pids[0], signal.SIGKILL)
                self.killed += 1
            except ProcessLookupError:
                pass

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._stopped.set()
        self.join()


def has_checkpoint(folder):
    """Whether a whole checkpoint is there, in a folder where others come and go."""
    names = os.listdir(folder) if os.path.isdir(folder) else []
    names = [name for name in names if ".unfinished-" not in name]
    return any(os.path.isfile(os.path.join(folder, name, "manifest.json")) for name in names)


def eventually(condition, deadline_s=30):
    """Waits until condition() is true; fails after the deadline."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"not within {deadline_s} s"
        time.sleep(0.02)


def read_jsonl(path):
    return [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]

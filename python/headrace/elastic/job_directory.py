"""A job's folder: whether a job may begin or go on in it, and whose it is meanwhile."""

import errno
import fcntl
import json
import os
import tempfile

from headrace.elastic import job_file
from headrace.elastic.flags import EVALUATE, PREDICT, TRAIN
from headrace.errors import UsageError

# Of a job file: what a job that goes on may have otherwise than before (docs/formats.md, "Job file").
_FREE = ("step_timeout_ms", "checkpoint", "trainer")
# By which flags the rest comes about.
_FLAGS = {
    "name": "--job_name",
    "type": "--validation_data",
    "model": "--num_ps",
    "files": "data",
    "evaluation_files": "--validation_data",
    "task_records": "--minibatch_size, --num_minibatches_per_task or --records_per_task",
    "evaluation_task_records": "--minibatch_size, --num_minibatches_per_task or --records_per_task",
    "epochs": "--num_epochs",
    "lease_ms": "--lease_s",
    "evaluation_every_steps": "--evaluation_steps",
    "evaluation_every_ms": "--evaluation_throttle_secs",
}


def check(flags, directory: str):
    """Errors: UsageError if another job is there, none that could go on, or nothing could be written."""
    journal = os.path.join(directory, "ledger.sqlite")
    if os.path.exists(journal) and not flags.resume:
        raise UsageError(
            f"{directory} holds a job already: go on with it (--resume), or choose another --job_name"
        )
    if flags.resume and not os.path.exists(journal):
        raise UsageError(f"--resume: {directory} holds no job: is --job_name {flags.job_name} its name?")
    checkpoints = flags.checkpoint_dir
    if flags.verb == TRAIN and checkpoints and not flags.resume and job_file.latest_checkpoint(checkpoints):
        raise UsageError(
            f"--checkpoint_dir {checkpoints} holds checkpoints of another job: resume that job, or "
            "choose another directory (--checkpoint_dir_for_init starts a new job from them)"
        )
    if flags.verb in (EVALUATE, PREDICT) and checkpoints and not job_file.latest_checkpoint(checkpoints):
        raise UsageError(
            f"--checkpoint_dir {checkpoints} holds no checkpoint of Headrace's; other checkpoints, and the "
            "model that a job ends with, go by --checkpoint_dir_for_init"
        )
    if flags.output and flags.verb == PREDICT and os.path.isdir(flags.output) and not flags.resume:
        if os.listdir(flags.output):
            raise UsageError(f"--output {flags.output} is not empty: choose another directory")
    _check_writable("--job_dir", directory)
    if flags.output:
        # A model appears by a rename, beside what is made of it.
        _check_writable("--output", flags.output, beside=flags.verb == TRAIN)
    if flags.verb == TRAIN and checkpoints:
        _check_writable("--checkpoint_dir", checkpoints)
    if flags.tensorboard_log_dir:
        _check_writable("--tensorboard_log_dir", flags.tensorboard_log_dir)


def _check_writable(flag, path, beside=False):
    """A folder can be made in what there is of the path, or of the one above."""
    there = os.path.dirname(os.path.abspath(path)) if beside else os.path.abspath(path)
    while not os.path.lexists(there):
        there = os.path.dirname(there)
    try:
        os.rmdir(tempfile.mkdtemp(prefix=".headrace-", dir=there))
    except OSError as error:
        why = os.strerror(error.errno or errno.EIO)
        raise UsageError(f"{flag} {path}: nothing can be written in {there}: {why}") from error


class Lock:
    """Holds a job's folder, which is made if it is not there, for one command of this machine.

    Use as a context manager. An empty folder goes at the end: nothing came of the job.
    Errors: UsageError if another command runs this job.
    """

    def __init__(self, directory: str):
        self._directory = directory
        self._file = None

    def __enter__(self):
        os.makedirs(self._directory, exist_ok=True)
        self._file = open(os.path.join(self._directory, ".lock"), "a", encoding="utf-8")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise UsageError(
                f"the job in {self._directory} is run by another command: see headrace status, or choose "
                "another --job_name"
            ) from None
        return self

    def __exit__(self, *_):
        if os.listdir(self._directory) == [".lock"]:
            os.unlink(self._file.name)
            os.rmdir(self._directory)
        self._file.close()


def check_same(flags, directory: str, described: dict):
    """described: the job file that a resumed job would get. Errors: UsageError if it is another job."""
    path = os.path.join(directory, "job.json")
    if not flags.resume or not os.path.isfile(path):
        return
    with open(path, encoding="utf-8") as file:
        before = json.load(file)
    for key in [*before, *described]:
        if key in _FREE or before.get(key) == described.get(key):
            continue
        raise UsageError(
            f"--resume: this is another job than the one in {directory}, which goes on with the flags and "
            f"the data that it was started with ({_FLAGS.get(key, '--' + key)}): '{key}' was "
            f"{_short(before.get(key))}, and is {_short(described.get(key))} now"
        )


def _short(value):
    text = json.dumps(value)
    return text if len(text) <= 200 else text[:200] + " ..."

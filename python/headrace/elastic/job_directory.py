"""A job's folder: whether a job may begin or go on in it, and whose it is meanwhile."""

import errno
import fcntl
import json
import os
import socket
import struct
import tempfile
import time
from typing import NamedTuple

from headrace.elastic import job_file
from headrace.elastic.flags import EVALUATE, PREDICT, TRAIN
from headrace.errors import UsageError

LOCK = ".lock"
MARK = "HEADRACE_JOB"  # names a job's folder in the environment of all that its command starts
_FLOCK = "hhqqi4x"  # struct flock of Linux, 64 bits
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
    """Holds a job's folder, which is made if it is not there, for one command of this machine. name: the job's.

    Use as a context manager. The system lets go of it with the process, however that ends; the file of the lock
    says who holds it, or held it last (Holder). What the process starts meanwhile has MARK in its environment. An
    empty folder goes at the end: nothing came of the job.
    Errors: UsageError if another command runs this job.
    """

    def __init__(self, directory: str, name: str = ""):
        self._directory = directory
        self._file = None
        self._said = {"name": name}

    def __enter__(self):
        os.makedirs(self._directory, exist_ok=True)
        self._file = open(_lock_file(self._directory), "a+", encoding="utf-8")
        try:
            fcntl.fcntl(self._file, fcntl.F_OFD_SETLK, _whole_file(fcntl.F_WRLCK))
        except OSError as error:
            self._file.close()
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise UsageError(f"--job_dir {self._directory} cannot be locked: {error.strerror}") from error
            raise UsageError(
                f"the job in {self._directory} is run by another command: see headrace status, or choose "
                "another --job_name"
            ) from None
        os.environ[MARK] = os.path.realpath(self._directory)
        self._say(host=socket.gethostname(), pid=os.getpid(), does="starting", since=time.time())
        return self

    def says(self, does: str):
        """does: what the command does where no master of the job can be asked; "": one can."""
        self._say(does=does, since=time.time())

    def __exit__(self, kind, error, trace):
        os.environ.pop(MARK, None)
        self._say(ended=_why(error))
        if os.listdir(self._directory) == [LOCK]:
            os.unlink(self._file.name)
            os.rmdir(self._directory)
        self._file.close()

    def _say(self, **what):
        self._said |= what
        self._file.truncate(0)
        self._file.write(json.dumps(self._said))
        self._file.flush()


class Holder(NamedTuple):
    """The command that runs a job, or ran it last.

    name: the job's. host, pid: its own. does, since: as in Lock.says(), and from when on (time.time()). ended: why it
    ended, "" as it should; None: it never said so. lives: it is there.
    """

    name: str = ""
    host: str = ""
    pid: int = 0
    does: str = ""
    since: float = 0.0
    ended: str | None = None
    lives: bool = False

    @property
    def was_killed(self) -> bool:
        """Known of this machine's only: elsewhere the lock may not be seen."""
        return not self.lives and self.ended is None and self.host == socket.gethostname()


def holder(directory: str) -> Holder | None:
    """None: no command has ever run the job, as where its master was started by hand."""
    try:
        with open(_lock_file(directory), encoding="utf-8") as file:
            # Asking does not take it: a command that comes meanwhile gets it.
            told = fcntl.fcntl(file, fcntl.F_OFD_GETLK, _whole_file(fcntl.F_WRLCK))
            lives = struct.unpack(_FLOCK, told)[0] != fcntl.F_UNLCK
            said = file.read()
    except OSError:
        return None
    try:
        return Holder(**json.loads(said or "{}"), lives=lives)
    except (ValueError, TypeError):
        return Holder(lives=lives)  # it is being written


def mark(directory: str) -> str:
    """ "NAME=value": what all that a command starts for this job has in its environment."""
    return f"{MARK}={os.path.realpath(directory)}"


def _why(error):
    if error is None:
        return ""
    return " ".join(getattr(error, "message", str(error)).split()) or "interrupted"


def _lock_file(directory):
    return os.path.join(directory, LOCK)


def _whole_file(kind):
    return struct.pack(_FLOCK, kind, os.SEEK_SET, 0, 0, 0)


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

"""How a job of this machine stands, by what its folder holds: whether its master is to be asked, or what else there
is to tell."""

import enum
import json
import os
import time
from typing import NamedTuple

from headrace.elastic import job_directory, processes

GRACE_S = 10  # for what a killed command left to end when asked to


class Kind(enum.Enum):
    """STARTING: a command runs it, and has no master yet. ASK: the master says. ENDED: as its status file says.
    INTERRUPTED: whoever ran it is gone, and it is not done. NOT_BEGUN: the same, before there was any account."""

    STARTING = enum.auto()
    ASK = enum.auto()
    ENDED = enum.auto()
    INTERRUPTED = enum.auto()
    NOT_BEGUN = enum.auto()


class Standing(NamedTuple):
    """name: the job's. status_file: what its master said last, "" where it said nothing. verdict: of that."""

    kind: Kind
    directory: str
    name: str
    holder: job_directory.Holder
    status_file: str = ""
    verdict: str = ""

    @property
    def journal(self):
        return os.path.join(self.directory, "ledger.sqlite")

    def left(self) -> dict:
        """{number: name} of processes of this machine that a command which is gone has left."""
        return {} if self.holder.lives else processes.marked(job_directory.mark(self.directory))

    def end_left(self):
        processes.end_marked(job_directory.mark(self.directory), GRACE_S)

    def why(self) -> str:
        """Why it is as it is, of a job that a command has run, and runs no more."""
        if self.holder.was_killed:
            return f"the command that ran it (process {self.holder.pid}) was killed, or the machine went down"
        if self.holder.ended:
            return f"its command ended: {self.holder.ended}"
        return "its master ended before the job was over"

    def next(self) -> str:
        """What a person can do about it."""
        if self.kind is Kind.NOT_BEGUN:
            return "the same command begins it again"
        return f"the same command with --resume --job_name {self.name} goes on"


def is_job(directory: str) -> bool:
    """Whether it is a job's folder, also of one that is being exported."""
    return any(os.path.isfile(os.path.join(directory, name)) for name in ("job.json", job_directory.LOCK))


def of(directory: str) -> Standing:
    held = job_directory.holder(directory)
    holder = held or job_directory.Holder()
    name = holder.name or os.path.basename(os.path.realpath(directory))
    status_file, verdict = os.path.join(directory, "status.json"), ""
    if os.path.isfile(status_file):
        with open(status_file, encoding="utf-8") as file:
            verdict = json.load(file)["verdict"]
    else:
        status_file = ""

    def stands(kind):
        return Standing(kind, directory, name, holder, status_file, verdict)

    if holder.lives and holder.does:
        return stands(Kind.STARTING)
    if verdict:
        return stands(Kind.INTERRUPTED if verdict == "interrupted" else Kind.ENDED)
    if held is None or not (holder.was_killed or holder.ended is not None):
        return stands(Kind.ASK)
    has_begun = os.path.isfile(os.path.join(directory, "ledger.sqlite"))
    return stands(Kind.INTERRUPTED if has_begun else Kind.NOT_BEGUN)


def starting_ms(holder) -> int:
    return max(0, round((time.time() - holder.since) * 1000))

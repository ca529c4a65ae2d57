"""Workers of this machine for a job whose master runs elsewhere (--master_addr)."""

import json
import os
import socket
import time

from headrace import programs
from headrace.elastic import control, job_file, processes, summary, workers
from headrace.elastic.flags import EVALUATE, PREDICT, RUN, TRAIN
from headrace.errors import JobError, UsageError

SILENT_S = 120  # without a word of the master, before the job is given up here
LOOK_S = 0.2  # between two looks at its status: it ends soon after its workers
# By the verdict of the last status.
EXIT_CODES = {"done": 0, "done-with-quarantined": 3, "failed": 1, "stopped": 75}


def run(flags, show, command=()):
    """(summary, exit code): the job's, where this was told how it ended.

    Errors: UsageError, JobError.
    """
    joined = control.ask(flags.master_addr, flags.tls, "job")
    verb = _verb(joined)
    if flags.verb != verb:
        raise UsageError(
            f"the job at {flags.master_addr}, {joined['name']}, is {joined['type']}: join it by "
            f"`headrace {verb} --master_addr`"
        )
    if verb != RUN:
        _check_export(flags.master_addr, json.loads(joined["trainer"]))
        command = [programs.path("headrace-trainer")]
    directory = os.path.abspath(flags.job_dir or os.path.join("headrace_jobs", joined["name"]))
    logs = os.path.join(directory, "logs")
    os.makedirs(logs, exist_ok=True)
    least, most = flags.workers
    # Of no other machine, and of no other command of this one.
    names = [f"{socket.gethostname()}-{os.getpid()}-{i}" for i in range(most)]
    show.say(f"joins the job {joined['name']} at {flags.master_addr}; logs in {logs}")
    group = workers.Workers(logs, names, least, list(command), flags.tls, show.say, flags.metrics_port)
    with processes.Interrupts() as interrupts, Watch(flags) as watch:
        try:
            group.start(flags.master_addr)
            status, left = _follow(group, watch, interrupts, show)
        finally:
            group.end()
    code = 75 if left else _exit_code(status, group)
    flags.job_name = joined["name"]
    made = summary.make(flags, directory, status, None, code, job_type=joined["type"])
    return made | {"ledger": ""}, code


def _verb(joined):
    tasks = {"evaluation-only": EVALUATE, "prediction-only": PREDICT}
    return tasks.get(joined["type"]) or (RUN if joined["model"] == "MODEL_KIND_NONE" else TRAIN)


def _check_export(address, trainer):
    """What the job was started with must be what the trainers of this machine will load."""
    directory, wanted = trainer["exported"], trainer.get("export_id", "")
    if not os.path.isfile(os.path.join(directory, job_file.DESCRIPTION)):
        raise JobError(
            f"the exported job of the master at {address} is not on this machine: there is no {directory}; "
            "start the job with a --job_dir on a file system that all machines see under the same path"
        )
    found = job_file.export_id(directory)
    if wanted and found != wanted:
        raise JobError(
            f"{directory} on this machine is another exported job ({found}) than that of the master at "
            f"{address} ({wanted}): --job_dir must be on a file system that all machines see"
        )


def _follow(group, watch, interrupts, show):
    """(last status or None, whether this was told to leave), once no agent runs any more."""
    status, left = None, False
    while group.running():
        group.supervise()
        for news in watch.statuses(LOOK_S):
            status = news
            show.show(status)
        if len(interrupts) > 1:
            raise JobError("stopped at once; the job goes on without this machine", exit_code=75)
        if interrupts and not left:
            left = True
            show.say("leaving: workers hand back what they have not read; once more to stop at once")
            group.ask_to_end()
    for news in watch.statuses(LOOK_S):
        status = news
    return status, left


def _exit_code(status, group):
    code = EXIT_CODES.get((status or {}).get("verdict", ""))
    if code is not None:
        return code
    codes = group.exit_codes()
    if group.failures():
        raise JobError("the job goes on without this machine; " + "; ".join(group.failures()))
    return 1 if any(code not in workers.LEFT for code in codes) else max(codes, default=1)


class Watch:
    """What the master says of the job, again and again."""

    def __init__(self, flags):
        self._flags = flags
        self._statuses = control.Statuses(LOOK_S)
        self._over = False
        self._heard = time.monotonic()

    def __enter__(self):
        self._follow()
        return self

    def __exit__(self, *_):
        self._statuses.end()

    def statuses(self, wait_s):
        """Yields what came, waiting so long for the first. Errors: JobError for a master that is silent."""
        if self._statuses.has_ended() and not self._over:
            self._follow()
        while (status := self._statuses.next(wait_s)) is not None:
            self._heard, wait_s = time.monotonic(), 0.001
            self._over = status["verdict"] in EXIT_CODES
            yield status
        if not self._over and time.monotonic() - self._heard > SILENT_S:
            raise JobError(f"nothing was heard of the master at {self._flags.master_addr} for {SILENT_S} s")

    def _follow(self):
        self._statuses.follow(self._flags.master_addr, self._flags.tls)

"""One job from flags to exit code: data, export, job file, run, summary."""

import datetime
import json
import os
import shutil
import socket
import subprocess

from headrace import programs
from headrace.elastic import (
    export_process,
    job_directory,
    job_file,
    joined_run,
    local_run,
    model_module,
    parameter_servers,
    process_predictions,
    processes,
    progress,
    standing,
    summary,
)
from headrace.elastic.flags import EVALUATE, PREDICT, RUN, TRAIN, JobFlags
from headrace.errors import ExportError, JobError, ModelModuleError, UsageError

MOST_LOADED = 20  # variables from a checkpoint, that are named one by one


def run(flags: JobFlags, show: progress.Progress, dry_run=False, command=()):
    """(summary, exit code); for a dry run (job file as a dict, 0).

    command: of RUN: what each worker runs.

    Errors: UsageError, DataError, ExportError, ModelModuleError, JobError with a summary.
    """
    flags.check()
    if flags.master_addr:
        if dry_run:
            raise UsageError("--dry_run shows a job file, and --master_addr starts no job: leave one out")
        return joined_run.run(flags, show, command)
    flags.job_name = flags.job_name or f"{flags.verb}-{datetime.datetime.now():%Y%m%d-%H%M%S}"
    directory = directory_of(flags)
    job_directory.check(flags, directory)
    if dry_run and flags.verb != RUN:
        _check_module(flags)
    files, evaluation_files = _files(flags, show.say)
    if dry_run:
        exported = os.path.join(directory, "export")
        servers = flags.ps_addrs or [f"ps-{i}" for i in range(flags.servers)]
        return job_file.describe(flags, directory, files, evaluation_files, exported, "", servers), 0
    _check_port(flags)
    with job_directory.Lock(directory, flags.job_name) as lock:
        job_directory.check(flags, directory)  # it may have come about meanwhile
        try:
            return _run_in(directory, lock, flags, files, evaluation_files, show, command)
        except JobError as error:
            error.summary = _so_far(flags, directory, error)
            raise


def directory_of(flags) -> str:
    """The job's own folder; "" as long as neither --job_dir nor a name says which."""
    if not (flags.job_dir or flags.job_name):
        return ""
    return os.path.abspath(flags.job_dir or os.path.join("headrace_jobs", flags.job_name))


def _run_in(directory, lock, flags, files, evaluation_files, show, command):
    _end_what_was_left(directory, show)
    show.say(f"job {flags.job_name} ({flags.type}) in {directory}")
    if flags.no_checkpoint:
        show.say("--no_checkpoint: the model is taken as custom_model() makes it")
    exported = {"directory": "", "staging": ""}
    if flags.verb != RUN:
        exported = _export(flags, directory, lock, show)
        command = [programs.path("headrace-trainer")]
        if exported["processor"] and flags.verb == PREDICT and flags.output_format != "jsonl":
            raise UsageError(
                "the module's prediction_outputs_processor reads jsonl: leave --output_format out"
            )
    _warn_of_listening(flags, show)
    started = 0 if flags.ps_addrs else flags.servers
    if flags.ps_addrs:
        parameter_servers.check(flags, exported["directory"])

    def described(addresses):
        where, staging = exported["directory"], exported["staging"]
        return job_file.describe(flags, directory, files, evaluation_files, where, staging, addresses)

    job_directory.check_same(flags, directory, described(flags.ps_addrs or ["?"] * started))
    with parameter_servers.ParameterServers(
        directory,
        started,
        flags.load_op_library,
        show.say,
        exported="" if flags.use_async else exported["directory"],
        grads_to_wait=flags.grads_to_wait,
        host=flags.master_host,
    ) as servers:
        job = described(flags.ps_addrs or servers.addresses)
        job_file.write(job, os.path.join(directory, "job.json"))
        status, exit_code = _run(flags, directory, lock, command, show, servers)
    predictions = ()
    if flags.verb == PREDICT and exit_code in (0, 3):
        predictions = _merge_predictions(flags)
        if exported["processor"]:
            show.say("prediction_outputs_processor")
            process_predictions.run(flags, predictions)
    ledger = _ledger(directory)
    return summary.make(flags, directory, status, ledger, exit_code, predictions), exit_code


def _check_module(flags):
    """That the module's file is there; it is not loaded. Errors: UsageError."""
    try:
        model_module.locate(flags.model_def, flags.model_zoo)
    except ModelModuleError as error:
        raise UsageError(error.message) from error


def _so_far(flags, directory, error):
    """What had become of the records of a job that ended with this error; None if it has no account of them."""
    try:
        ledger = _ledger(directory)
    except JobError:
        return None
    status = None
    if os.path.isfile(path := os.path.join(directory, "status.json")):
        with open(path, encoding="utf-8") as file:
            status = json.load(file)
    made = summary.make(flags, directory, status, ledger, error.exit_code)
    return made | {"failure": error.message, "error_code": error.code}


def _end_what_was_left(directory, show):
    """By a command that was killed: nothing of it may work beside what is started now."""
    mark = job_directory.mark(directory)
    if left := processes.marked(mark):
        show.say(f"ends what a command that was killed has left of this job: {processes.listed(left)}")
        processes.end_marked(mark, standing.GRACE_S)


def _check_port(flags):
    """Before what takes long. Errors: JobError."""
    if not flags.master_port:
        return
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            flags.master_host, flags.master_port, type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen()
    except OSError as error:
        raise JobError(
            f"the master cannot listen at {flags.master_host}:{flags.master_port} (--master_host, "
            f"--master_port): {error.strerror}"
        ) from error


def _warn_of_listening(flags, show):
    loopback = flags.master_host.startswith("127.") or flags.master_host in ("localhost", "::1")
    if not loopback and not flags.tls_cert:
        show.say(
            f"the master listens at {flags.master_host} without TLS: whoever can connect commands this job; "
            "give --tls_cert, --tls_key and --tls_ca"
        )


def _files(flags, say):
    from headrace.data import files

    def found(paths):
        specs = files.resolve(paths, say=say)
        return [{"path": f.path, "records": f.records, "whole": f.gzip} for f in specs]

    main = {EVALUATE: flags.validation_data, PREDICT: flags.prediction_data}
    evaluation = found(flags.validation_data) if flags.verb == TRAIN and flags.validation_data else []
    return found(main.get(flags.verb, flags.training_data)), evaluation


def _export(flags, directory, lock, show):
    """A resumed job goes on with what was exported for it."""
    exported = os.path.join(directory, "export")
    notes = os.path.join(directory, "export.json")
    if not (flags.resume and os.path.isfile(notes)):
        show.say(f"exporting {flags.model_def}")
        lock.says(f"exporting {flags.model_def}")
        shutil.rmtree(exported, ignore_errors=True)
        result = export_process.export(exported, flags)
        if result["not_synchronous"] and not flags.use_async:
            raise ExportError(result["not_synchronous"])
        for line in result["warnings"]:
            show.say(line)
        for line in _loaded(flags, result["loaded"], notes):
            show.say(line)
        with open(notes, "w", encoding="utf-8") as file:
            json.dump(result, file)
        lock.says("starting")
    with open(notes, encoding="utf-8") as file:
        return {"directory": exported, **json.load(file)}


def _loaded(flags, names, notes):
    """Of the variables that --checkpoint_dir_for_init gave, lines for people. notes: the file with all of them."""
    if not names:
        return []
    lines = [f"from {flags.checkpoint_dir_for_init}: {len(names)} variable{'s' if len(names) > 1 else ''}"]
    lines += [f"  {name}" for name in names[:MOST_LOADED]]
    more = len(names) - MOST_LOADED
    return [*lines, f"  and {more} more: {notes} names all"] if more > 0 else lines


def _run(flags, directory, lock, command, show, servers):
    """(last status or None, exit code)."""
    status, told = None, False
    with processes.Interrupts() as signals:
        with local_run.LocalRun(
            directory,
            flags.workers,
            list(command),
            servers,
            show.say,
            (flags.master_host, flags.master_port),
            flags.tls,
            flags.metrics_port,
        ) as job:
            lock.says("")
            if flags.can_be_joined:
                show.say(f"the master is at {job.address}; others join by --master_addr {job.address}")
            for news in job.statuses():
                if news is not None:
                    status = news
                    show.show(status)
                if len(signals) > 1:
                    raise JobError("stopped at once; the job can be resumed (--resume)", exit_code=75)
                if signals and not told:
                    told = True
                    show.say(f"stopping{_waits_for(flags, directory)}; once more to stop at once")
                    job.stop("stopped by the user")
            code = job.exit_code()
            if code == 75 and not told and job.error():
                show.say(job.error())
            if code not in (0, 1, 3, 75):
                raise JobError("the master ended: " + "\n".join(job.failure()))
            if code == 1 and (status is None or not status["failure"]):
                raise JobError("\n".join(job.failure()))
            return status, code


def _waits_for(flags, directory):
    """What a stop comes to, where it is not only an end."""
    if flags.verb != TRAIN:
        return ""
    if job_file.checkpoints_of(flags, directory):
        return ": waiting for a checkpoint"
    return " without a checkpoint (--checkpoint_steps, --checkpoint_dir): --resume begins the model anew"


def _ledger(directory):
    done = subprocess.run(
        [programs.path("headrace-ctl"), "ledger", "--journal", os.path.join(directory, "ledger.sqlite")],
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise JobError(f"the ledger cannot be read: {done.stderr.strip()}")
    return json.loads(done.stdout)


def _merge_predictions(flags):
    parts = os.path.join(os.path.abspath(flags.output), "parts")
    done = subprocess.run(
        [programs.path("headrace-trainer"), "merge", "--parts", parts]
        + ["--output", os.path.abspath(flags.output)],
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise JobError(f"the predictions cannot be merged: {done.stderr.strip()}")
    shutil.rmtree(parts)
    return json.loads(done.stdout.splitlines()[-1])

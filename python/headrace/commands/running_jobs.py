"""`headrace status`, `stop`, `checkpoint`, `ledger` and `logs`: what looks after jobs, running or ended."""

import json
import os
from typing import Annotated

import typer

from headrace.commands import ctl, without_master
from headrace.commands.common import Format, FormatOption, fail
from headrace.elastic import control, standing
from headrace.elastic.standing import Kind
from headrace.errors import HeadraceError, UsageError

Where = Annotated[str, typer.Argument(help="The job's folder, or its name in headrace_jobs.")]
Master = Annotated[str, typer.Option("--master_addr", help="host:port, instead of a folder.")]
Cert = Annotated[str, typer.Option("--tls_cert", help="Certificate (PEM), for a master with TLS.")]
Key = Annotated[str, typer.Option("--tls_key", help="Its key (PEM).")]
Ca = Annotated[str, typer.Option("--tls_ca", help="The master must have a certificate of this (PEM).")]

_LOOK_S = 3  # whether a master runs that should be on this machine


def _directory(job):
    for path in (job, os.path.join("headrace_jobs", job)):
        if standing.is_job(path):
            return path
    fail(f"{job} is neither the folder of a job nor the name of one in headrace_jobs", 2)


def _address(job, master_addr):
    if master_addr:
        return master_addr
    if not job:
        fail("name the job, or give --master_addr", 2)
    stands = standing.of(_directory(job))
    if stands.kind is not Kind.ASK:
        fail(without_master.why(job, stands), 1)
    try:
        return _written_address(stands.directory)
    except OSError:
        fail(f"{job} does not run: there is no {_address_file(stands.directory)}", 1)


def _address_file(directory):
    return os.path.join(directory, "master.address")


def _written_address(directory):
    """Where the job's master said that it listens. Errors: OSError."""
    with open(_address_file(directory), encoding="utf-8") as file:
        return file.read().strip()


def _ctl(*arguments):
    raise typer.Exit(ctl.call(*arguments).returncode)


def _ask(job, master_addr, cert, key, ca, *arguments):
    """headrace-ctl, for the job's master."""
    tls = control.Tls(cert, key, ca)
    try:
        tls.check(serves=False)
    except UsageError as error:
        fail(error, 2)
    _ctl("--master", _address(job, master_addr), *tls.arguments(), *arguments)


def status(
    job: Where = "",
    master_addr: Master = "",
    watch: Annotated[float, typer.Option(help="Again every so many seconds; 0: once.")] = 0.0,
    tls_cert: Cert = "",
    tls_key: Key = "",
    tls_ca: Ca = "",
    format: FormatOption = Format.text,
):
    """Say how a job stands, and for each worker what it waits for; of an ended one, how it ended."""
    if job and not master_addr and (stands := standing.of(_directory(job))).kind is not Kind.ASK:
        without_master.show(stands, format)
        return
    again = ["--watch", str(watch)] if watch else []
    _ask(job, master_addr, tls_cert, tls_key, tls_ca, "--format", format.value, "status", *again)


def stop(
    job: Where = "",
    master_addr: Master = "",
    discard: Annotated[bool, typer.Option(help="Without a checkpoint.")] = False,
    tls_cert: Cert = "",
    tls_key: Key = "",
    tls_ca: Ca = "",
):
    """End a job early, with a checkpoint; train --resume goes on with it."""
    if job and not master_addr:
        without_master.stop(job, standing.of(_directory(job)))
    flags = ["--discard"] if discard else []
    words = ("--format", "text", "stop", "--reason", "headrace stop", *flags)
    _ask(job, master_addr, tls_cert, tls_key, tls_ca, *words)


def checkpoint(
    job: Where = "",
    master_addr: Master = "",
    tls_cert: Cert = "",
    tls_key: Key = "",
    tls_ca: Ca = "",
):
    """Take a checkpoint now, and say where it is."""
    _ask(job, master_addr, tls_cert, tls_key, tls_ca, "--format", "text", "checkpoint")


def ledger(
    job: Where = "",
    master_addr: Master = "",
    all: Annotated[
        bool,
        typer.Option("--all", help="Every range and every bad record, however many; json has them always."),
    ] = False,
    tls_cert: Cert = "",
    tls_key: Key = "",
    tls_ca: Ca = "",
    format: FormatOption = Format.text,
):
    """Say what became of every record, file by file; of finished jobs, too."""
    words = ["--format", format.value, "ledger", *(["--all"] if all else [])]
    if job and not master_addr:
        directory = _directory(job)
        # A running master has its journal for itself; one that was killed has left it.
        tls = control.Tls(tls_cert, tls_key, tls_ca)
        if standing.of(directory).kind is not Kind.ASK or not _answers(directory, tls):
            _ctl(*words, "--journal", os.path.join(directory, "ledger.sqlite"))
    _ask(job, master_addr, tls_cert, tls_key, tls_ca, *words)


def _answers(directory, tls):
    """Whether the job's master runs. Errors of files of `tls` are its own to tell."""
    try:
        control.ask(_written_address(directory), tls, "job", timeout_s=_LOOK_S)
    except (OSError, HeadraceError):
        return False
    return True


def logs(
    job: Where,
    name: Annotated[str, typer.Argument(help="master, worker-0 ...; default: all.")] = "",
    lines: Annotated[int, typer.Option("-n", help="Last lines of each; 0: all.")] = 50,
):
    """Print the logs of a job's processes."""
    folder = os.path.join(_directory(job), "logs")
    if not os.path.isdir(folder):
        fail(f"{job} has no logs yet", 1)
    names = sorted(entry.removesuffix(".log") for entry in os.listdir(folder))
    found = [f"{entry}.log" for entry in names if name in ("", entry, entry.split(".")[0])]
    if not found:
        fail(f"there is no log of '{name}' in {folder}, only of {', '.join(names)}", 1)
    for entry in found:
        with open(os.path.join(folder, entry), encoding="utf-8", errors="replace") as file:
            content = file.read().splitlines()
        typer.echo(f"== {entry}")
        for line in content[-lines:] if lines else content:
            typer.echo(line)


def register(app: typer.Typer):
    for command in (status, stop, checkpoint, ledger, logs):
        app.command()(command)


__all__ = ["register"]

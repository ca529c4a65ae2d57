"""What `headrace status` and `stop` do where a job of this machine has no master that could be asked."""

import json
import os
import signal
import socket

import typer

from headrace.commands import ctl
from headrace.commands.common import Format, fail
from headrace.elastic import processes, standing
from headrace.elastic.standing import Kind

_VERDICTS = {Kind.STARTING: "starting", Kind.INTERRUPTED: "interrupted", Kind.NOT_BEGUN: "not begun"}


def why(job, stands):
    """Why no master can be asked."""
    if stands.kind is Kind.STARTING:
        return f"{job} has no master yet: it is {stands.holder.does} (process {stands.holder.pid})"
    if stands.kind is Kind.ENDED:
        return f"{job} does not run: it has ended ({stands.verdict})"
    return f"{job} does not run: {stands.why()}; {stands.next()}"


def show(stands, format):
    """Of a job whose master cannot be asked."""
    if stands.status_file and stands.kind is not Kind.STARTING:
        done = ctl.call("--format", format.value, "status", "--status_file", stands.status_file)
        if done.returncode != 0:
            raise typer.Exit(done.returncode)
    else:
        typer.echo(_text(stands) if format is Format.text else json.dumps(_object(stands)))
    if format is Format.json or stands.kind in (Kind.STARTING, Kind.ENDED):
        return
    typer.echo(f"why      {stands.why()}")
    if left := stands.left():
        typer.echo(f"left     {processes.listed(left)}: headrace stop ends them")
    typer.echo(f"next     {stands.next()}")


def _text(stands):
    head = f"job      {stands.name}: {_VERDICTS[stands.kind]}"
    if stands.kind is Kind.STARTING:
        holder, seconds = stands.holder, standing.starting_ms(stands.holder) / 1000
        return f"{head}\nwaits    for its command (process {holder.pid}): {holder.does}, since {seconds:.1f} s"
    if stands.kind is not Kind.INTERRUPTED:
        return head
    # The first line is the ledger's verdict.
    return "\n".join([head, *_totals(stands, "text").splitlines()[1:]])


def _object(stands):
    """What there is of a JobStatus (docs/formats.md)."""
    made = {"job": stands.name, "verdict": _VERDICTS[stands.kind]}
    if stands.kind is Kind.STARTING:
        waiting = str(standing.starting_ms(stands.holder))
        return made | {"waits_for": stands.holder.does, "waiting_ms": waiting}
    made["failure"] = stands.why()
    if stands.kind is Kind.INTERRUPTED:
        made["totals"] = json.loads(_totals(stands, "json"))["totals"]
    return made


def _totals(stands, format):
    done = ctl.call(
        "--format", format, "ledger", "--totals_only", "--journal", stands.journal, capture_output=True, text=True
    )
    if done.returncode != 0:
        fail(done.stderr.strip().removeprefix("headrace-ctl: "), 1)
    return done.stdout


def stop(job, stands):
    """Ends the process where there is no master to do it in order; returns where there is one."""
    if stands.kind is Kind.ASK:
        return
    holder = stands.holder
    if stands.kind is Kind.STARTING and holder.host == socket.gethostname():
        try:
            os.kill(holder.pid, signal.SIGINT)  # the lock is held: it is no other process
        except ProcessLookupError:
            fail(f"{job} does not run: its command has just ended", 1)
        typer.echo(f"{job} is {holder.does}: its command (process {holder.pid}) is told to end")
        raise typer.Exit(0)
    left = stands.left()
    if not left:
        fail(why(job, stands), 1)
    stands.end_left()
    typer.echo(f"{why(job, stands)}; ended what was left of it: {processes.listed(left)}")
    raise typer.Exit(0)


__all__ = ["show", "stop", "why"]

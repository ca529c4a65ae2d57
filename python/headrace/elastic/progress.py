"""What a person sees while a job runs: a bar on a terminal, a line now and then elsewhere."""

import sys
import time

PLAIN_EVERY_S = 10


class Progress:
    """Shows statuses of the master. Use as a context manager."""

    def __init__(self, quiet=False, stream=None):
        self._quiet = quiet
        self._stream = stream or sys.stderr
        self._bar = self._task = None
        self._said = 0.0
        self._first = None  # (time, records done) from which on the time left is reckoned
        self._done = 0
        self._last_wait = self._last_trouble = ""

    def __enter__(self):
        if not self._quiet and self._stream.isatty():
            self._bar = _bar(self._stream)
            self._bar.start()
            self._task = self._bar.add_task("starting", total=None, text="")
        return self

    def __exit__(self, *_):
        if self._bar is not None:
            self._bar.stop()

    def show(self, status):
        if self._quiet:
            return
        if status["trouble"] != self._last_trouble:
            self._last_trouble = status["trouble"]
            self.say(f"a task failed, and is tried again: {self._last_trouble}")
        totals = status["totals"]
        total, pending = int(totals["records"]), int(totals["pending"])
        text = summary(status)
        if self._bar is not None:
            stage = _epoch(total - pending, total, int(status["epochs"]))
            waits = f"; waits for {status['waits_for']}" if status["waits_for"] else ""
            self._bar.update(
                self._task, total=total, completed=total - pending, description=stage, text=text + waits
            )
        elif time.monotonic() - self._said > PLAIN_EVERY_S or status["waits_for"] != self._last_wait:
            self._said = time.monotonic()
            self._last_wait = status["waits_for"]
            waits = f", waits for {status['waits_for']}" if status["waits_for"] else ""
            left = self._left(total - pending, pending)
            print(f"{total - pending} of {total} records, {text}{left}{waits}", file=self._stream, flush=True)

    def _left(self, done, pending):
        """", 1:05 left" at the speed so far; "" as long as that is not known."""
        now = time.monotonic()
        if self._first is None or done < self._done:  # a model that went back
            self._first = now, done
        self._done = done
        seconds, records = now - self._first[0], done - self._first[1]
        if records == 0 or pending == 0:
            return ""
        minutes, seconds = divmod(round(pending * seconds / records), 60)
        hours, minutes = divmod(minutes, 60)
        return f", {hours}:{minutes:02}:{seconds:02} left" if hours else f", {minutes}:{seconds:02} left"

    def say(self, line):
        """One line for people, above the bar if there is one."""
        if self._quiet:
            return
        if self._bar is not None:
            self._bar.console.print(line, highlight=False, markup=False)
        else:
            print(line, file=self._stream, flush=True)


def _epoch(done, total, epochs):
    """Which one most records are of: tasks of the next one may be out already."""
    return f"epoch {min(done * epochs // total + 1, epochs) if total else 1} of {epochs}"


def summary(status) -> str:
    """Step, speed, loss and workers, in a line; no step where nothing is trained."""
    live = [w for w in status["workers"] if w["state"] != "gone"]
    parts = [] if status.get("type") in ("evaluation-only", "prediction-only") else [f"step {status['step']}"]
    if float(status["steps_per_s"]) > 0:
        parts.append(f"{float(status['steps_per_s']):.1f} steps/s")
    # Only those who took steps have one.
    told = [w["telemetry"] for w in live if int((w.get("telemetry") or {}).get("steps", 0)) > 0]
    losses = [telemetry["loss"] for telemetry in told]
    losses = [float(loss) for loss in losses if loss not in ("NaN", "Infinity", None)]
    if losses:
        parts.append(f"loss {sum(losses) / len(losses):.4f}")
    parts.append(f"{len(live)} worker{'s' if len(live) != 1 else ''}")
    return ", ".join(parts)


def _bar(stream):
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column

    def whole():
        return Column(no_wrap=True)

    return Progress(
        TextColumn("{task.description}", table_column=whole()),
        BarColumn(bar_width=20),
        MofNCompleteColumn(table_column=whole()),
        TimeRemainingColumn(compact=True, table_column=whole()),
        # The last one, and the one that is cut where a terminal is narrow.
        TextColumn("{task.fields[text]}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
        expand=True,
        console=Console(file=stream),
    )

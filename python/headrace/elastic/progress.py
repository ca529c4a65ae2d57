"""What a person sees while a job runs: a bar on a terminal, a line now and then elsewhere."""

import sys
import time

PLAIN_EVERY_S = 10
REPLACED = "replaced by a new process"  # the master's words


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
        self._restarts = None  # of each worker, as far as they were told of
        self._there = set()  # workers that were seen at work

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
        self._tell_of_restarts(status["workers"], status["verdict"] == "running")
        totals = status["totals"]
        total, pending = int(totals["records"]), int(totals["pending"])
        text, wait = summary(status), waits_for(status)
        if self._bar is not None:
            stage = _epoch(total - pending, total, int(status["epochs"]))
            waits = f"; waits for {wait}" if wait else ""
            self._bar.update(
                self._task, total=total, completed=total - pending, description=stage, text=text + waits
            )
        elif time.monotonic() - self._said > PLAIN_EVERY_S or wait != self._last_wait:
            self._said = time.monotonic()
            self._last_wait = wait
            waits = f", waits for {wait}" if wait else ""
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

    def _tell_of_restarts(self, workers, runs):
        """One line for each training process that was lost: once there is another one, or there will be none."""
        if self._restarts is None:  # of a job that goes on: those of earlier
            self._restarts = {worker["name"]: worker["restarts"] for worker in workers}
        for worker in workers:
            name, times = worker["name"], worker["restarts"] - self._restarts.get(worker["name"], 0)
            lost = f"{name}: its training process ended: {(worker['last_exit'].splitlines() or [''])[0]}"
            if worker["state"] != "gone":
                self._there.add(name)
                self._restarts[name] = worker["restarts"]
                # Who comes for an agent that was killed: that was told of where it was started again.
                if times > 0 and worker["last_exit"] != REPLACED:
                    seconds = int(worker["restart_ms"]) / 1000
                    more = f"; {times} times by now" if times > 1 else ""
                    self.say(f"{lost}; started again after {seconds:.1f} s{more}")
            elif not runs and name in self._there:
                self._there.remove(name)
                if worker["last_exit"]:
                    self.say(lost)

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


def waits_for(status) -> str:
    """What keeps the job from going on, "" if nothing does."""
    if status["waits_for"] or not status["own_program"]:
        return status["waits_for"]
    # Of a program of one's own nobody else sees it.
    waiting = [w["name"] for w in status["workers"] if w["waits_for"].startswith("commit")]
    return f"the program of {', '.join(waiting)} to commit what it was handed: commit(batch)" if waiting else ""


def summary(status) -> str:
    """Step, speed, loss and workers, in a line; no step where nothing is trained."""
    live = [w for w in status["workers"] if w["state"] != "gone"]
    workers = f"{len(live)} worker{'s' if len(live) != 1 else ''}"
    if status["own_program"]:
        return f"{_of_own_program(status, live)}, {workers}"
    parts = [] if status.get("type") in ("evaluation-only", "prediction-only") else [f"step {status['step']}"]
    if float(status["steps_per_s"]) > 0:
        parts.append(f"{float(status['steps_per_s']):.1f} steps/s")
    # Only those who took steps have one.
    told = [w["telemetry"] for w in live if int((w.get("telemetry") or {}).get("steps", 0)) > 0]
    losses = [telemetry["loss"] for telemetry in told]
    losses = [float(loss) for loss in losses if loss not in ("NaN", "Infinity", None)]
    if losses:
        parts.append(f"loss {sum(losses) / len(losses):.4f}")
    return ", ".join([*parts, workers])


def _of_own_program(status, live):
    """It has steps and a loss of its own, if any."""

    def count(key):
        return sum(int((worker.get("telemetry") or {}).get(key, 0)) for worker in live)

    text = f"{count('handed_out')} handed out, {count('records')} committed"
    speed = float(status["records_per_s"])
    return text + (f", {speed:.0f} records/s" if speed > 0 else "")


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

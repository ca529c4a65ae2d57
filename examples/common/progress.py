"""Progress of a run: a bar on a terminal, plain lines elsewhere."""

import contextlib
import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LINES = 5  # plain lines per task


class _Lines:
    """One line whenever another fifth of the task is done."""

    def __init__(self, stream, what, total):
        self._stream, self._what, self._total = stream, what, total
        self._done = 0

    def advance(self, count, note=""):
        before = self._done * LINES // self._total
        self._done += count
        if self._done * LINES // self._total > before:
            print(f"{self._what}: {self._done}/{self._total} {note}".rstrip(), file=self._stream,
                  flush=True)


class _Bar:
    def __init__(self, progress, what, total):
        self._progress = progress
        self._task = progress.add_task(what, total=total, note="")

    def advance(self, count, note=""):
        self._progress.update(self._task, advance=count, note=note)


@contextlib.contextmanager
def progress(tasks, stream=sys.stdout):
    """Gives one object for each (what, total) of `tasks`; advance(count, note) moves it on.

    Bars where `stream` is a terminal, plain lines where it is not.
    """
    console = Console(file=stream)
    if not console.is_terminal:
        yield [_Lines(stream, what, total) for what, total in tasks]
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeRemainingColumn(), TextColumn("{task.fields[note]}"))
    with Progress(*columns, console=console) as bars:
        yield [_Bar(bars, what, total) for what, total in tasks]

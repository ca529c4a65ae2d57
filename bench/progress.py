"""What a run of benchmarks says while it runs: a bar with the time left on a terminal, lines elsewhere."""

import contextlib
import time


class Clock:
    """How far a run is, and how long the rest takes. Seconds.

    expected: expected seconds of each benchmark, in the order of the run. now: a clock.
    The rest takes what was expected of it, times what the part that is done took over what was expected.
    """

    TRUSTED = 5.0  # expected seconds that must be done before their pace counts

    def __init__(self, expected, now=time.monotonic):
        self._expected, self._now = list(expected), now
        self._began, self._before, self._share = now(), -1, 0.0

    def begin(self):
        """The next benchmark begins."""
        self._before, self._share = self._before + 1, 0.0

    def within(self, share):
        """`share` of the benchmark is done, in [0, 1]."""
        self._share = share

    def finish(self):
        """The run is over."""
        self._before, self._share = len(self._expected), 0.0

    @property
    def total(self):
        return sum(self._expected)

    @property
    def done(self):
        """Expected seconds of what is done."""
        before = max(self._before, 0)
        current = self._expected[before] if before < len(self._expected) else 0.0
        return sum(self._expected[:before]) + self._share * current

    @property
    def left(self):
        """Seconds that are left."""
        rest = self.total - self.done
        if self.done < self.TRUSTED:
            return rest
        return rest * (self._now() - self._began) / self.done


class Watch:
    """What a benchmark tells of its run: its parts, and the rounds of a part.

    show: called with (text, is_part) after every news.
    """

    def __init__(self, name, clock, show):
        self._name, self._clock, self._show = name, clock, show
        self._parts, self._part, self._text = 1, -1, ""

    def parts(self, count):
        """So many parts, of about the same length, follow."""
        self._parts = count

    def part(self, text):
        """The next part begins."""
        self._part += 1
        self._text = f"{self._name}: {text}" if text else self._name
        self._tell(0.0, self._text, True)

    def round(self, number, count):
        """Round `number`, from 0, of a part's `count` begins."""
        self._tell(number / count, f"{self._text}, round {number + 1} of {count}", False)

    def _tell(self, share, text, is_part):
        self._clock.within(min(1.0, (max(self._part, 0) + share) / self._parts))
        self._show(text, is_part)


def in_words(seconds):
    """"40 s", "3 min", "1 h 5 min"."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


class _Lines:
    """A line for each part."""

    def __init__(self, clock, stream):
        self._clock, self._stream = clock, stream

    def show(self, text, is_part):
        if is_part:
            done = 100 * self._clock.done / self._clock.total
            print(f"[{done:3.0f} %, {in_words(self._clock.left)} left] {text}", file=self._stream, flush=True)


class _Bar:
    def __init__(self, clock, bars):
        self._clock, self._bars = clock, bars
        self._task = bars.add_task("", total=clock.total, left="")

    def show(self, text, is_part):
        del is_part
        self._bars.update(self._task, completed=self._clock.done, description=text,
                          left=f"{in_words(self._clock.left)} left")


@contextlib.contextmanager
def shown(clock, stream):
    """Gives show(text, is_part) for Watch: a bar where `stream` is a terminal, lines where it is not."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        SpinnerColumn,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    console = Console(file=stream)
    if not console.is_terminal:
        yield _Lines(clock, stream).show
        return
    columns = (SpinnerColumn(), BarColumn(bar_width=24), TaskProgressColumn(), TimeElapsedColumn(),
               TextColumn("{task.fields[left]}", style="cyan"),
               TextColumn("{task.description}", markup=False))
    # Drawn twice a second: what is measured shares the cores with it.
    with Progress(*columns, console=console, refresh_per_second=2, redirect_stdout=False,
                  redirect_stderr=False) as bars:
        yield _Bar(clock, bars).show

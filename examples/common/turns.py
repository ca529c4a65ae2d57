"""Contenders that train in turns, so that a machine that slows down slows all of them."""

import contextlib

import numpy as np

from examples.common.contenders import PARTS
from examples.common.measure import effective_cores
from examples.common.progress import progress
from examples.common.stepper import Segment

WARM_UP = 5     # steps before the first turn: the first one optimizes the graph and makes kernels
BAR_STEPS = 10  # steps between two updates of a progress bar


class Turns:
    """Trains `steps` timed steps with each contender, in `turns` turns of alternating order.

    Before the steps of a turn are timed, some run untimed: no contender may live on what was made
    ready while another one ran. In every turn the parts of a step are timed alone as well.

    steppers: the contenders. parts: a Stepper for each name of contenders.PARTS. All stay the
    caller's.
    staging: how far the staged contender runs ahead.
    Results: `segments` (lists of Segment, one a turn, by contender or part), `losses` (every
    step's, by contender), `cores` (effective cores, one a turn).
    """

    def __init__(self, steppers, parts, staging):
        assert [part.name for part in parts] == list(PARTS)
        self.steppers, self.parts, self.staging = steppers, parts, staging
        self.segments = {stepper.name: [] for stepper in steppers + parts}
        self.losses = {stepper.name: [] for stepper in steppers}
        self.cores = []

    def go(self, steps, turns, stream, trace=None):
        """Runs all turns; errors of a graph are raised as they are.

        stream: where progress is shown. trace: path for a Chrome trace of the last turn, or None.
        """
        sizes = [len(part) for part in np.array_split(np.arange(steps), turns)]
        for stepper in self.steppers + self.parts:
            self._untimed(stepper, WARM_UP)
        with progress([(s.name, steps) for s in self.steppers], stream) as bars:
            for turn, size in enumerate(sizes):
                order = list(zip(self.steppers, bars))
                with contextlib.ExitStack() as recording:
                    if trace is not None and turn + 1 == turns:
                        import headrace

                        recording.enter_context(headrace.trace(trace))
                    for stepper, bar in order if turn % 2 == 0 else order[::-1]:
                        self._timed(stepper, size, bar)
                for part in self.parts:
                    self._timed(part, max(3, size // 3))
                self.cores.append(effective_cores())

    def _untimed(self, stepper, steps):
        values = stepper.advance(steps).values
        if stepper.name in self.losses:
            self.losses[stepper.name] += values

    def _timed(self, stepper, steps, bar=None):
        self._untimed(stepper, self.staging.capacity + self.staging.num_threads + 1)
        left, seconds, cpu = steps, 0.0, 0.0
        while left:
            part = stepper.advance(min(left, BAR_STEPS))
            left, seconds, cpu = left - part.steps, seconds + part.seconds, cpu + part.cpu_seconds
            if bar is not None:
                self.losses[stepper.name] += part.values
                bar.advance(part.steps, f"loss {part.values[-1]:.4f}")
        self.segments[stepper.name].append(Segment(steps, seconds, cpu, []))


def losses_equal(losses):
    """Whether every contender had the same losses, bit for bit, step by step."""
    first, *others = (np.array(values, dtype=np.float32).tobytes() for values in losses.values())
    return all(other == first for other in others)


def loss_falls(losses):
    """Whether, for every contender, the last tenth of the steps has a lower mean than the first."""
    def falls(values):
        tenth = max(1, len(values) // 10)
        return bool(np.mean(values[-tenth:]) < np.mean(values[:tenth]))

    return all(falls(values) for values in losses.values())

"""Staged contenders whose capacity and threads are Headrace's to choose: StageOptions' default."""

from examples.common import staging

AUTOTUNE = {"capacity": -1, "num_threads": -1}  # headrace.AUTOTUNE, known without importing it
PATIENCE_SECONDS = 120


class Settled:
    """A Stepper that steps until its stages have chosen their settings when it is asked about itself."""

    def __init__(self, stepper):
        self._stepper = stepper
        self._settled = None
        self._steps, self._seconds = 0, 0.0

    def advance(self, steps):
        segment = self._stepper.advance(steps)
        if self._settled is None:
            self._steps += segment.steps
            self._seconds += segment.seconds
        return segment

    def about(self):
        """After how many steps, and seconds of steps, all stages had chosen; and each stage's figures now.

        Errors: RuntimeError if that takes more than PATIENCE_SECONDS.
        """
        figures = staging.stats(self._stepper)
        while self._settled is None:
            if figures and not any(stage["measuring"] for stage in figures):
                self._settled = {"steps": self._steps, "seconds": self._seconds}
            elif self._seconds > PATIENCE_SECONDS:
                raise RuntimeError(f"still measuring after {self._steps} steps and {self._seconds:.0f} s: "
                                   f"{figures}")
            else:
                self.advance(1)
                figures = staging.stats(self._stepper)
        kept = ("capacity", "num_threads", "depth_limit", "held_bytes")
        return {**self._settled, "stages": [{key: stage[key] for key in kept} for stage in figures]}

    def close(self):
        self._stepper.close()


def settle(field, names):
    """{name: about()} of a Field's contenders, one after the other, each alone."""
    return {name: field.contenders[name].about() for name in names}


def as_text(about):
    """"4, 2" (capacity, threads) or "in the step", a stage each."""
    return "; ".join(f"{stage['capacity']}, {stage['num_threads']}" if stage["capacity"] else "in the step"
                     for stage in about["stages"])

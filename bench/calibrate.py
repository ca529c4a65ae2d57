"""How much work is a millisecond on this machine."""

from bench import workloads
from bench.processes import Contender, Field
from examples.common.stepper import Stepper

PROBE = (256, 1280)  # strings; the difference leaves out what a step costs by itself


def make(strings):
    """Contender that computes on `strings` strings."""
    def build():
        return workloads.computing_step([], strings), []

    return Stepper("calibrate", build)


def strings_per_millisecond(rounds=40):
    """Strings that workloads.compute() hashes in a millisecond, at the best of `rounds`.

    Many short rounds: some of them fall between the other work of a busy machine.
    """
    contenders = [Contender(str(n), "bench.calibrate:make", {"strings": n}) for n in PROBE]
    with Field(contenders) as field:
        done = field.run(rounds, 0.02, measure_cores=False)
    small, large = (min(r.seconds(str(n)) for r in done) for n in PROBE)
    return (PROBE[1] - PROBE[0]) / (1e3 * (large - small))


def strings_for(milliseconds, per_millisecond):
    """Strings that take `milliseconds` to hash; at least one."""
    return max(1, round(milliseconds * per_millisecond))

"""One training graph in the ways that are compared: unstaged, staged, and its parts alone."""

import tensorflow as tf

from examples.common.measure import Terms
from examples.common.staging import session_config
from examples.common.stepper import Stepper, evaluate, frozen, keeping_config, quiet_config

PARTS = ("main", "read", "prepare", "cpu")


class Contenders:
    """Makes Steppers that train the same model on the same input. Each is the caller's to close.

    read: () -> (raw element, initializers): builds the source alone.
    next_batch: () -> (batch, initializers): builds source and preparation; a batch is any structure
    of tensors that holds all that the training part takes.
    step: (batch) -> tensor: builds the training part; fetching the tensor trains one step.
    whole: () -> (tensor, initializers): builds all of it the way its author wrote it, where that does not
    come apart into the other three; default: step(next_batch()).
    """

    def __init__(self, read, next_batch, step, whole=None):
        self._read, self._next_batch, self._step = read, next_batch, step
        self._whole = whole or (lambda: self._train(next_batch))

    def _train(self, next_batch):
        batch, initializers = next_batch()
        return self._step(batch), initializers

    def _prepare(self, next_batch):
        batch, initializers = next_batch()
        return tf.group(*tf.nest.flatten(batch)), initializers

    def unstaged(self):
        """The plain graph in a stock session."""
        return Stepper("unstaged", self._whole, session_config())

    def staged(self, staging):
        """The same graph, its input staged as `staging` says."""
        return Stepper("staged", self._whole, session_config(staging))

    def other(self, name, next_batch):
        """The same training part behind another input, unstaged."""
        return Stepper(name, lambda: self._train(next_batch), session_config())

    def part(self, name):
        """One part of the unstaged step alone, for Terms: a name of PARTS."""
        if name == "main":
            batch = evaluate(self._next_batch)
            return Stepper(name, lambda: (self._step(frozen(batch)), []), session_config())
        if name == "read":
            return Stepper(name, lambda: self._prepare(self._read), keeping_config())
        if name == "prepare":
            return Stepper(name, lambda: self._prepare(self._next_batch), keeping_config())
        if name == "cpu":
            return Stepper(name, self._whole, quiet_config())
        raise ValueError(f"{name} is not one of {PARTS}")


def terms(segments, cores):
    """Terms from one Segment for each name of PARTS and the effective cores of the same minutes."""
    seconds = {name: segments[name].seconds / segments[name].steps for name in PARTS}
    cpu = segments["cpu"].cpu_seconds / segments["cpu"].steps
    return Terms(seconds["main"], seconds["read"], seconds["prepare"], cpu, cores)

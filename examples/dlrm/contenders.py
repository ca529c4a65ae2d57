"""DLRM in the ways that are compared: unstaged, staged, tuned by hand, and its parts alone."""

import functools

import tensorflow as tf

from examples.common.measure import Terms
from examples.common.staging import session_config
from examples.common.stepper import Stepper, evaluate, frozen, quiet_config
from examples.dlrm import input as plain
from examples.dlrm import input_tuned, model

PARTS = ("main", "read", "prepare", "cpu")


def _step(batch, config):
    """The loss of a training step: one tensor, so that fetching it costs next to nothing."""
    training = model.training(batch, config)
    with tf.control_dependencies([training.train_op]):
        return tf.identity(training.loss)


def _train(next_batch, config):
    batch, initializer = next_batch()
    return _step(batch, config), initializer


def _train_frozen(batch, config):
    return _step(frozen(batch), config), []


def _read(files, batch_size):
    dataset = plain.lines_dataset(files, batch_size)
    iterator = tf.compat.v1.data.make_initializable_iterator(dataset)
    return iterator.get_next().op, iterator.initializer


def _prepare(next_batch):
    batch, initializer = next_batch()
    return tf.group(*tf.nest.flatten(batch)), initializer


class Contenders:
    """Makes Steppers on the same files with the same model. Each is the caller's to close.

    files: from input.data_files. config: model.Config.
    """

    def __init__(self, files, batch_size, config):
        self._files, self._batch_size, self._config = files, batch_size, config
        self._next_batch = functools.partial(plain.next_batch, files, batch_size, config.buckets)

    def unstaged(self):
        """The plain graph in a stock session."""
        return Stepper("unstaged", lambda: _train(self._next_batch, self._config), session_config())

    def staged(self, staging):
        """The same graph with its input staged as `staging` says."""
        return Stepper("staged", lambda: _train(self._next_batch, self._config),
                       session_config(staging))

    def tuned(self, parallel_calls=tf.data.AUTOTUNE):
        """Parsing and hashing moved into a parallel map by hand (input_tuned.py)."""
        next_batch = functools.partial(input_tuned.next_batch, self._files, self._batch_size,
                                       self._config.buckets, parallel_calls)
        return Stepper("tuned", lambda: _train(next_batch, self._config), session_config())

    def part(self, name):
        """One part of the unstaged step alone, for Terms: a name of PARTS."""
        if name == "main":
            batch = evaluate(self._next_batch)
            return Stepper(name, lambda: _train_frozen(batch, self._config), session_config())
        if name == "read":
            return Stepper(name, lambda: _read(self._files, self._batch_size), session_config())
        if name == "prepare":
            return Stepper(name, lambda: _prepare(self._next_batch), session_config())
        if name == "cpu":
            return Stepper(name, lambda: _train(self._next_batch, self._config), quiet_config())
        raise ValueError(f"{name} is not one of {PARTS}")


def terms(segments, cores):
    """Terms from one Segment for each name of PARTS and the effective cores of the same minutes."""
    seconds = {name: segments[name].seconds / segments[name].steps for name in PARTS}
    cpu = segments["cpu"].cpu_seconds / segments["cpu"].steps
    return Terms(seconds["main"], seconds["read"], seconds["prepare"], cpu, cores)

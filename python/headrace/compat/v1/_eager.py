"""Turns eager mode off, and says so where that comes too late for something."""

import warnings

import tensorflow as tf
from tensorflow.python.eager import context


class EagerTurnedOffWarning(UserWarning):
    """Eager mode was in use before headrace.compat.v1 turned it off."""


def turn_eager_off():
    """Graph mode from here on. Warns if TensorFlow has run eager operations in this process."""
    current = context.context_safe()
    used = current is not None and getattr(current, "_initialized", False)
    if used and tf.executing_eagerly():
        warnings.warn(
            "headrace.compat.v1 has turned eager mode off, but eager operations already ran "
            "in this process: tensors, variables and datasets made before belong to no graph and "
            "cannot be used in one. Import headrace.compat.v1 before the first TensorFlow operation",
            EagerTurnedOffWarning,
            stacklevel=3,
        )
    tf.compat.v1.disable_eager_execution()

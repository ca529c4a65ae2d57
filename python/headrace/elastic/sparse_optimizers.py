"""Updates of some rows, in place of Keras's of whole variables: SGD, Adagrad and Adam.

Only rows that have a gradient are read and written, of the table and of its slots. SGD without momentum gives
what Keras's dense update gives, bit for bit, Adagrad up to rounding. SGD with momentum and Adam are lazy: a
row that a step does not touch keeps its momentum and velocity, and is not moved by them; rows that it touches
are updated as Keras does.
"""

import contextlib

import keras
import tensorflow as tf
from tensorflow.core.framework import attr_value_pb2

from headrace.errors import ExportError

# String, on the call of an update: the name of the variable.
UPDATE_MARK = "_headrace_sparse_update"
_CALLS = ("PartitionedCall", "StatefulPartitionedCall")


def refusal(optimizer, variable) -> str:
    """Why `variable` cannot be updated by rows; "" if it can."""
    kind = type(optimizer)
    if kind not in _UPDATES:
        names = ", ".join(c.__name__ for c in _UPDATES)
        return f"the optimizer {kind.__name__} has no update by rows: use one of {names}"
    if optimizer.use_ema:
        return "the optimizer's use_ema averages every row each step: leave it out"
    if optimizer.gradient_accumulation_steps:
        return (
            "the optimizer's gradient_accumulation_steps adds up whole gradients: leave it out, and use "
            "larger batches or synchronous training (--use_async=false)"
        )
    if optimizer.loss_scale_factor is not None:
        return "the optimizer's loss_scale_factor takes whole gradients only: leave it out"
    if optimizer.global_clipnorm:
        return "the optimizer's global_clipnorm takes whole gradients only: use clipnorm or clipvalue"
    if optimizer.weight_decay is not None and optimizer._use_weight_decay(variable):
        return (
            "the optimizer's weight_decay changes every row each step: leave it out, or call the optimizer's "
            "exclude_from_weight_decay with this variable"
        )
    if getattr(variable, "constraint", None) is not None:
        return "its constraint is applied to every row each step: leave it out"
    return ""


@contextlib.contextmanager
def updates(optimizer, name_of):
    """Within it, the optimizer's apply() updates by rows what has a gradient of tf.IndexedSlices.

    Such gradients must have each row once, indices of int64, and no refusal(). Each update is one call of a
    function (indices, values, scalars..., table, slots...) that uses the resources by these rows only, marked
    by UPDATE_MARK. name_of: gives a tf.Variable's name. Not for several threads at a time.
    """
    original = optimizer.update_step

    def update_step(gradient, variable, learning_rate):
        if not isinstance(gradient, tf.IndexedSlices):
            original(gradient, variable, learning_rate)
            return
        function, scalars, slots = _UPDATES[type(optimizer)](optimizer, variable, learning_rate)
        graph = tf.compat.v1.get_default_graph()
        values = tf.cast(gradient.values, variable.dtype)
        before = len(graph.get_operations())
        # Where it runs is decided by where the rows are, not by this variable as a whole.
        with graph.colocate_with(None, ignore_existing=True):
            function(gradient.indices, values, *scalars, variable, *slots)
        made = [op for op in graph.get_operations()[before:] if op.type in _CALLS]
        if len(made) != 1:
            raise ExportError(f"the update of '{name_of(variable)}' is {len(made)} calls, not one")
        made[0]._set_attr(UPDATE_MARK, attr_value_pb2.AttrValue(s=name_of(variable).encode()))

    # Past the optimizer's own __setattr__, which keeps track of what may hold variables.
    vars(optimizer)["update_step"] = update_step
    try:
        yield
    finally:
        del vars(optimizer)["update_step"]


def _function(update):
    return tf.function(update, autograph=False)


def _scalar(value, variable):
    return tf.cast(tf.convert_to_tensor(value), variable.dtype)


def _slot(slots, optimizer, variable):
    return slots[optimizer._get_variable_index(variable)].value


def _sgd(optimizer, variable, learning_rate):
    rate = _scalar(learning_rate, variable)
    if optimizer.momentum == 0:
        return _sgd_rows, [rate], []
    momentum = _scalar(optimizer.momentum, variable)
    rows = _nesterov_rows if optimizer.nesterov else _momentum_rows
    return rows, [rate, momentum], [_slot(optimizer.momentums, optimizer, variable)]


@_function
def _sgd_rows(indices, values, rate, table):
    table.scatter_sub(tf.IndexedSlices(values * rate, indices))


@_function
def _momentum_rows(indices, values, rate, momentum, table, momentums):
    moved = momentums.sparse_read(indices) * momentum - values * rate
    momentums.scatter_update(tf.IndexedSlices(moved, indices))
    table.scatter_add(tf.IndexedSlices(moved, indices))


@_function
def _nesterov_rows(indices, values, rate, momentum, table, momentums):
    moved = momentums.sparse_read(indices) * momentum - values * rate
    momentums.scatter_update(tf.IndexedSlices(moved, indices))
    table.scatter_add(tf.IndexedSlices(moved * momentum - values * rate, indices))


def _adagrad(optimizer, variable, learning_rate):
    rate, epsilon = _scalar(learning_rate, variable), _scalar(optimizer.epsilon, variable)
    return _adagrad_rows, [rate, epsilon], [_slot(optimizer._accumulators, optimizer, variable)]


@_function
def _adagrad_rows(indices, values, rate, epsilon, table, accumulators):
    added = tf.square(values)
    total = accumulators.sparse_read(indices) + added
    accumulators.scatter_add(tf.IndexedSlices(added, indices))
    table.scatter_sub(tf.IndexedSlices(rate * values / tf.sqrt(total + epsilon), indices))


def _adam(optimizer, variable, learning_rate):
    step = _scalar(optimizer.iterations + 1, variable)
    power_1 = tf.pow(_scalar(optimizer.beta_1, variable), step)
    power_2 = tf.pow(_scalar(optimizer.beta_2, variable), step)
    alpha = _scalar(learning_rate, variable) * tf.sqrt(1 - power_2) / (1 - power_1)
    rest_1, rest_2 = _scalar(1 - optimizer.beta_1, variable), _scalar(1 - optimizer.beta_2, variable)
    scalars = [alpha, rest_1, rest_2, _scalar(optimizer.epsilon, variable)]
    slots = [optimizer._momentums, optimizer._velocities]
    slots += [optimizer._velocity_hats] if optimizer.amsgrad else []
    function = _amsgrad_rows if optimizer.amsgrad else _adam_rows
    return function, scalars, [_slot(s, optimizer, variable) for s in slots]


def _adam_moments(indices, values, rest_1, rest_2, momentums, velocities):
    """Both, of these rows, as they become."""
    momentum, velocity = momentums.sparse_read(indices), velocities.sparse_read(indices)
    more_1, more_2 = (values - momentum) * rest_1, (tf.square(values) - velocity) * rest_2
    momentums.scatter_add(tf.IndexedSlices(more_1, indices))
    velocities.scatter_add(tf.IndexedSlices(more_2, indices))
    return momentum + more_1, velocity + more_2


@_function
def _adam_rows(indices, values, alpha, rest_1, rest_2, epsilon, table, momentums, velocities):
    momentum, velocity = _adam_moments(indices, values, rest_1, rest_2, momentums, velocities)
    table.scatter_sub(tf.IndexedSlices(momentum * alpha / (tf.sqrt(velocity) + epsilon), indices))


@_function
def _amsgrad_rows(indices, values, alpha, rest_1, rest_2, epsilon, table, momentums, velocities, highest):
    momentum, velocity = _adam_moments(indices, values, rest_1, rest_2, momentums, velocities)
    velocity = tf.maximum(highest.sparse_read(indices), velocity)
    highest.scatter_update(tf.IndexedSlices(velocity, indices))
    table.scatter_sub(tf.IndexedSlices(momentum * alpha / (tf.sqrt(velocity) + epsilon), indices))


_UPDATES = {
    keras.optimizers.SGD: _sgd,
    keras.optimizers.Adagrad: _adagrad,
    keras.optimizers.Adam: _adam,
}

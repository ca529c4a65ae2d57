"""Metrics as sums, so that parts of an evaluation can be done anywhere, again, and added up.

The contribution of one batch is one vector of float64: for each metric the state that it has after
this batch alone. Vectors of batches are added; metrics are computed from the sum.
"""

import tensorflow as tf

from headrace.elastic.model_module import line_of
from headrace.errors import ExportError

LOSS = "loss"


class EvalMetrics:
    """The metrics of eval_metrics_fn(), and the loss.

    Each is a Keras metric, or a function (labels, predictions) that gives one value per example or one
    for the batch, of which the mean over examples is taken. `fn` may also return {output: {name: metric}}
    for models with several outputs.

    Errors: ExportError for a metric whose state cannot be added up.
    """

    def __init__(self, path, fn, loss):
        self._loss = loss
        self._metrics = []  # (name, output or None, metric)
        given = fn() if fn else {}
        where = f"{path}:{line_of(fn)}" if fn else path
        if not isinstance(given, dict):
            raise ExportError(f"{where}: eval_metrics_fn() must give {{name: metric}}, and gives {given!r}")
        for name, metric in given.items():
            if isinstance(metric, dict):
                for inner, of_output in metric.items():
                    self._metrics.append((f"{name}_{inner}", name, _checked(of_output, inner, where)))
            else:
                self._metrics.append((name, None, _checked(metric, name, where)))

    def contribution(self, labels, predictions):
        """Vector of float64 [n] of one batch."""
        size = tf.shape(tf.nest.flatten(labels)[0], tf.int64)[0]
        parts = [_mean_state(self._loss(labels, predictions), size)]
        for _, output, metric in self._metrics:
            chosen = (_of(labels, output), _of(predictions, output))
            if _is_keras(metric):
                parts += _update(metric, *chosen)
            else:
                parts.append(_mean_state(metric(*chosen), size))
        return tf.concat([tf.reshape(tf.cast(p, tf.float64), [-1]) for p in parts], 0)

    def results(self, sums):
        """{name: float64 scalar} of a sum of contributions."""
        values = {LOSS: sums[0] / sums[1]}
        at = 2
        for name, _, metric in self._metrics:
            if not _is_keras(metric):
                values[name] = sums[at] / sums[at + 1]
                at += 2
                continue
            state = []
            for variable in metric.variables:
                shape = tf.TensorShape(variable.shape)
                piece = sums[at : at + shape.num_elements()]
                state.append(tf.cast(tf.reshape(piece, shape), variable.dtype))
                at += shape.num_elements()
            values[name] = metric.stateless_result(state)
        return {name: tf.cast(value, tf.float64) for name, value in values.items()}


def _is_keras(metric):
    import keras

    return isinstance(metric, keras.metrics.Metric)


def _checked(metric, name, where):
    import keras

    if not _is_keras(metric):
        if callable(metric):
            return metric
        raise ExportError(f"{where}: metric '{name}' is {metric!r}, neither a Keras metric nor callable")
    additive = (
        keras.metrics.Mean,
        keras.metrics.Sum,
        keras.metrics.AUC,
        keras.metrics.FBetaScore,
        keras.metrics.IoU,
        keras.metrics.Precision,
        keras.metrics.PrecisionAtRecall,
        keras.metrics.R2Score,
        keras.metrics.Recall,
        keras.metrics.RecallAtPrecision,
        keras.metrics.SensitivityAtSpecificity,
        keras.metrics.SpecificityAtSensitivity,
        keras.metrics.TruePositives,
        keras.metrics.TrueNegatives,
        keras.metrics.FalsePositives,
        keras.metrics.FalseNegatives,
    )
    if isinstance(metric, additive) or getattr(metric, "headrace_additive", False):
        return metric
    raise ExportError(
        f"{where}: metric '{name}' ({type(metric).__name__}) is not known to have a state that can be added "
        "up over parts of the data; if it has one, set its attribute headrace_additive to True, else run the "
        "program as it is under `headrace run`"
    )


def _of(structure, output):
    return structure[output] if output is not None and isinstance(structure, dict) else structure


def _mean_state(value, size):
    """[sum over examples, number of examples]."""
    value = tf.cast(tf.convert_to_tensor(value), tf.float64)
    size = tf.cast(size, tf.float64)
    if value.shape.rank == 0:
        return tf.stack([value * size, size])
    return tf.stack([tf.reduce_sum(value), tf.cast(tf.size(value), tf.float64)])


def _update(metric, labels, predictions):
    zeros = [tf.zeros(tf.TensorShape(v.shape), v.dtype) for v in metric.variables]
    return metric.stateless_update_state(zeros, labels, predictions)

"""Loss, metrics and optimizer of models that predict clicks: labels 0 or 1, predictions are logits, both
[B]."""

import keras
import tensorflow as tf


def loss(labels, logits):
    """Cross entropy of each example, float [B]."""
    return tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits)


def metrics():
    return {"auc": keras.metrics.AUC(from_logits=True)}


def optimizer(rate=0.02):
    """Adagrad, which moves only rows that a batch has: in graphs, and on parameter servers.

    It begins with small sums, so with large steps: rows that come rarely learn from the first time on.
    """
    return keras.optimizers.Adagrad(rate, initial_accumulator_value=1e-6)

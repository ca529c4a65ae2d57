"""Loss and metrics of models that predict clicks: labels 0 or 1, predictions are logits, both [B]."""

import keras
import tensorflow as tf


def loss(labels, logits):
    """Cross entropy of each example, float [B]."""
    return tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits)


def metrics():
    return {"auc": keras.metrics.AUC(from_logits=True)}

"""DLRM (Naumov et al., 2019): embeddings, two MLPs and the dot products between them.

A plain tf.compat.v1 graph. Every variable draws its first value from a seed of its own name, so
that graphs which differ only in how their input is made start from the same weights.
"""

import dataclasses
import zlib
from typing import NamedTuple

import numpy as np
import tensorflow as tf

tf1 = tf.compat.v1


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes of the model. `bottom` ends in the embeddings' width, `top` in the one logit."""

    buckets: int = 10_000         # rows of each embedding table
    width: int = 16               # of an embedding
    bottom: tuple = (512, 256, 64, 16)
    top: tuple = (512, 256, 1)
    learning_rate: float = 0.01   # Adagrad
    accumulator: float = 1e-6     # Adagrad starts its sums of squares from this
    seed: int = 1                 # of the first weights

    def __post_init__(self):
        if self.bottom[-1] != self.width:
            raise ValueError(f"bottom ends in {self.bottom[-1]}, embeddings are {self.width} wide")
        if self.top[-1] != 1:
            raise ValueError(f"top ends in {self.top[-1]}, there is one logit")


class Training(NamedTuple):
    """Ends of the training graph: the batch's mean loss (float, scalar) and the op that trains."""

    loss: tf.Tensor
    train_op: tf.Operation


def _variable(config, name, shape, deviation):
    seed = zlib.crc32(name.encode()) ^ config.seed
    initializer = tf1.random_normal_initializer(stddev=deviation, seed=seed & 0x7FFFFFFF)
    return tf1.get_variable(name, shape, initializer=initializer, use_resource=True)


def _mlp(config, name, x, sizes, last_is_linear):
    for layer, size in enumerate(sizes):
        inputs = x.shape[1]
        weights = _variable(config, f"{name}{layer}/weights", [inputs, size],
                            (2.0 / (inputs + size)) ** 0.5)
        bias = _variable(config, f"{name}{layer}/bias", [size], (1.0 / size) ** 0.5)
        x = tf.nn.bias_add(tf.matmul(x, weights), bias)
        if layer + 1 < len(sizes) or not last_is_linear:
            x = tf.nn.relu(x)
    return x


def logits(batch, config):
    """Logits [B] of a Batch (see input.py)."""
    embeddings = []
    for column, ids in enumerate(batch.ids):
        table = _variable(config, f"embedding{column}", [config.buckets, config.width],
                          (1.0 / config.buckets) ** 0.5)
        embeddings.append(tf.nn.embedding_lookup(table, ids))
    dense = _mlp(config, "bottom", batch.dense, config.bottom, last_is_linear=False)

    vectors = tf.stack([dense] + embeddings, axis=1)           # [B, 27, width]
    products = tf.matmul(vectors, vectors, transpose_b=True)   # [B, 27, 27]
    count = 1 + len(embeddings)
    rows, columns = np.tril_indices(count, -1)                 # each pair once, no squares
    pairs = tf.gather(tf.reshape(products, [-1, count * count]), rows * count + columns, axis=1)

    top = _mlp(config, "top", tf.concat([dense, pairs], axis=1), config.top, last_is_linear=True)
    return tf.squeeze(top, axis=1)


def training(batch, config):
    """Builds the model, its loss and Adagrad on a Batch."""
    losses = tf.nn.sigmoid_cross_entropy_with_logits(
        labels=batch.label, logits=logits(batch, config))
    loss = tf.reduce_mean(losses)
    optimizer = tf1.train.AdagradOptimizer(
        config.learning_rate, initial_accumulator_value=config.accumulator)
    return Training(loss, optimizer.minimize(loss))


def train_step(batch, config):
    """The loss of one training step: a single tensor, so that fetching it costs next to nothing."""
    built = training(batch, config)
    with tf.control_dependencies([built.train_op]):
        return tf.identity(built.loss)

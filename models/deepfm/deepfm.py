"""DeepFM (Guo et al., 2017) on Criteo's rows: a factorization machine and a deep network on the same
embeddings."""

import keras
import tensorflow as tf

from common import clicks, criteo, layers, records

loss = clicks.loss
eval_metrics_fn = clicks.metrics
optimizer = clicks.optimizer
parse = criteo.parse


def custom_model(buckets=10_000, width=16, deep=(1024, 256, 32), final=(128, 64)):
    """Logits [B] of {"integers": float [B, 13], "categories": string [B, 26]}.

    buckets: rows of each of the 26 tables of embeddings, `width` wide, and a column's in the table of the
        weights of first order.
    deep: layers on numbers and embeddings. final: layers on what the three parts give.
    """
    features = criteo.inputs()
    numbers = criteo.numbers(features)
    ids = criteo.ids(features, buckets)
    columns = criteo.vectors(ids, buckets, width)
    first = criteo.linear(numbers, ids, buckets)
    second = SecondOrder(name="second_order")(columns)
    both = keras.layers.Concatenate(name="numbers_and_columns")([numbers, *columns])
    hidden = layers.mlp("deep", both, deep, normalize=True)
    parts = keras.layers.Concatenate(name="parts")([hidden, first, second])
    return keras.Model(features, layers.logit("logit", layers.mlp("final", parts, final)), name="deepfm")


class SecondOrder(keras.layers.Layer):
    """n vectors [B, w] to the sum of the products of all pairs of them, element by element, [B, w]."""

    def call(self, vectors):
        stacked = tf.stack(vectors, axis=1)
        return 0.5 * (tf.square(tf.reduce_sum(stacked, 1)) - tf.reduce_sum(tf.square(stacked), 1))

    def compute_output_spec(self, vectors):
        return keras.KerasTensor(vectors[0].shape, "float32")


def dataset_fn(dataset, mode, metadata):
    return records.parsed(dataset, mode, metadata, parse)

"""DLRM (Naumov et al., 2019) on Criteo's rows: embeddings, two MLPs and the dot products between them."""

import keras
import numpy as np
import tensorflow as tf

from common import clicks, criteo, layers, records

loss = clicks.loss
eval_metrics_fn = clicks.metrics
optimizer = clicks.optimizer
parse = criteo.parse


def custom_model(buckets=10_000, width=16, bottom=(512, 256, 64), top=(512, 256)):
    """Logits [B] of {"integers": float [B, 13], "categories": string [B, 26]}.

    buckets: rows of each of the 26 tables. width: of an embedding, and of the bottom MLP's last layer.
    """
    features = criteo.inputs()
    numbers = layers.mlp("bottom", criteo.numbers(features), (*bottom, width))
    columns = criteo.vectors(criteo.ids(features, buckets), buckets, width)
    products = DotProducts(name="products")([numbers, *columns])
    hidden = layers.mlp("top", keras.layers.Concatenate(name="both")([numbers, products]), top)
    return keras.Model(features, layers.logit("logit", hidden), name="dlrm")


class DotProducts(keras.layers.Layer):
    """n vectors [B, w] to the n (n - 1) / 2 products of different ones, [B, n (n - 1) / 2]."""

    def call(self, vectors):
        count = len(vectors)
        stacked = tf.stack(vectors, axis=1)
        products = tf.matmul(stacked, stacked, transpose_b=True)
        rows, columns = np.tril_indices(count, -1)
        return tf.gather(tf.reshape(products, [-1, count * count]), rows * count + columns, axis=1)

    def compute_output_spec(self, vectors):
        count = len(vectors)
        return keras.KerasTensor((vectors[0].shape[0], count * (count - 1) // 2), "float32")


def dataset_fn(dataset, mode, metadata):
    return records.parsed(dataset, mode, metadata, parse)

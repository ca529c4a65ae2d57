"""Layers of several models. All first values are drawn from a seed of the layer's name: whichever way a model is
trained, it starts from the same weights.
"""

import zlib

import keras
import tensorflow as tf


def _seed(name):
    return zlib.crc32(name.encode()) & 0x7FFFFFFF


def table(name, rows, width, scale=0.05):
    """A Table: ids to rows of a table [rows, width], drawn from [-scale, scale); 0: all are 0."""
    initial = keras.initializers.RandomUniform(-scale, scale, seed=_seed(name))
    return Table(rows, width, embeddings_initializer=initial, name=name)


def dense(name, size, activation=None, zero=False):
    """A Dense layer; `zero`: its weights start from 0."""
    initial = "zeros" if zero else keras.initializers.GlorotUniform(seed=_seed(name))
    return keras.layers.Dense(size, activation=activation, kernel_initializer=initial, name=name)


def mlp(name, x, sizes, activation="relu", normalize=False):
    """x [..., n] through a layer for each of `sizes`; `normalize`: with batch normalization behind each."""
    for i, size in enumerate(sizes):
        x = dense(f"{name}{i}", size, activation)(x)
        if normalize:
            x = keras.layers.BatchNormalization(name=f"{name}{i}_norm")(x)
    return x


def logit(name, x):
    """One number for each example: [B, n] to [B]."""
    return dense(name, 1)(x)[:, 0]


_KERAS_LOOKUP = keras.layers.Embedding.call


class Table(keras.layers.Embedding):
    """An Embedding that reads rows of its variable, for ids in [0, rows).

    Keras's reads the variable as a whole and takes rows of that: an update in place must then copy it first.
    """

    def call(self, ids):
        if keras.layers.Embedding.call is not _KERAS_LOOKUP:  # headrace.elastic.sparse's, for parameter servers
            return super().call(ids)
        return tf.cast(tf.gather(self._embeddings._value, ids), self.compute_dtype)


class LogOfPositive(keras.layers.Layer):
    """log(1 + max(x, 0))."""

    def call(self, x):
        return tf.math.log1p(tf.maximum(x, 0.0))

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, "float32")


class HashColumns(keras.layers.Layer):
    """Strings [B, n] to n tensors of int64 [B] in [0, buckets)."""

    def __init__(self, buckets, **kwargs):
        super().__init__(**kwargs)
        self.buckets = buckets

    def call(self, values):
        return tf.unstack(tf.strings.to_hash_bucket_fast(values, self.buckets), axis=1)

    def compute_output_spec(self, values):
        return [keras.KerasTensor(values.shape[:1], "int64") for _ in range(values.shape[1])]

"""Layers of several models. All first values are drawn from a seed of the layer's name: whichever way a model
is trained, it starts from the same weights.
"""

import zlib

import keras
import tensorflow as tf


def seed(name):
    """Of the first values of the weights of this name."""
    return zlib.crc32(name.encode()) & 0x7FFFFFFF


def table(name, rows, width, scale=0.05):
    """A Table: ids to rows of a table [rows, width], drawn from [-scale, scale); 0: all are 0."""
    initial = keras.initializers.RandomUniform(-scale, scale, seed=seed(name))
    return Table(rows, width, embeddings_initializer=initial, name=name)


def dense(name, size, activation=None, zero=False):
    """A Dense layer; `zero`: its weights start from 0."""
    initial = "zeros" if zero else keras.initializers.GlorotUniform(seed=seed(name))
    return keras.layers.Dense(size, activation=activation, kernel_initializer=initial, name=name)


def normalization(name, **options):
    """Batch normalization whose moving averages follow within tens of steps."""
    return keras.layers.BatchNormalization(momentum=0.9, name=name, **options)


def mlp(name, x, sizes, activation="relu", normalize=False):
    """x [..., n] through a layer for each of `sizes`; `normalize`: with batch normalization behind each."""
    for i, size in enumerate(sizes):
        x = dense(f"{name}{i}", size, activation)(x)
        if normalize:
            x = normalization(f"{name}{i}_norm")(x)
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
        if keras.layers.Embedding.call is not _KERAS_LOOKUP:  # headrace.elastic.sparse's
            return super().call(ids)
        return tf.cast(tf.gather(self._embeddings._value, ids), self.compute_dtype)


class LogOfPositive(keras.layers.Layer):
    """log(1 + max(x, 0))."""

    def call(self, x):
        return tf.math.log1p(tf.maximum(x, 0.0))

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, "float32")


class RowSum(keras.layers.Layer):
    """x [B, n] to [B, 1]."""

    def call(self, x):
        return tf.reduce_sum(x, axis=1, keepdims=True)

    def compute_output_spec(self, x):
        return keras.KerasTensor((x.shape[0], 1), x.dtype)


class HashColumns(keras.layers.Layer):
    """Strings [B, n] to n tensors of int64 [B] in [0, buckets)."""

    def __init__(self, buckets, **kwargs):
        super().__init__(**kwargs)
        self.buckets = buckets

    def call(self, values):
        return tf.unstack(tf.strings.to_hash_bucket_fast(values, self.buckets), axis=1)

    def compute_output_spec(self, values):
        return [keras.KerasTensor(values.shape[:1], "int64") for _ in range(values.shape[1])]


class Hash(keras.layers.Layer):
    """Strings to int64 in [0, buckets), of the same shape."""

    def __init__(self, buckets, **kwargs):
        super().__init__(**kwargs)
        self.buckets = buckets

    def call(self, values):
        return tf.strings.to_hash_bucket_fast(values, self.buckets)

    def compute_output_spec(self, values):
        return keras.KerasTensor(values.shape, "int64")


class MaskedSum(keras.layers.Layer):
    """x [B, n, w], present bool [B, n] to the sum [B, w] of those that are present; `mean`: to its mean, 0 of
    nothing."""

    def __init__(self, mean=False, **kwargs):
        super().__init__(**kwargs)
        self.mean = mean

    def call(self, x, present):
        weights = tf.cast(present, x.dtype)
        total = tf.einsum("bnw,bn->bw", x, weights)
        if self.mean:
            total /= tf.maximum(tf.reduce_sum(weights, 1, keepdims=True), 1.0)
        return total

    def compute_output_spec(self, x, present):
        return keras.KerasTensor((x.shape[0], x.shape[2]), x.dtype)


class Dice(keras.layers.Layer):
    """DIN's activation: x where p is 1, alpha x where p is 0; p = sigmoid of x, normalized over the batch."""

    def build(self, shape):
        self.normalized = normalization("normalized", center=False, scale=False)
        self.normalized.build(shape)
        self.alpha = self.add_weight(shape=(shape[-1],), initializer="zeros", name="alpha")
        self.built = True

    def call(self, x, training=False):
        p = tf.sigmoid(self.normalized(x, training=training))
        return (p + self.alpha * (1.0 - p)) * x

    def compute_output_spec(self, x, training=False):
        return keras.KerasTensor(x.shape, x.dtype)


class Attention(keras.layers.Layer):
    """How much each of a list matters for a query: DIN's activation unit, a small network on query, element,
    their difference and their product.

    query [B, w], elements [B, n, w], present bool [B, n] to weights [B, n] that add up to 1; 0 for those that
    are not present, so all are 0 in an empty list.
    """

    def __init__(self, sizes=(80, 40), **kwargs):
        super().__init__(**kwargs)
        self.sizes = sizes
        self.supports_masking = True  # it is given `present`

    def build(self, query_shape, elements_shape, present_shape):
        width = 4 * elements_shape[-1]
        self.layers = []
        for i, size in enumerate((*self.sizes, 1)):
            layer = dense(f"{self.name}{i}", size, "sigmoid" if i < len(self.sizes) else None)
            layer.build((None, None, width))
            self.layers.append(layer)
            width = size
        self.built = True

    def call(self, query, elements, present):
        query = tf.broadcast_to(query[:, tf.newaxis, :], tf.shape(elements))
        x = tf.concat([query, elements, query - elements, query * elements], axis=-1)
        for layer in self.layers:
            x = layer(x)
        scores = tf.where(present, x[:, :, 0], -1e9)
        return tf.nn.softmax(scores) * tf.cast(present, scores.dtype)

    def compute_output_spec(self, query, elements, present):
        return keras.KerasTensor(present.shape, "float32")


class WeightedSum(keras.layers.Layer):
    """elements [B, n, w], weights [B, n] to [B, w]."""

    def call(self, elements, weights):
        return tf.einsum("bnw,bn->bw", elements, weights)

    def compute_output_spec(self, elements, weights):
        return keras.KerasTensor((elements.shape[0], elements.shape[2]), elements.dtype)


def interest_top(parts, sizes):
    """Logits [B] from all that DIN and DIEN know: batch normalization, `sizes` with Dice, one number."""
    x = keras.layers.Concatenate(name="top_input")(parts)
    x = normalization("top_norm")(x)
    for i, size in enumerate(sizes):
        x = Dice(name=f"top{i}_dice")(dense(f"top{i}", size)(x))
    return logit("logit", x)

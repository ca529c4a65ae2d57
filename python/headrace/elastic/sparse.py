"""Keeps what is sparse sparse while a model is traced: tables are read and updated by rows.

A table on a parameter server is too large to cross the wire each step. Keras 3's Embedding reads its
whole table; here it reads the rows that a batch needs, each of them once, and so the gradient is
tf.IndexedSlices of these rows. Models that call tf.gather or tf.nn.embedding_lookup on a tf.Variable do
that by themselves.
"""

import contextlib

import keras
import tensorflow as tf
from tensorflow.core.framework import attr_value_pb2

from headrace.errors import ExportError

# From so many rows on a table of rank 2 is used by rows only, or refused.
LARGE_ROWS = 100_000
# Int, on an Identity: the gradient of the variable at this place in model.trainable_variables goes through.
GRADIENT_MARK = "_headrace_gradient"


def is_large(variable) -> bool:
    """Whether the variable is a table that must not be read or written as a whole."""
    return len(variable.shape) == 2 and int(variable.shape[0]) >= LARGE_ROWS


@contextlib.contextmanager
def lookups():
    """Within it, keras.layers.Embedding looks up by rows. Not for several threads at a time."""
    layer, original = keras.layers.Embedding, keras.layers.Embedding.call
    layer.call = _look_up
    try:
        yield
    finally:
        layer.call = original


@tf.autograph.experimental.do_not_convert
def _look_up(layer, inputs):
    if isinstance(inputs, tf.SparseTensor):
        raise ExportError(
            f"the ids of Embedding layer '{layer.name}' are a SparseTensor, which parameter servers cannot "
            "look up by rows: give it dense or ragged ids, or call tf.nn.embedding_lookup_sparse on a "
            "tf.Variable"
        )
    if isinstance(inputs, tf.RaggedTensor):
        return inputs.with_flat_values(_rows_of(layer, inputs.flat_values))
    return _rows_of(layer, inputs)


def _rows_of(layer, ids):
    """What Keras gives for dense ids, negative ones (which count from the end) and other types among them."""
    if ids.dtype not in (tf.int32, tf.int64):
        ids = tf.cast(ids, tf.int32)
    ids = tf.cast(ids, tf.int64)
    ids = tf.where(ids < 0, ids + layer.input_dim, ids)
    distinct, places = tf.unique(tf.reshape(ids, [-1]))
    # The variables themselves: their value would be a copy of the table, cast where dtypes are mixed.
    rows = tf.gather(layer._embeddings._value, distinct)
    if layer.lora_enabled:
        low = tf.gather(layer.lora_embeddings_a._value, distinct)
        scale = layer.lora_alpha / layer.lora_rank
        rows += tf.cast(scale * tf.matmul(low, layer.lora_embeddings_b._value), rows.dtype)
    looked_up = tf.gather(rows, tf.reshape(places, tf.shape(ids)))
    looked_up.set_shape([*ids.shape, layer.output_dim])
    return tf.cast(looked_up, layer.compute_dtype)


def distinct(slices: tf.IndexedSlices, variable) -> tf.IndexedSlices:
    """The same gradient with each row once, and indices of int64."""
    indices = tf.cast(slices.indices, tf.int64)
    values = slices.values
    if not _is_unique(slices.indices):
        indices, places = tf.unique(indices)
        values = tf.math.unsorted_segment_sum(values, places, tf.size(indices))
    shape = tf.TensorShape(variable.shape)
    values = tf.ensure_shape(values, [None, *shape[1:]])
    return tf.IndexedSlices(values, indices, tf.constant(shape.as_list(), tf.int64))


def _is_unique(indices):
    """Whether the indices come straight out of tf.unique, as those of a lookup do."""
    while indices.op.type in ("Identity", "Reshape"):
        indices = indices.op.inputs[0]
    return indices.op.type == "Unique" and indices.value_index == 0


def marked(gradient, place: int):
    """The gradient through Identity ops with GRADIENT_MARK; of slices both indices and values."""
    if isinstance(gradient, tf.IndexedSlices):
        values, indices = _marked(gradient.values, place), _marked(gradient.indices, place)
        return tf.IndexedSlices(values, indices, gradient.dense_shape)
    return _marked(gradient, place)


def _marked(tensor, place):
    result = tf.identity(tensor)
    result.op._set_attr(GRADIENT_MARK, attr_value_pb2.AttrValue(i=place))
    return result

"""DSSM (Huang et al., 2013) on click histories: a tower for the user, one for the item, and the cosine
between them."""

import keras
import tensorflow as tf

from common import clicks, layers, records, taobao

loss = clicks.loss
eval_metrics_fn = clicks.metrics
optimizer = clicks.optimizer
parse = taobao.parse


def custom_model(users=100_000, items=500_000, categories=10_000, width=16, length=taobao.LENGTH,
                 tower=(256, 128, 64, 32)):
    """Logits [B] of taobao.parse()'s features.

    users, items, categories: rows of the tables, width: of each embedding. length: of a history.
    tower: layers of each tower; batch normalization is behind all but the last one, which is linear.
    """
    features = taobao.inputs(taobao.IDS + taobao.CLICKED)
    user = layers.table("users", users, width)(layers.Hash(users, name="hash_user")(features["user"]))
    tables = taobao.Tables(items, categories, width)
    clicked, mask = tables.of_list(features, taobao.CLICKED, length)
    clicked = layers.MaskedSum(mean=True, name="clicked_mean")(clicked, mask)
    of_user = _tower("user", keras.layers.Concatenate(name="user_input")([user, clicked]), tower)
    of_item = _tower("item", tables.of_item(features), tower)
    return keras.Model(features, ScaledCosine(name="logit")(of_user, of_item), name="dssm")


def _tower(name, x, sizes):
    x = layers.mlp(name, x, sizes[:-1], normalize=True)
    return layers.dense(f"{name}_out", sizes[-1])(x)


class ScaledCosine(keras.layers.Layer):
    """|scale| cos(a, b) + bias, [B], of a and b [B, w]; scale starts at 5, bias at 0."""

    def build(self, a_shape, b_shape):
        self.scale = self.add_weight(shape=(), initializer=keras.initializers.Constant(5.0), name="scale")
        self.bias = self.add_weight(shape=(), initializer="zeros", name="bias")
        self.built = True

    def call(self, a, b):
        cosine = tf.reduce_sum(tf.nn.l2_normalize(a, axis=1) * tf.nn.l2_normalize(b, axis=1), axis=1)
        return tf.abs(self.scale) * cosine + self.bias

    def compute_output_spec(self, a, b):
        return keras.KerasTensor(a.shape[:1], "float32")


def dataset_fn(dataset, mode, metadata):
    return records.parsed(dataset, mode, metadata, parse)

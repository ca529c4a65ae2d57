"""DIN (Zhou et al., 2018) on click histories: what a user has clicked counts as far as it bears on the
item."""

import keras

from common import clicks, layers, records, taobao

loss = clicks.loss
eval_metrics_fn = clicks.metrics
optimizer = clicks.optimizer
parse = taobao.parse


def custom_model(users=100_000, items=500_000, categories=10_000, width=18, length=taobao.LENGTH,
                 attention=(80, 40), top=(200, 80)):
    """Logits [B] of taobao.parse()'s features.

    users, items, categories: rows of the tables, width: of each embedding. length: of a history.
    attention, top: layers of the activation unit and of the network on top.
    """
    features = taobao.inputs(taobao.IDS + taobao.CLICKED)
    user = layers.table("users", users, width)(layers.Hash(users, name="hash_user")(features["user"]))
    tables = taobao.Tables(items, categories, width)
    item = tables.of_item(features)
    clicked, mask = tables.of_list(features, taobao.CLICKED, length)

    total = layers.MaskedSum(name="clicked_sum")(clicked, mask)
    product = keras.layers.Multiply(name="item_times_sum")([item, total])
    weights = layers.Attention(attention, name="attention")(item, clicked, mask)
    interest = layers.WeightedSum(name="interest")(clicked, weights)
    logits = layers.interest_top([user, item, total, product, interest], top)
    return keras.Model(features, logits, name="din")


def dataset_fn(dataset, mode, metadata):
    return records.parsed(dataset, mode, metadata, parse)

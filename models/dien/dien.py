"""DIEN (Zhou et al., 2019) on click histories: interests as states of a GRU, and how they lead up to the
item."""

import keras

from common import clicks, layers, records, recurrent, taobao

loss = clicks.loss
eval_metrics_fn = clicks.metrics
optimizer = clicks.optimizer
parse = taobao.parse_all


def custom_model(users=100_000, items=500_000, categories=10_000, width=18, length=taobao.LENGTH,
                 attention=(80, 40), auxiliary=(100, 50), top=(200, 80)):
    """Logits [B] of taobao.parse_all()'s features.

    users, items, categories: rows of the tables, width: of each embedding. length: of a history; states of
    both recurrent layers are 2 width wide. attention, auxiliary, top: layers of the activation unit, of the
    auxiliary network and of the one on top.
    """
    features = taobao.inputs(taobao.IDS + taobao.CLICKED + taobao.NOT_CLICKED)
    user = layers.table("users", users, width)(layers.Hash(users, name="hash_user")(features["user"]))
    tables = taobao.Tables(items, categories, width)
    item = tables.of_item(features)
    clicked, mask = tables.of_list(features, taobao.CLICKED, length)
    not_clicked, _ = tables.of_list(features, taobao.NOT_CLICKED, length)

    interests = recurrent.Gru(2 * width, name="gru")(clicked, mask)
    interests = recurrent.AuxiliaryLoss(auxiliary, name="auxiliary")(interests, clicked, not_clicked, mask)
    weights = layers.Attention(attention, name="attention")(item, interests, mask)
    evolved = recurrent.Gru(2 * width, last=True, name="augru")(interests, mask, weights)

    total = layers.MaskedSum(name="clicked_sum")(clicked, mask)
    product = keras.layers.Multiply(name="item_times_sum")([item, total])
    logits = layers.interest_top([user, item, total, product, evolved], top)
    return keras.Model(features, logits, name="dien")


def dataset_fn(dataset, mode, metadata):
    return records.parsed(dataset, mode, metadata, parse)

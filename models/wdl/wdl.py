"""Wide and deep (Cheng et al., 2016) on Criteo's rows: a linear model and a deep network, trained
together."""

import keras

from common import clicks, criteo, layers, records

loss = clicks.loss
eval_metrics_fn = clicks.metrics
optimizer = clicks.optimizer
parse = criteo.parse

# Embeddings are wider for columns with many values, as in DeepRec's model zoo.
WIDE_COLUMNS = (2, 3, 9, 11, 15, 20, 23, 25)


def custom_model(buckets=10_000, widths=(64, 128), deep=(1024, 512, 256)):
    """Logits [B] of {"integers": float [B, 13], "categories": string [B, 26]}.

    buckets: rows of each of the 26 tables of embeddings, and a column's in the table of the linear part's
    weights. widths: of an embedding, and of one of WIDE_COLUMNS. deep: layers on numbers and embeddings.
    """
    features = criteo.inputs()
    numbers = criteo.numbers(features)
    ids = criteo.ids(features, buckets)
    wide = criteo.linear(numbers, ids, buckets)

    columns = criteo.vectors(ids, buckets, [widths[i in WIDE_COLUMNS] for i in range(criteo.CATEGORIES)])
    both = keras.layers.Concatenate(name="numbers_and_columns")([numbers, *columns])
    hidden = layers.dense("deep_logit", 1)(layers.mlp("deep", both, deep))
    return keras.Model(features, keras.layers.Add(name="logit")([wide, hidden])[:, 0], name="wdl")


def dataset_fn(dataset, mode, metadata):
    return records.parsed(dataset, mode, metadata, parse)

"""A small click-through-rate model on lines in Criteo's format: what `scripts/demo.sh --elastic` trains.

A line: label, 13 integers, 26 hexadecimal categories, separated by tabs; fields may be empty. Categories are
hashed into one table of ROWS rows, which parameter servers share among them.
"""

import keras
import tensorflow as tf

ROWS, WIDTH = 200_000, 8
INTEGERS, CATEGORIES = 13, 26


def custom_model():
    integers = keras.Input((INTEGERS,), name="integers")
    categories = keras.Input((CATEGORIES,), dtype="int64", name="categories")
    rows = keras.layers.Embedding(ROWS, WIDTH, name="table")(categories)
    both = keras.layers.Concatenate()([integers, keras.layers.Flatten()(rows)])
    hidden = keras.layers.Dense(64, activation="relu")(both)
    return keras.Model({"integers": integers, "categories": categories}, keras.layers.Dense(1)(hidden)[:, 0])


def loss(labels, predictions):
    return tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=predictions)


def optimizer():
    return keras.optimizers.Adagrad(0.05)


def dataset_fn(dataset):
    def parse(line):
        fields = tf.strings.split(line, "\t")
        numbers = tf.strings.to_number(tf.where(fields[: 1 + INTEGERS] == "", "0", fields[: 1 + INTEGERS]))
        integers = tf.math.log1p(tf.maximum(numbers[1:], 0.0))
        # A category of one column is not that of another.
        columns = tf.strings.as_string(tf.range(CATEGORIES))
        categories = tf.strings.to_hash_bucket_fast(columns + ":" + fields[1 + INTEGERS :], ROWS)
        features = {
            "integers": tf.ensure_shape(integers, [INTEGERS]),
            "categories": tf.ensure_shape(categories, [CATEGORIES]),
        }
        return features, numbers[0]

    # Without shuffle(), whose buffer would scatter what a killed worker held over the ledger: the master shuffles tasks.
    return dataset.map(parse)


def eval_metrics_fn():
    return {"auc": keras.metrics.AUC(from_logits=True)}

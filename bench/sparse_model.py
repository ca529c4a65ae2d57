"""A model whose table has as many rows as the file `rows` beside it says; for bench/table_job.py.

Whatever the number, each batch names the same number of different rows, spread over the whole table.
"""

import pathlib

import keras
import tensorflow as tf

ROWS = int((pathlib.Path(__file__).parent / "rows").read_text())
IDS, WIDTH = 26, 16


def custom_model():
    ids = keras.Input((IDS,), dtype="int64")
    rows = keras.layers.Embedding(ROWS, WIDTH, embeddings_initializer="zeros", name="table")(ids)
    hidden = keras.layers.Dense(32, activation="relu")(keras.layers.Flatten()(rows))
    return keras.Model(ids, keras.layers.Dense(1)(hidden)[:, 0])


def loss(labels, predictions):
    return tf.square(labels - predictions)


def optimizer():
    return keras.optimizers.Adam(0.001)


def dataset_fn(dataset):
    def parse(line):
        number = tf.strings.to_number(line, tf.int64)
        ids = (number * 7919 + tf.range(IDS, dtype=tf.int64) * 104729) % 10_000
        return ids * (ROWS // 10_000), tf.cast(number % 7, tf.float32)

    return dataset.map(parse)


def eval_metrics_fn():
    return {"mean": lambda labels, predictions: labels}

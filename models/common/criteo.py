"""Criteo's text to tensors, by TensorFlow ops: works in a dataset, line by line, and in a graph, a batch at
once.

A line: 40 fields separated by tabs, no header, no quoting: the label (0 or 1), 13 integers (empty = missing,
negative ones occur), 26 categorical values of 8 hexadecimal digits (empty = missing). Kaggle's train.txt and
the terabyte set's day_N are such files as they are; of `headrace data generate criteo`, too. In lines of
which only predictions are wanted the label may be empty, not absent.
"""

import keras
import tensorflow as tf

from common import layers

INTEGERS, CATEGORIES = 13, 26


def parse(lines):
    """Lines (string, any shape S) to (features, label).

    features: "integers" float [*S, 13], a missing one is 0; "categories" string [*S, 26], a missing one
    is "".
    label: float S.
    Errors: InvalidArgumentError, which names record and field, for another number of fields and for what is
    no number.
    """
    defaults = [[0.0]] * (1 + INTEGERS) + [[""]] * CATEGORIES
    label, *fields = tf.io.decode_csv(lines, defaults, field_delim="\t", use_quote_delim=False)
    integers = tf.stack(fields[:INTEGERS], axis=-1)
    categories = tf.stack(fields[INTEGERS:], axis=-1)
    return {"integers": integers, "categories": categories}, label


def inputs():
    """Keras inputs for what parse() gives."""
    return {
        "integers": keras.Input((INTEGERS,), name="integers"),
        "categories": keras.Input((CATEGORIES,), dtype="string", name="categories"),
    }


def numbers(features):
    """float [B, 13]: log(1 + x), negative ones as 0."""
    return layers.LogOfPositive(name="log")(features["integers"])


def ids(features, buckets):
    """26 tensors int64 [B]: each column's value hashed into `buckets`; "" has a bucket like any other."""
    return layers.HashColumns(buckets, name="hash")(features["categories"])


def vectors(columns, buckets, widths):
    """26 tensors [B, w]: of each column's ids the rows of a table of its own, `buckets` rows of its width w.

    widths: one for all, or 26.
    """
    if isinstance(widths, int):
        widths = [widths] * CATEGORIES
    return [
        layers.table(f"column{i}", buckets, width)(ids) for i, (ids, width) in enumerate(zip(columns, widths))
    ]


def linear(numbers, columns, buckets):
    """[B, 1]: a weight for each number and for each id of each column, added up; all start from 0."""
    ids = OneAfterTheOther(buckets, name="weight_ids")(columns)
    table = layers.table("weight", CATEGORIES * buckets, 1, scale=0)
    of_ids = keras.layers.Flatten(name="weights_of_ids")(table(ids))
    of_numbers = layers.dense("weight_of_numbers", 1, zero=True)(numbers)
    both = keras.layers.Concatenate(name="weights")([of_ids, of_numbers])
    return layers.RowSum(name="linear")(both)


class OneAfterTheOther(keras.layers.Layer):
    """n tensors of ids [B] in [0, buckets) to ids [B, n] in one table: the columns' rows follow each other."""

    def __init__(self, buckets, **kwargs):
        super().__init__(**kwargs)
        self.buckets = buckets

    def call(self, columns):
        return tf.stack(columns, axis=1) + tf.range(len(columns), dtype=tf.int64) * self.buckets

    def compute_output_spec(self, columns):
        return keras.KerasTensor((columns[0].shape[0], len(columns)), "int64")

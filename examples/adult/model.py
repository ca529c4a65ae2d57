"""Wide-and-deep (Cheng et al., 2016) on UCI Adult, as a plain tf.compat.v1 graph.

Wide: crosses of words and of age ranges, hashed, one weight each, trained by FTRL. Deep: numbers
and embeddings of words, three layers, trained by Adagrad. Words are looked up in tables that are
filled once and never written again; a word that is not in its table ('?' included) gets an id of
its own.
"""

import math
import zlib
from typing import NamedTuple

import tensorflow as tf

tf1 = tf.compat.v1

VOCABULARIES = {
    "workclass": ("Private", "Self-emp-not-inc", "Self-emp-inc", "Federal-gov", "Local-gov",
                  "State-gov", "Without-pay", "Never-worked"),
    "education": ("Bachelors", "Some-college", "11th", "HS-grad", "Prof-school", "Assoc-acdm",
                  "Assoc-voc", "9th", "7th-8th", "12th", "Masters", "1st-4th", "10th", "Doctorate",
                  "5th-6th", "Preschool"),
    "marital-status": ("Married-civ-spouse", "Divorced", "Never-married", "Separated", "Widowed",
                       "Married-spouse-absent", "Married-AF-spouse"),
    "occupation": ("Tech-support", "Craft-repair", "Other-service", "Sales", "Exec-managerial",
                   "Prof-specialty", "Handlers-cleaners", "Machine-op-inspct", "Adm-clerical",
                   "Farming-fishing", "Transport-moving", "Priv-house-serv", "Protective-serv",
                   "Armed-Forces"),
    "relationship": ("Wife", "Own-child", "Husband", "Not-in-family", "Other-relative",
                     "Unmarried"),
    "race": ("White", "Asian-Pac-Islander", "Amer-Indian-Eskimo", "Other", "Black"),
    "sex": ("Female", "Male"),
}
COUNTRY_BUCKETS = 128
AGE_BOUNDARIES = [18.0, 25.0, 30.0, 35.0, 40.0, 45.0, 50.0, 55.0, 60.0, 65.0]
CROSSES = (("education", "occupation"), ("marital-status", "sex"),
           ("age", "education", "occupation"), ("workclass", "occupation"),
           ("native-country", "occupation"), ("relationship", "age"))
CROSS_BUCKETS = 10_000
EMBEDDING = 8
LAYERS = (128, 64, 32)
# Mean and deviation of the training file's columns, those of money after log1p.
SCALES = {"age": (38.6, 13.6), "education-num": (10.1, 2.57), "hours-per-week": (40.4, 12.3),
          "capital-gain": (0.73, 2.45), "capital-loss": (0.36, 1.6)}


class Features(NamedTuple):
    """ids: int64 [n] by word column. crosses: int64 [n] for each of CROSSES. dense: float [n,
    5]."""

    ids: dict
    crosses: tuple
    dense: tf.Tensor


def features(examples):
    """What the model takes of input.Examples: no variables, so that it may run ahead of
    training."""
    ids = {}
    for column, vocabulary in VOCABULARIES.items():
        keys = tf.constant(vocabulary)
        values = tf.range(len(vocabulary), dtype=tf.int64)
        table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(keys, values), default_value=len(vocabulary))
        ids[column] = table.lookup(examples.words[column])
    ids["native-country"] = tf.strings.to_hash_bucket_fast(
        examples.words["native-country"], COUNTRY_BUCKETS)

    age = tf.raw_ops.Bucketize(input=examples.numbers["age"], boundaries=AGE_BOUNDARIES)
    parts = {**examples.words, "age": tf.strings.as_string(age)}
    joined = [tf.strings.join([parts[part] for part in cross], "\t") for cross in CROSSES]
    crosses = tuple(tf.strings.to_hash_bucket_fast(text, CROSS_BUCKETS) for text in joined)

    dense = []
    for column, (mean, deviation) in SCALES.items():
        number = examples.numbers[column]
        if column.startswith("capital"):
            number = tf.math.log1p(number)
        dense.append((number - mean) / deviation)
    return Features(ids, crosses, tf.stack(dense, axis=1))


def _variable(name, shape, deviation, seed):
    seed = (zlib.crc32(name.encode()) ^ seed) & 0x7FFFFFFF
    initializer = tf1.random_normal_initializer(stddev=deviation, seed=seed)
    return tf1.get_variable(name, shape, initializer=initializer, use_resource=True)


def _wide(given):
    """Logits of each cross."""
    crosses = []
    with tf1.variable_scope("wide"):
        for cross, ids in zip(CROSSES, given.crosses):
            weights = tf1.get_variable("_x_".join(cross), [CROSS_BUCKETS], use_resource=True,
                                       initializer=tf1.zeros_initializer())
            crosses.append(tf.nn.embedding_lookup(weights, ids))
    return crosses


def _deep(given, seed):
    with tf1.variable_scope("deep"):
        columns = [given.dense]
        for column, ids in given.ids.items():
            size = len(VOCABULARIES[column]) + 1 if column in VOCABULARIES else COUNTRY_BUCKETS
            table = _variable(column, [size, EMBEDDING], 1.0 / math.sqrt(EMBEDDING), seed)
            columns.append(tf.nn.embedding_lookup(table, ids))
        x = tf.concat(columns, axis=1)
        for layer, size in enumerate(LAYERS + (1,)):
            inputs = x.shape[1]
            weights = _variable(f"layer{layer}", [inputs, size], math.sqrt(2.0 / inputs), seed)
            bias = tf1.get_variable(f"bias{layer}", [size], initializer=tf1.zeros_initializer(),
                                    use_resource=True)
            x = tf.nn.bias_add(tf.matmul(x, weights), bias)
            if layer < len(LAYERS):
                x = tf.nn.relu(x)
    return tf.squeeze(x, axis=1)


def logits(given, seed):
    """Logits [n] of Features; makes the variables, first values by `seed`."""
    # One sum, and not a chain of additions: that one Grappler would regroup where it knows that the
    # shapes are equal, which it does not where batches of unknown size come out of a stage. The
    # last bits would differ.
    return tf.add_n(_wide(given) + [_deep(given, seed)])


def train_step(label, given, seed):
    """The loss of one training step, a scalar. FTRL trains the wide part, Adagrad the deep one."""
    losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=label, logits=logits(given, seed))
    loss = tf.reduce_mean(losses)
    wide, deep = (tf1.trainable_variables(scope) for scope in ("wide/", "deep/"))
    train_wide = tf1.train.FtrlOptimizer(0.05, l1_regularization_strength=1e-4).minimize(
        loss, var_list=wide)
    train_deep = tf1.train.AdagradOptimizer(0.05).minimize(loss, var_list=deep)
    with tf.control_dependencies([train_wide, train_deep]):
        return tf.identity(loss)

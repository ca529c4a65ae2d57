"""Wide and deep on UCI Adult's records: crosses of words and of age ranges for the wide part.

A line: 14 fields and the label, a comma and a space between; "?" = missing; the label (<=50K, >50K) has a
full stop behind it in the test file. Header, comment ("|...") and blank lines are no records, and are left
out.
"""

import keras
import tensorflow as tf

from common import clicks, layers, records

loss = clicks.loss
eval_metrics_fn = clicks.metrics
optimizer = clicks.optimizer

COLUMNS = ("age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation",
           "relationship", "race", "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country",
               "label")
# Mean and deviation in the training file, those of money after log1p.
SCALES = {"age": (38.6, 13.6), "education-num": (10.1, 2.57), "hours-per-week": (40.4, 12.3),
          "capital-gain": (0.73, 2.45), "capital-loss": (0.36, 1.6)}
WORDS = ("workclass", "education", "marital-status", "occupation", "relationship", "race", "sex",
    "native-country")
CROSSES = (("education", "occupation"), ("marital-status", "sex"), ("age", "education", "occupation"),
           ("workclass", "occupation"), ("native-country", "occupation"), ("relationship", "age"))
AGES = [18.0, 25.0, 30.0, 35.0, 40.0, 45.0, 50.0, 55.0, 60.0, 65.0]
_NO_RECORD = r"\s*|\|.*|\s*age\s*,\s*workclass.*"


def is_record(lines):
    return tf.logical_not(tf.strings.regex_full_match(lines, _NO_RECORD))


def parse(lines):
    """A line, or lines [m], to (features, label) of it, or of the n <= m that are records.

    features: float by name of SCALES, string by name of WORDS. label: float, 1 for more than 50K.
    Errors: InvalidArgumentError, which names record and field, for another number of fields, a number that is
    none or missing, and a label that is neither.
    """
    if lines.shape.rank == 1:
        lines = tf.boolean_mask(lines, is_record(lines))
    numbers = (*SCALES, "fnlwgt")
    kinds = [tf.constant([], tf.float32 if name in numbers else tf.string) for name in COLUMNS]
    fields = dict(zip(COLUMNS, tf.io.decode_csv(lines, kinds, use_quote_delim=False), strict=True))
    features = {name: fields[name] for name in SCALES}
    features |= {name: tf.strings.strip(fields[name]) for name in WORDS}
    label = tf.strings.strip(fields["label"])
    known = tf.reduce_all(tf.strings.regex_full_match(label, r"(<=50K|>50K)\.?"))
    with tf.control_dependencies([tf.debugging.Assert(known, ["a label is neither <=50K nor >50K:", label])]):
        more = tf.strings.regex_full_match(label, r">50K\.?")
    return features, tf.cast(more, tf.float32)


def custom_model(buckets=128, width=8, cross_buckets=10_000, deep=(128, 64, 32)):
    """Logits [B] of parse()'s features.

    buckets, width: of each word's table of embeddings. cross_buckets: weights of each cross. deep: layers on
    numbers and embeddings.
    """
    features = {name: keras.Input((), name=name) for name in SCALES}
    features |= {name: keras.Input((), dtype="string", name=name) for name in WORDS}
    numbers = Scaled(name="scaled")(features)
    crosses = Crosses(cross_buckets, name="crosses")(features)
    weights = [
        layers.table("_x_".join(cross), cross_buckets, 1, scale=0)(ids)
        for cross, ids in zip(CROSSES, crosses, strict=True)
    ]
    embeddings = []
    for name in WORDS:
        ids = layers.Hash(buckets, name=f"hash_{name}")(features[name])
        embeddings.append(layers.table(f"{name}_table", buckets, width)(ids))
    hidden = layers.mlp("deep", keras.layers.Concatenate(name="numbers_and_words")([numbers, *embeddings]),
        deep)
    logits = keras.layers.Add(name="logit")([*weights, layers.dense("deep_logit", 1)(hidden)])
    return keras.Model(features, logits[:, 0], name="wdl_adult")


class Scaled(keras.layers.Layer):
    """Numbers by name, [B] each, to float [B, 5]: by SCALES, money as log1p."""

    def call(self, features):
        scaled = []
        for name, (mean, deviation) in SCALES.items():
            x = tf.math.log1p(features[name]) if name.startswith("capital") else features[name]
            scaled.append((x - mean) / deviation)
        return tf.stack(scaled, axis=1)

    def compute_output_spec(self, features):
        return keras.KerasTensor((None, len(SCALES)), "float32")


class Crosses(keras.layers.Layer):
    """Features by name to int64 [B] in [0, buckets) for each of CROSSES; of an age its range counts."""

    def __init__(self, buckets, **kwargs):
        super().__init__(**kwargs)
        self.buckets = buckets

    def call(self, features):
        age = tf.raw_ops.Bucketize(input=features["age"], boundaries=AGES)
        parts = {**features, "age": tf.strings.as_string(age)}
        joined = [tf.strings.join([parts[part] for part in cross], "\t") for cross in CROSSES]
        return [tf.strings.to_hash_bucket_fast(text, self.buckets) for text in joined]

    def compute_output_spec(self, features):
        return [keras.KerasTensor((None,), "int64") for _ in CROSSES]


def dataset_fn(dataset, mode, metadata):
    return records.parsed(dataset.filter(is_record), mode, metadata, parse)

"""UCI Adult's text to tensors, in the graph.

Format: 14 fields and the label, separated by a comma and a space; a header line in some copies, a
line that starts with '|' in UCI's own test file, a blank last line in others; '?' = missing; the
label has a full stop behind it in the test file.

Header, comment and blank lines are dropped from their batch. Any other line that does not parse is
an error that names the record and the field.
"""

from typing import NamedTuple

import tensorflow as tf

COLUMNS = ("age", "workclass", "fnlwgt", "education", "education-num", "marital-status",
           "occupation", "relationship", "race", "sex", "capital-gain", "capital-loss",
           "hours-per-week", "native-country", "label")
NUMBERS = ("age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week")
NOT_A_RECORD = r"\s*|\|.*|\s*age\s*,\s*workclass.*"
LABEL = r"(<=50K|>50K)\.?"


class Examples(NamedTuple):
    """label float [n]: 1 for more than 50K. numbers: float [n] by name. words: string [n] by
    name."""

    label: tf.Tensor
    numbers: dict
    words: dict


def parse(lines):
    """Lines [m] to n <= m Examples."""
    lines = tf.boolean_mask(lines, tf.logical_not(tf.strings.regex_full_match(lines, NOT_A_RECORD)))
    # No default: an empty field is an error ('?' is how this data says missing).
    kinds = [tf.constant([], tf.float32 if name in NUMBERS else tf.string) for name in COLUMNS]
    fields = dict(zip(COLUMNS, tf.io.decode_csv(lines, kinds, use_quote_delim=False)))
    words = {name: tf.strings.strip(field) for name, field in fields.items() if name not in NUMBERS}
    label = words.pop("label")
    known = tf.debugging.Assert(
        tf.reduce_all(tf.strings.regex_full_match(label, LABEL)),
        ["a label is neither <=50K nor >50K:", label], summarize=8)
    with tf.control_dependencies([known]):
        positive = tf.strings.regex_full_match(label, r">50K\.?")
    return Examples(tf.cast(positive, tf.float32), {name: fields[name] for name in NUMBERS}, words)


def training_lines(path, batch_size, seed):
    """(lines [batch_size], initializer): the file's over and over, shuffled anew each time
    round."""
    lines = tf.data.TextLineDataset(str(path)).shuffle(1 << 16, seed=seed)
    dataset = lines.repeat().batch(batch_size)
    iterator = tf.compat.v1.data.make_initializable_iterator(dataset)
    return iterator.get_next(), iterator.initializer


def test_lines(path, batch_size):
    """(lines, initializer): the file's once, in order; the last batch may be smaller."""
    dataset = tf.data.TextLineDataset(str(path)).batch(batch_size)
    iterator = tf.compat.v1.data.make_initializable_iterator(dataset)
    return iterator.get_next(), iterator.initializer

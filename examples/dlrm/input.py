"""Criteo text to tensors, in the graph: where a modeller naturally writes it.

Format: 40 fields separated by tabs, no header, no quoting: the label (0 or 1), 13 integers (empty =
missing, negative ones occur), 26 categorical values of 8 hexadecimal digits (empty = missing).

  * integers: log(1 + x), where missing and negative ones count as 0, as in Facebook's DLRM;
  * categorical values: hashed as text; a missing one is the empty text and has a bucket like any
    other.

A line with another number of fields, or with a field that is no number, is an error that names the
record of the batch and the field: nothing is skipped.
"""

import pathlib
from typing import NamedTuple

import tensorflow as tf

NUM_DENSE = 13
NUM_CATEGORICAL = 26


class Batch(NamedTuple):
    """What the model takes: label float [B], dense float [B, 13], 26 tensors of int64 [B]."""

    label: tf.Tensor
    dense: tf.Tensor
    ids: tuple


def data_files(paths):
    """The files to read: every file of `paths`, and of the folders in it, folders in name order.

    Raises FileNotFoundError where there is none, ValueError where plain and gzip files are mixed.
    """
    files = []
    for path in map(pathlib.Path, paths):
        if path.is_dir():
            files += sorted(p for p in path.iterdir() if p.is_file() and p.name[0] != ".")
        elif path.is_file():
            files.append(path)
        else:
            raise FileNotFoundError(f"{path}: no such file or folder")
    if not files:
        raise FileNotFoundError(f"no file in {', '.join(map(str, paths))}")
    if len({path.suffix == ".gz" for path in files}) > 1:
        raise ValueError("plain and gzip files cannot be mixed in one run")
    return [str(path) for path in files]


def lines_dataset(files, batch_size):
    """Batches of lines, the files over and over again: a dataset of strings [batch_size]."""
    compression = "GZIP" if files[0].endswith(".gz") else ""
    lines = tf.data.TextLineDataset(files, compression_type=compression)
    return lines.repeat().batch(batch_size, drop_remainder=True)


def parse(lines, buckets):
    """Lines [B] to a Batch, every categorical id in [0, buckets)."""
    defaults = [[0.0]] * (1 + NUM_DENSE) + [[""]] * NUM_CATEGORICAL
    fields = tf.io.decode_csv(lines, defaults, field_delim="\t", use_quote_delim=False)
    label, integers, values = fields[0], fields[1:1 + NUM_DENSE], fields[1 + NUM_DENSE:]
    dense = tf.math.log1p(tf.maximum(tf.stack(integers, axis=1), 0.0))
    return Batch(label, dense, tuple(tf.strings.to_hash_bucket_fast(v, buckets) for v in values))


def next_lines(files, batch_size):
    """(lines [batch_size], op that starts the input): what next_batch reads before it parses."""
    iterator = tf.compat.v1.data.make_initializable_iterator(lines_dataset(files, batch_size))
    return iterator.get_next(), iterator.initializer


def next_batch(files, batch_size, buckets):
    """(Batch, op that starts the input): to be called while the training graph is built."""
    lines, initializer = next_lines(files, batch_size)
    return parse(lines, buckets), initializer

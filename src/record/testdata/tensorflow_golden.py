"""Writes the golden TFRecord files; with a folder as argument, checks the files `*.tfrecord` there."""

import pathlib
import sys

import tensorflow as tf


def record(i):
    return bytes((i * 7 + j // (i % 5 + 1) * 31) & 0xFF for j in range(i * i * 3 % 200))


records = [record(i) for i in range(60)]
if len(sys.argv) > 1:
    for path in pathlib.Path(sys.argv[1]).glob("*.tfrecord"):
        assert [r.numpy() for r in tf.data.TFRecordDataset(str(path))] == records, path
        print(f"{path}: {len(records)} records agree")
else:
    folder = pathlib.Path(__file__).parent
    for name, compression in (("tensorflow.tfrecord", ""), ("tensorflow.tfrecord.gz", "GZIP")):
        with tf.io.TFRecordWriter(str(folder / name), compression) as writer:
            for r in records:
                writer.write(r)

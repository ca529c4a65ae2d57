"""Scores of the test file, and the area under their ROC curve."""

import numpy as np
import tensorflow as tf

from examples.adult import input as adult
from examples.adult import model

tf1 = tf.compat.v1


def test_scores(path, batch_size, seed, checkpoint, config):
    """(labels, logits) of every record of `path`, from a checkpoint, in a graph and session of its
    own."""
    labels, logits = [], []
    with tf.Graph().as_default():
        lines, initializer = adult.test_lines(path, batch_size)
        examples = adult.parse(lines)
        fetches = [examples.label, model.logits(model.features(examples), seed)]
        saver = tf1.train.Saver()
        with tf1.Session(config=config) as session:
            saver.restore(session, checkpoint)
            session.run([initializer, tf1.tables_initializer()])
            step = session.make_callable(fetches)
            try:
                while True:
                    label, logit = step()
                    labels.append(label)
                    logits.append(logit)
            except tf.errors.OutOfRangeError:
                pass
    return np.concatenate(labels), np.concatenate(logits)


def area_under_curve(labels, scores):
    """Exact area under the ROC curve: the share of pairs in the right order, ties counted half."""
    positive, scores = np.asarray(labels) > 0.5, np.asarray(scores, dtype=np.float64)
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        raise ValueError("the area needs records of both classes")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2.0  # ranks count from 1; ties share their mean
    rank_sum = mean_rank[inverse][positive].sum()
    return float((rank_sum - positives * (positives + 1) / 2.0) / (positives * negatives))

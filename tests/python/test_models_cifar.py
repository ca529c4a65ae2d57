"""The convolutional network of the zoo in graphs and in Keras; as a job it is in test_job_models.py."""

import math

import headrace
import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from data_cli import data

from cifar10_functional_api import cifar10_functional_api as cifar  # of zoo.MODELS
from common import graph

tf1 = tf.compat.v1
BATCH = 64


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("cifar") / "train.tfrecord"
    made = data("generate", "cifar", path, "--records", 2000, "--seed", 5, "--to", "tfrecord")
    assert made.code == 0, made.err
    return path


def train(file, steps, staged):
    """Losses of so many steps from the same first values and the same dropouts."""
    keras.utils.set_random_seed(11)
    config = tf1.ConfigProto()
    if staged:
        headrace.configure(config, headrace.StageOptions(capacity=2, num_threads=2))
    with tf.Graph().as_default() as built:
        tf1.set_random_seed(11)
        records, initializer = graph.next_lines([file], BATCH)
        step = graph.train_step(cifar, records)
        if staged:
            ahead = headrace.explain(built, config).staged_nodes()
            types = {op.type for op in built.get_operations() if op.name in ahead}
            assert types >= {"IteratorGetNext", "ParseExampleV2", "RealDiv"}
        with tf1.Session(config=config) as session:
            session.run([initializer, tf1.global_variables_initializer()])
            return [float(session.run(step)) for _ in range(steps)]


def test_staged_losses_are_the_unstaged_ones_bit_for_bit(file):
    unstaged = train(file, 4, staged=False)
    assert train(file, 4, staged=True) == unstaged
    assert len(set(unstaged)) == 4, "it trains"


def test_learns(file):
    losses = train(file, 110, staged=True)
    assert np.mean(losses[-10:]) < 0.8 * math.log(10), "a constant predictor has ln 10"


def test_keras_trains_it(file):
    model = cifar.custom_model()
    model.compile(optimizer=cifar.optimizer(), loss=cifar.loss)
    dataset = graph.lines_dataset([file], BATCH, repeat=False).map(cifar.parse).take(3)
    history = model.fit(dataset, verbose=0)
    assert math.isfinite(history.history["loss"][0])


def test_one_record_is_parsed_as_a_batch_of_them(file):
    records = list(tf.data.TFRecordDataset(str(file)).take(3))
    features, labels = cifar.parse(tf.stack(records))
    for i, record in enumerate(records):
        feature, label = cifar.parse(record)
        np.testing.assert_array_equal(feature["image"], features["image"][i])
        np.testing.assert_array_equal(label, labels[i])

"""CIFAR-10's convolutional network (models/cifar10_functional_api) as a graph and with Keras's fit, on one
file."""

import importlib
import sys

import tensorflow as tf

from bench import environment
from bench.environment import MODELS
from examples.common.contenders import Contenders

sys.path.insert(0, str(MODELS))

from common import graph  # noqa: E402

BATCH = 128


def module():
    """The model's module."""
    return importlib.import_module("cifar10_functional_api.cifar10_functional_api")


def generate(folder, records, seed):
    """Path of a drawn TFRecord file."""
    path = folder / f"cifar-{records}.tfrecord"
    if not path.exists():
        environment.run("-m", "headrace", "data", "generate", "cifar", str(path), "--to", "tfrecord",
                        "--records", str(records), "--seed", str(seed))
    return str(path)


def tuned_batches(path):
    """A dataset of (features, labels), as TensorFlow's performance guide says."""
    parsed = graph.lines_dataset([path], BATCH).map(module().parse, num_parallel_calls=tf.data.AUTOTUNE)
    return parsed.prefetch(tf.data.AUTOTUNE)


def contenders(path):
    """The graph in which whole batches are parsed where its author reads them."""
    def read():
        return graph.next_lines([path], BATCH)

    def next_batch():
        records, initializer = read()
        return module().parse(records), initializer

    def step(batch):
        built = graph.training(module(), *batch)
        with tf.control_dependencies([built.train_op]):
            return tf.identity(built.loss)

    return Contenders(read, next_batch, step)

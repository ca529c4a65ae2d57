"""The seed's input part with a training part that only waits, as long as the seed's accelerator took.

A stand-in: it learns nothing. Needs the library of the tests' ops (--load_op_library).
"""

import keras
import tensorflow as tf

from bench import environment, loops


@tf.RegisterGradient("Headrace>BenchWait")
def _no_second_wait(op, gradient):
    return gradient


class Waiting(tf.Module):
    def __init__(self):
        super().__init__()
        self.weight = tf.Variable(1.0)
        self._wait = tf.load_op_library(environment.OPS).headrace_bench_wait

    def __call__(self, features, training):
        # Behind a variable that the step writes: it cannot run ahead.
        scaled = self.weight * tf.reduce_mean(features["image"], axis=[1, 2, 3])
        waits = sum(loops.WAITS_MS["after"].values()) if training else 0
        return self._wait(scaled, micros=int(1000 * waits))


def custom_model():
    return Waiting()


def loss(labels, predictions):
    return tf.square(predictions)


def optimizer():
    return keras.optimizers.SGD(1e-3)


def dataset_fn(dataset):
    return loops.dataset_fn(dataset)

"""A model whose step waits for MICROS and learns nothing; for bench/straggler.py.

Records are numbers, a line each, shuffled in a buffer of BUFFER. Needs the library of the tests' ops
(--load_op_library).
"""

import keras
import tensorflow as tf

from bench import loops

MICROS, BUFFER = 8000, 1000


@tf.RegisterGradient("Headrace>BenchWait")
def _no_second_wait(op, gradient):
    return gradient


class Waiting(tf.Module):
    def __init__(self):
        super().__init__()
        self.weight = tf.Variable(1.0)
        self._wait = tf.load_op_library(loops.OPS).headrace_bench_wait

    def __call__(self, features, training):
        # Behind a variable that the step writes: it cannot run ahead.
        return self._wait(self.weight * features["number"], micros=MICROS if training else 0)


def custom_model():
    return Waiting()


def loss(labels, predictions):
    return tf.square(labels - predictions)


def optimizer():
    return keras.optimizers.SGD(1e-9)


def dataset_fn(dataset):
    def parse(line):
        number = tf.strings.to_number(line)
        return {"number": number}, number

    return dataset.map(parse).shuffle(BUFFER)

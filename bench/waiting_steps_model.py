"""A model whose step waits for as many microseconds as the file `micros` beside it says, and learns nothing;
for whole jobs (bench/straggler.py, bench/scaling.py).

A stand-in: what computes is somewhere else. Its variables are small; each step reads all of them from the
parameter servers and sends a gradient for each. Records are numbers, a line each, shuffled in a buffer of
BUFFER. Needs the library of the tests' ops (--load_op_library).
"""

import pathlib

import keras
import tensorflow as tf

from bench import environment

MICROS = int((pathlib.Path(__file__).parent / "micros").read_text())
BUFFER = 1000
VARIABLES, WIDTH = 8, 64


@tf.RegisterGradient("Headrace>BenchWait")
def _no_second_wait(op, gradient):
    return gradient


class Waiting(tf.Module):
    def __init__(self):
        super().__init__()
        self.weights = [tf.Variable(tf.ones([WIDTH]), name=f"weight{i}") for i in range(VARIABLES)]
        self._wait = tf.load_op_library(environment.OPS).headrace_bench_wait

    def __call__(self, features, training):
        # Behind variables that the step writes: it cannot run ahead.
        scale = tf.reduce_mean(tf.stack(self.weights))
        return self._wait(scale * features["number"], micros=MICROS if training else 0)


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

"""tf.compat.v1.compat; `compat.v1` is headrace.compat.v1, so that tf.compat.v1.X is X here, too."""

import sys

import tensorflow as tf

_stock = tf.compat.v1.compat

v1 = sys.modules["headrace.compat.v1"]


def __getattr__(name):
    return getattr(_stock, name)


def __dir__():
    return sorted({*dir(_stock), "v1"})

"""Headrace runs the input part of a TensorFlow graph ahead of the training step.

    config = headrace.configure(tf.compat.v1.ConfigProto(), headrace.StageOptions())
    print(headrace.explain(graph, config))
    with tf.compat.v1.Session(config=config) as session: ...

Importing this package does not import TensorFlow; the first call that needs it does. For programs
written for DeepRec: `import headrace.compat.v1 as tf`.
"""

import importlib

from headrace import errors
from headrace._checks import AUTOTUNE
from headrace._version import __version__
from headrace.options import StageOptions, ThreadPool

# Public name -> module that defines it; imported when first asked for.
_LAZY = {
    "Explanation": "headrace.plans",
    "close": "headrace.live",
    "configure": "headrace.carrier",
    "explain": "headrace.plans",
    "keep": "headrace.marks",
    "kept": "headrace.marks",
    "load": "headrace.library",
    "mark_target_node": "headrace.marks",
    "rewrite": "headrace.plans",
    "stats": "headrace.live",
    "trace": "headrace.live",
}

__all__ = sorted(["AUTOTUNE", "StageOptions", "ThreadPool", "errors", "__version__", *_LAZY])


def __getattr__(name):
    if name == "compat":
        return importlib.import_module("headrace.compat")
    if name not in _LAZY:
        raise AttributeError(f"module 'headrace' has no attribute '{name}'")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *_LAZY, "compat"})

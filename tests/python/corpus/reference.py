"""Runs cases in this process with stock TensorFlow, and writes what every step gave.

    python -m corpus.reference OUT [CASE...]

The test process starts this in a process of its own that never loads Headrace (its library replaces
kernels, so an unstaged run beside it would not be an independent reference).
"""

import importlib
import os
import pickle
import sys

CASE_MODULES = (
    "sources",
    "queues",
    "kinds",
    "tables",
    "randoms",
    "control_flow",
    "ordering",
    "errors",
    "training",
    "calls",
    "naming",
)


def load_cases():
    """All cases by name."""
    from corpus import case  # pylint: disable=import-outside-toplevel

    for module in CASE_MODULES:
        importlib.import_module(f"corpus.{module}")
    return case.CASES


def main(argv):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf  # pylint: disable=import-outside-toplevel

    from corpus import runner  # pylint: disable=import-outside-toplevel

    tf.get_logger().setLevel("ERROR")
    out, names = argv[0], argv[1:]
    cases = load_cases()
    results = {}
    for name in names or cases:
        case = cases[name]
        config = tf.compat.v1.ConfigProto()
        if case.config:
            case.config(config)
        with tf.Graph().as_default() as graph:
            built = case.build()
            results[name] = runner.run_program(built, graph, config).outcomes
    if any(m == "headrace" or m.startswith("headrace.") for m in sys.modules):
        raise RuntimeError("the reference process has loaded headrace")
    with open(out, "wb") as file:
        pickle.dump(results, file)


if __name__ == "__main__":
    main(sys.argv[1:])

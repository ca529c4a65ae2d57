"""Runs random graphs with stock TensorFlow and writes what every step gave.

    python -m corpus.random_reference OUT FIRST_SEED COUNT

Like reference.py: in a process of its own that never loads Headrace.
"""

import os
import pickle
import sys


def main(argv):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf  # pylint: disable=import-outside-toplevel

    from corpus import random_graphs, runner  # pylint: disable=import-outside-toplevel

    tf.get_logger().setLevel("ERROR")
    out, first, count = argv[0], int(argv[1]), int(argv[2])
    results = {}
    for seed in range(first, first + count):
        with tf.Graph().as_default() as graph:
            built = random_graphs.build(seed)
        steps = runner.run_program(built.program, graph, built.config)
        results[seed] = steps.outcomes
    if any(m == "headrace" or m.startswith("headrace.") for m in sys.modules):
        raise RuntimeError("the reference process has loaded headrace")
    with open(out, "wb") as file:
        pickle.dump(results, file)


if __name__ == "__main__":
    main(sys.argv[1:])

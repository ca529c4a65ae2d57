"""A program of one's own on elastic data: learns the mean of numbers, a batch a step.

Runs under `headrace run` (examples/elastic/demo.py). A step takes as long as --step_ms, so that there is time
to kill it.
"""

import argparse
import time

import tensorflow as tf

import headrace.data as data


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--step_ms", type=float, default=20)
    args = parser.parse_args()
    weight = tf.Variable(0.0)
    records = data.task_dataset().map(lambda record: tf.strings.to_number(record))
    for batch in data.batches(records.shuffle(500).batch(50)):
        # The model: the mean of what it saw, learned by steps.
        weight.assign_add(0.1 * (tf.reduce_mean(batch.elements) - weight))
        time.sleep(args.step_ms / 1000)
        data.commit(batch)
    print(f"mean of the last batches: {float(weight):.1f}", flush=True)


if __name__ == "__main__":
    main()

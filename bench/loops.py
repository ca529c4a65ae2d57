"""The two loops of the ElasticDL worker's performance document, as TensorFlow programs, timed by column.

    python -m bench.loops before|after|parts --records FILE.tfrecord --model compute|wait

`before`: records are read, parsed one by one and put together eagerly, then the step runs eagerly, in turn.
`after`: one dataset over all tasks, from a generator of records, parsed by map, and a compiled step. Both
train models/cifar10_functional_api, batch 128; with `wait`, computing and the calls to the parameter server
sleep as long as the document's tables say that they took a step on its accelerator.

`parts`: what a step of `after` needs at least, on pools of one thread, which do not spin while they are idle.

Prints JSON: seconds (from the first batch on; what happens once is done before), steps, columns; of `parts`,
seconds of a step: read, prepare (read and all that is made of it), cpu (processor time, training included).
"""

import argparse
import json
import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from bench.elasticdl import SEED, SEED_STEPS  # noqa: E402
from bench.environment import MODELS  # noqa: E402

BATCH = 128
TRAINED = 10  # steps, for the processor time of one
# Milliseconds a step of what is not input.
WAITS_MS = {loop: {name: 1000 * seconds[name] / SEED_STEPS
                   for name in ("compute_loss", "get_model", "report_gradient")}
            for loop, seconds in SEED.items()}
FEATURES = {"image": tf.io.FixedLenFeature([32, 32, 3], tf.float32),
            "label": tf.io.FixedLenFeature([1], tf.int64)}


def input_fn(records):
    """As in the document."""
    image_list, label_list = [], []
    for record in records:
        parsed = tf.io.parse_single_example(record, FEATURES)
        image = parsed["image"].numpy().astype(np.float32)
        image /= 255
        image_list.append(image)
        label_list.append(parsed["label"].numpy().astype(np.int32))
    images = np.reshape(np.concatenate(image_list, axis=0), (len(image_list), 32, 32, 3))
    return {"image": tf.convert_to_tensor(images)}, np.array(label_list)


def dataset_fn(dataset):
    """As in the document."""
    def parse(record):
        parsed = tf.io.parse_single_example(record, FEATURES)
        return parsed["image"], parsed["label"]

    dataset = dataset.map(parse)
    return dataset.map(lambda x, y: ({"image": tf.math.divide(tf.cast(x, tf.float32), 255.0)}, y))


class Columns(dict):
    """Seconds by column."""

    def time(self, name, call):
        begin = time.perf_counter()
        result = call()
        self[name] = self.get(name, 0.0) + time.perf_counter() - begin
        return result


def _step(compiled):
    sys.path.insert(0, str(MODELS))
    from cifar10_functional_api import cifar10_functional_api as zoo

    model, optimizer = zoo.custom_model(), zoo.optimizer()
    optimizer.build(model.trainable_variables)

    def step(features, labels):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(zoo.loss(labels, model(features, training=True)))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    return tf.function(step, reduce_retracing=True) if compiled else step


def _train(loop, step, columns, features, labels):
    if step is not None:
        return columns.time("compute_loss", lambda: float(step(features, labels)))
    for name, ms in WAITS_MS[loop].items():
        columns.time(name, lambda ms=ms: time.sleep(ms / 1000))


def _records(path):
    return tf.data.TFRecordDataset(path).as_numpy_iterator()


def before(path, step):
    warm = input_fn([next(_records(path))] * BATCH)
    if step is not None:
        step(*warm)
    columns, records, steps = Columns(), _records(path), 0
    begin = time.perf_counter()
    while True:
        batch = columns.time("get_batch", lambda: [r for _, r in zip(range(BATCH), records)])
        if not batch:
            break
        features, labels = columns.time("input_fn", lambda: input_fn(batch))
        _train("before", step, columns, features, labels)
        steps += 1
    return time.perf_counter() - begin, steps, columns


def after(path, step):
    if step is not None:
        warm = input_fn([next(_records(path))] * BATCH)
        step(warm[0], tf.constant(warm[1], tf.int64))
    columns, steps = Columns(), 0
    dataset = tf.data.Dataset.from_generator(lambda: _records(path), tf.string, tf.TensorShape([]))
    batches = iter(dataset_fn(dataset).batch(BATCH))
    begin = time.perf_counter()
    while True:
        batch = columns.time("get_batch", lambda: next(batches, None))
        if batch is None:
            break
        _train("after", step, columns, *batch)
        steps += 1
    return time.perf_counter() - begin, steps, columns


def parts(path, step):
    dataset = tf.data.TFRecordDataset(path)

    def alone(batches):
        """(seconds, processor seconds) of a batch."""
        steps, begin, busy = 0, time.perf_counter(), time.process_time()
        for _ in batches:
            steps += 1
        return (time.perf_counter() - begin) / steps, (time.process_time() - busy) / steps

    read, _ = alone(dataset.batch(BATCH))
    prepare, cpu = alone(dataset_fn(dataset).batch(BATCH))
    if step is not None:
        batch = next(iter(dataset_fn(dataset).batch(BATCH)))
        step(*batch)
        cpu += alone(step(*batch).numpy() for _ in range(TRAINED))[1]
    return {"read": read, "prepare": prepare, "cpu": cpu}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("loop", choices=("before", "after", "parts"))
    parser.add_argument("--records", required=True)
    parser.add_argument("--model", choices=("compute", "wait"), required=True)
    args = parser.parse_args()
    if args.loop == "parts":
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    step = None if args.model == "wait" else _step(compiled=args.loop != "before")
    if args.loop == "parts":
        print(json.dumps(parts(args.records, step)))
        return
    seconds, steps, columns = {"before": before, "after": after}[args.loop](args.records, step)
    print(json.dumps({"seconds": seconds, "steps": steps, "columns": columns}))


if __name__ == "__main__":
    main()

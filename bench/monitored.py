"""DLRM in stock TensorFlow 1's way: MonitoredTrainingSession and parameter servers, the input tuned by hand.

    python -m bench.monitored '{"ps": [...], "worker": [...]}' ps|worker INDEX DATA BATCH STEPS

A parameter server runs until it is killed. A worker trains STEPS steps, prints "ready", and waits for a line; then it
trains STEPS steps more, prints JSON: {"steps_per_s"} of these, and stays until it is killed: a session without
the others may block. So all workers are at work while it is measured.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from bench.environment import PROJECT, environment  # noqa: E402
from bench.worker import die_with_parent  # noqa: E402

MODEL = "dlrm"


def _free_addresses(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    finally:
        for each in sockets:
            each.close()


def measure(path, batch_size, steps, workers, servers, limit_s=300):
    """Steps a second of all workers together. Errors: RuntimeError with what a worker printed last, also
    after limit_s seconds."""
    addresses = _free_addresses(servers + workers)
    cluster = json.dumps({"ps": addresses[:servers], "worker": addresses[servers:]})
    running = []

    def start(job, index):
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.monitored", cluster, job, str(index), path, str(batch_size), str(steps)],
            cwd=PROJECT, env=environment(), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=log)
        running.append(process)
        return process

    def line_of(worker):
        """The next line that it prints."""
        line = worker.stdout.readline()
        if line:
            return line
        if late.is_set():
            raise RuntimeError(f"MonitoredTrainingSession did not train {2 * steps} steps in {limit_s} s")
        log.seek(0)
        raise RuntimeError(f"a worker of MonitoredTrainingSession ended with {worker.wait()}:\n{log.read()[-2000:]}")

    late = threading.Event()

    def give_up():
        late.set()
        for process in running:
            process.kill()

    watch = threading.Timer(limit_s, give_up)
    with tempfile.TemporaryFile("w+") as log:
        try:
            watch.start()
            for i in range(servers):
                start("ps", i)
            # The others look for the chief's variables every 30 s only: they begin when these are there.
            begun = [start("worker", 0)]
            line_of(begun[0])
            begun += [start("worker", i) for i in range(1, workers)]
            for worker in begun[1:]:
                line_of(worker)
            for worker in begun:
                print(file=worker.stdin, flush=True)
            return sum(json.loads(line_of(worker))["steps_per_s"] for worker in begun)
        finally:
            watch.cancel()
            for process in running:
                process.kill()
                process.communicate()


def _train(cluster, index, path, batch_size, steps):
    import tensorflow as tf

    from bench import zoo

    tf1 = tf.compat.v1
    server = tf1.train.Server(cluster, "worker", index)
    with tf.Graph().as_default():
        setter = tf1.train.replica_device_setter(cluster=cluster, worker_device=f"/job:worker/task:{index}")
        with tf1.device(setter):
            tf1.train.get_or_create_global_step()
            batch, initializer = zoo.next_tuned(MODEL, path, batch_size)
            step = zoo.train(MODEL, batch)
        scaffold = tf1.train.Scaffold(local_init_op=tf.group(tf1.local_variables_initializer(), initializer))
        config = tf1.ConfigProto(device_filters=["/job:ps", f"/job:worker/task:{index}"])
        with tf1.train.MonitoredTrainingSession(
                server.target, is_chief=index == 0, scaffold=scaffold, config=config) as session:
            for _ in range(steps):
                session.run(step)
            print("ready", flush=True)
            sys.stdin.readline()
            begin = time.perf_counter()
            for _ in range(steps):
                session.run(step)
            print(json.dumps({"steps_per_s": steps / (time.perf_counter() - begin)}), flush=True)
            signal.pause()


def main(cluster, job, index, path, batch_size, steps):
    die_with_parent()
    import tensorflow as tf

    cluster = tf.train.ClusterSpec(json.loads(cluster))
    if job == "ps":
        tf.compat.v1.train.Server(cluster, "ps", int(index)).join()
        return
    _train(cluster, int(index), path, int(batch_size), int(steps))


if __name__ == "__main__":
    main(*sys.argv[1:])

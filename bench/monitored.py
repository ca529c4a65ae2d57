"""DLRM in stock TensorFlow 1's way: MonitoredTrainingSession and parameter servers, the input tuned by hand.

    python -m bench.monitored '{"ps": [...], "worker": [...]}' ps|worker INDEX DATA BATCH STEPS

A parameter server runs until it is killed. A worker trains 2 * STEPS steps and prints JSON: {"steps_per_s"}
of the second half, in which the workers that began later are at work, too.
"""

import json
import os
import socket
import subprocess
import sys
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

    def start(job, index):
        return subprocess.Popen(
            [sys.executable, "-m", "bench.monitored", cluster, job, str(index), path, str(batch_size),
             str(steps)],
            cwd=PROJECT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    # What a server prints nobody reads: it is little.
    running = [start("ps", i) for i in range(servers)]
    begun = [start("worker", i) for i in range(workers)]
    total, deadline = 0.0, time.monotonic() + limit_s
    try:
        for i, worker in enumerate(begun):
            out, errors = worker.communicate(timeout=max(1.0, deadline - time.monotonic()))
            if worker.returncode != 0:
                raise RuntimeError(f"worker {i} of MonitoredTrainingSession ended with {worker.returncode}:\n"
                                   f"{errors[-2000:]}")
            total += json.loads(out.splitlines()[-1])["steps_per_s"]
    except subprocess.TimeoutExpired:
        what = f"MonitoredTrainingSession did not train {2 * steps} steps in {limit_s} s"
        raise RuntimeError(what) from None
    finally:
        for process in running + begun:
            process.kill()
            process.communicate()
    return total


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
        with tf1.train.MonitoredTrainingSession(
                server.target, is_chief=index == 0, scaffold=scaffold) as session:
            for _ in range(steps):
                session.run(step)
            begin = time.perf_counter()
            for _ in range(steps):
                session.run(step)
            return steps / (time.perf_counter() - begin)


def main(cluster, job, index, path, batch_size, steps):
    die_with_parent()
    import tensorflow as tf

    cluster = tf.train.ClusterSpec(json.loads(cluster))
    if job == "ps":
        tf.compat.v1.train.Server(cluster, "ps", int(index)).join()
        return
    rate = _train(cluster, int(index), path, int(batch_size), int(steps))
    print(json.dumps({"steps_per_s": rate}), flush=True)
    os._exit(0)  # its server does not end


if __name__ == "__main__":
    main(*sys.argv[1:])

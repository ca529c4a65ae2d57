"""A tf.data service on this host, in a process of its own: a dispatcher and one worker.

    python -m bench.data_service

prints the dispatcher's address, and ends with its standard input.
"""

import os
import subprocess
import sys

from bench.environment import PROJECT, environment
from bench.worker import die_with_parent


def start():
    """Starts one; it ends with the calling process. Returns its address. Errors: RuntimeError."""
    process = subprocess.Popen([sys.executable, "-m", "bench.data_service"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, cwd=PROJECT, env=environment(), text=True)
    _running.append(process)
    address = process.stdout.readline().strip()
    if not address:
        raise RuntimeError(f"the tf.data service ended with status {process.wait()} before it had an address")
    return address


_running = []  # their standard inputs stay open


def main():
    die_with_parent()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    service = tf.data.experimental.service
    dispatcher = service.DispatchServer()
    worker = service.WorkerServer(service.WorkerConfig(dispatcher_address=dispatcher.target.split("://")[1]))
    print(dispatcher.target, flush=True)
    sys.stdin.read()
    del worker


if __name__ == "__main__":
    main()

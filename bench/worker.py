"""One contender in a process of its own, driven by bench.processes over a connection.

The factory returns an object with advance(steps) -> Segment. Messages are dicts:

    <- {"ready": True}                                             first: it is built
    -> {"untimed": 3, "steps": 100, "values": False}
    <- {"steps": 100, "seconds": 0.1, "cpu_seconds": 0.2}

    -> {"about": True}
    <- {"about": contender.about()}

With "values" the reply also holds what the timed steps fetched. What ends the process is the end of the
connection, or a kill; an error ends it with a traceback on standard error.
"""

import ctypes
import importlib
import os
import signal

_PR_SET_PDEATHSIG = 1


def die_with_parent():
    """A worker is stopped most of the time: without this it would outlive a killed parent."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def serve(contender, connection):
    while True:
        try:
            request = connection.recv()
        except EOFError:
            return
        if "about" in request:
            connection.send({"about": contender.about()})
            continue
        if request["untimed"]:
            contender.advance(request["untimed"])
        segment = contender.advance(request["steps"])
        answer = {"steps": segment.steps, "seconds": segment.seconds,
                  "cpu_seconds": segment.cpu_seconds}
        if request["values"]:
            answer["values"] = [float(value) for value in segment.values]
        connection.send(answer)


def main(connection, factory, arguments, output):
    """Body of the process. output: the file that takes what is printed."""
    os.setsid()  # a group of its own: what it starts is stopped with it
    die_with_parent()
    out = os.open(output, os.O_WRONLY | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")
    module, _, name = factory.partition(":")
    contender = getattr(importlib.import_module(module), name)(**arguments)
    connection.send({"ready": True})
    serve(contender, connection)

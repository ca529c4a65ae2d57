"""One contender in a process of its own, driven by bench.processes over a pipe.

    python -m bench.worker '{"factory": "bench.pipeline:make", "arguments": {...}}'

The factory returns an object with advance(steps) -> Segment and close(). Requests and replies are
JSON, one a line, on standard input and output:

    -> {"untimed": 3, "steps": 100, "values": false}
    <- {"steps": 100, "seconds": 0.1, "cpu_seconds": 0.2}

With "values": true the reply also holds what the timed steps fetched. The first line out is
{"ready": true}. What ends the process is the end of its input; an error ends it with a traceback on
standard error.
"""

import ctypes
import importlib
import json
import os
import pathlib
import signal
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

_PR_SET_PDEATHSIG = 1


def die_with_parent():
    """A worker is stopped most of the time: without this it would outlive a killed parent."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def serve(contender, requests, reply):
    for line in requests:
        request = json.loads(line)
        if request["untimed"]:
            contender.advance(request["untimed"])
        segment = contender.advance(request["steps"])
        answer = {"steps": segment.steps, "seconds": segment.seconds,
                  "cpu_seconds": segment.cpu_seconds}
        if request.get("values"):
            answer["values"] = [float(value) for value in segment.values]
        reply(answer)


def main():
    die_with_parent()
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # libraries' prints must not mix with replies

    def reply(answer):
        print(json.dumps(answer), file=out, flush=True)

    spec = json.loads(sys.argv[1])
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")
    module, _, name = spec["factory"].partition(":")
    contender = getattr(importlib.import_module(module), name)(**spec["arguments"])
    reply({"ready": True})
    serve(contender, sys.stdin, reply)
    contender.close()


if __name__ == "__main__":
    main()

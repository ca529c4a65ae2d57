"""Contenders in processes of their own that run in turns: the harness of every benchmark here.

A contender that is not being timed is stopped (SIGSTOP) with all of its threads, so that nothing is
read ahead, prefetched or spun in the background of another one's measurement, and each goes on from
its own steady state. A round times every contender once, in an order drawn anew for each round;
ratios are taken inside rounds.
"""

import dataclasses
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile

from examples.common.measure import effective_cores
from examples.common.stepper import Segment

PROJECT = pathlib.Path(__file__).resolve().parents[1]


class WorkerError(RuntimeError):
    """A worker ended before it had answered; the text ends with what it printed last."""


class Contender:
    """A worker process, stopped except while it answers.

    Starts the process and does not wait; ready() does, and stops it. Not thread-safe.

    factory: "module:function" that makes what is stepped; arguments: its keyword arguments (JSON).
    untimed: steps before each segment, enough to reach the steady state.
    """

    def __init__(self, name, factory, arguments, untimed=5):
        self.name, self.untimed = name, untimed
        self.steps = 1
        self._errors = tempfile.TemporaryFile()
        spec = json.dumps({"factory": factory, "arguments": arguments})
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.worker", spec], cwd=PROJECT, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=self._errors, text=True)

    def ready(self):
        """Waits until the contender is built."""
        self._answer()
        self._process.send_signal(signal.SIGSTOP)

    def size(self, seconds, warm_up=30):
        """Warms up and sets the steps of a segment so that it takes about `seconds`."""
        self.advance(warm_up, untimed=0)
        probe = self.advance(max(3, warm_up // 3), untimed=0)
        self.steps = max(5, round(seconds * probe.steps / probe.seconds))

    def segment(self):
        """One timed segment."""
        return self.advance(self.steps, self.untimed)

    def advance(self, steps, untimed=0, values=False):
        """Steps the contender: `untimed` steps, then a Segment of `steps`."""
        self._process.send_signal(signal.SIGCONT)
        request = {"untimed": untimed, "steps": steps, "values": values}
        print(json.dumps(request), file=self._process.stdin, flush=True)
        answer = self._answer()
        self._process.send_signal(signal.SIGSTOP)
        return Segment(answer["steps"], answer["seconds"], answer["cpu_seconds"],
                       answer.get("values", []))

    def close(self):
        """Ends the process; kills it where it does not end by itself."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.stdin.close()
            try:
                self._process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._errors.close()

    def _answer(self):
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        status = self._process.wait()
        self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - 3000))
        text = self._errors.read().decode(errors="replace")
        raise WorkerError(f"worker {self.name} ended with status {status}:\n{text}")


@dataclasses.dataclass(frozen=True)
class Round:
    """Segment by contender, and the effective cores of the same moment."""

    segments: dict
    cores: float

    def seconds(self, name):
        """Wall time of one step of a contender."""
        return self.segments[name].seconds / self.segments[name].steps

    def cpu_seconds(self, name):
        """Processor time of one step of a contender."""
        return self.segments[name].cpu_seconds / self.segments[name].steps


class Field:
    """The contenders of one comparison, started together and closed together."""

    def __init__(self, contenders):
        self.contenders = {contender.name: contender for contender in contenders}

    def __enter__(self):
        try:
            for contender in self.contenders.values():
                contender.ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for contender in self.contenders.values():
            contender.close()

    def run(self, rounds, seconds, seed=1, measure_cores=True):
        """Times `rounds` rounds, each contender about `seconds` a round; returns them.

        measure_cores: False leaves Round.cores at 0 and saves 0.6 s a round.
        """
        for contender in self.contenders.values():
            contender.size(seconds)
        order = random.Random(seed)
        done = []
        for _ in range(rounds):
            names = order.sample(sorted(self.contenders), len(self.contenders))
            segments = {name: self.contenders[name].segment() for name in names}
            done.append(Round(segments, effective_cores() if measure_cores else 0.0))
        return done

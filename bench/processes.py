"""Contenders in processes of their own that run in turns: the harness of every benchmark here.

A contender that is not being timed is stopped (SIGSTOP) with all of its threads and processes, so that
nothing is read ahead, prefetched or spun in the background of another one's measurement, and each goes on
from its own steady state. A round times every contender once, in an order drawn anew for each round;
ratios are taken inside rounds.
"""

import dataclasses
import multiprocessing
import os
import random
import signal
import tempfile

from bench import worker
from bench.environment import environment
from examples.common.measure import effective_cores
from examples.common.stepper import Segment

WARM_SECONDS, WARM_STEPS = 1.0, 30
MIN_STEPS = 3  # of a segment


class WorkerError(RuntimeError):
    """A worker ended before it had answered; the text ends with what it printed last."""


def _context():
    """Contenders are forked from a process that has imported TensorFlow (bench/preload.py)."""
    context = multiprocessing.get_context("forkserver")
    os.environ["PYTHONPATH"] = environment()["PYTHONPATH"]
    context.set_forkserver_preload(["bench.preload"])
    return context


class Contender:
    """A worker process, stopped except while it answers.

    Starts the process and does not wait; ready() does, and stops it. Not thread-safe.

    factory: "module:function" that makes what is stepped; arguments: its keyword arguments.
    untimed: steps before each segment, enough to reach the steady state.
    """

    def __init__(self, name, factory, arguments, untimed=5):
        self.name, self.untimed = name, untimed
        self.steps, self._step_s = None, None
        self._output = tempfile.NamedTemporaryFile(prefix="headrace-bench-")
        context = _context()
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=worker.main, args=(theirs, factory, arguments, self._output.name), daemon=True)
        self._process.start()
        theirs.close()

    @property
    def pid(self):
        return self._process.pid

    def ready(self):
        """Waits until the contender is built."""
        self._answer()
        self._signal(signal.SIGSTOP)

    def size(self, seconds):
        """Sets the steps of a segment so that it takes about `seconds`; warms up when called first."""
        if self._step_s is None:
            self._step_s = self._probe(3)
            self._step_s = self._probe(min(WARM_SECONDS, 2 * seconds) / self._step_s)
        self._step_s = self._probe(seconds / 3 / self._step_s)
        self.steps = max(MIN_STEPS, round(seconds / self._step_s))

    def _probe(self, steps):
        """Seconds of one of about so many steps, WARM_STEPS at most."""
        done = self.advance(max(3, min(WARM_STEPS, round(steps))))
        return done.seconds / done.steps

    def segment(self):
        """One timed segment."""
        return self.advance(self.steps, self.untimed)

    def advance(self, steps, untimed=0, values=False):
        """Steps the contender: `untimed` steps, then a Segment of `steps`."""
        self._signal(signal.SIGCONT)
        self._connection.send({"untimed": untimed, "steps": steps, "values": values})
        answer = self._answer()
        self._signal(signal.SIGSTOP)
        return Segment(answer["steps"], answer["seconds"], answer["cpu_seconds"],
                       answer.get("values", []))

    def about(self):
        """What the contender says about itself: its about()."""
        self._signal(signal.SIGCONT)
        self._connection.send({"about": True})
        answer = self._answer()
        self._signal(signal.SIGSTOP)
        return answer["about"]

    def close(self):
        """Kills the process and what it started: there is nothing to be saved, and sessions with tf.data's
        AUTOTUNE take up to a minute to close."""
        self._connection.close()
        self._signal(signal.SIGKILL)
        self._process.kill()
        self._process.join()
        self._output.close()

    def _signal(self, number):
        """To the contender's process group, as far as that is still there."""
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            pass

    def _answer(self):
        try:
            return self._connection.recv()
        except (EOFError, ConnectionResetError):
            pass
        self._process.join()
        with open(self._output.name, "rb") as output:
            output.seek(max(0, output.seek(0, os.SEEK_END) - 3000))
            text = output.read().decode(errors="replace")
        raise WorkerError(f"worker {self.name} ended with status {self._process.exitcode}:\n{text}")


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
    """The contenders of one comparison, started together and closed together.

    watch: a bench.progress.Watch that is told of the rounds.
    """

    def __init__(self, contenders, watch=None):
        self.contenders = {contender.name: contender for contender in contenders}
        self._watch = watch

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

    def run(self, rounds, seconds, seed=1, measure_cores=True, names=None):
        """Times `rounds` rounds, each contender about `seconds` a round; returns them.

        measure_cores: False leaves Round.cores at 0 and saves 0.6 s a round.
        names: of those that take part; default: all.
        """
        names = sorted(self.contenders if names is None else names)
        for name in names:
            self.contenders[name].size(seconds)
        order = random.Random(seed)
        done = []
        for number in range(rounds):
            if self._watch:
                self._watch.round(number, rounds)
            segments = {name: self.contenders[name].segment()
                        for name in order.sample(names, len(names))}
            done.append(Round(segments, effective_cores() if measure_cores else 0.0))
        return done

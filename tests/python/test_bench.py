"""The benchmarks' harness: statistics, workers, what the contenders are made of. Quick: figures are not looked
at, only that they are taken of the right thing."""

import os
import pathlib
import signal
import subprocess
import sys
import time
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

PROJECT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

from bench import calibrate, overhead, pipeline, smartstage, steps, take, workloads  # noqa: E402
from bench import zoo  # noqa: E402
from bench.intervals import estimate, over  # noqa: E402
from bench.processes import Contender, Field, Round, WorkerError  # noqa: E402
from examples.common.contenders import PARTS  # noqa: E402
from examples.common.stepper import Segment, Stepper  # noqa: E402


def test_an_estimate_is_the_median_with_an_interval_that_holds_it():
    values = np.random.default_rng(7).normal(10.0, 1.0, 31)
    found = estimate(values)
    assert found.median == np.median(values) and found.low < found.median < found.high
    assert found == estimate(values)
    # The interval of a median of n normal values is about 2 * 1.96 * 1.2533 / sqrt(n) wide.
    assert 0.4 < (found.high - found.low) / (2 * 1.96 * 1.2533 / 31 ** 0.5) < 2.0
    same = estimate([2.0] * 5)
    assert (same.low, same.median, same.high) == (2.0, 2.0, 2.0)
    with pytest.raises(ValueError, match="at least one"):
        estimate([])


def test_a_ratio_is_taken_inside_rounds():
    rounds = [Round({"a": Segment(2, 2.0 * k, 0, []), "b": Segment(1, 2.0 * k, 0, [])}, 2.0)
              for k in (1.0, 10.0, 3.0)]
    assert over(rounds, lambda r: r.seconds("b") / r.seconds("a")).rounds == (2.0, 2.0, 2.0)


class Sleeper:
    """Steps of about a millisecond; a thread of its own counts while the process runs."""

    def __init__(self, fail=False):
        if fail:
            raise RuntimeError("built to fail")

    def advance(self, steps):
        start = time.perf_counter()
        time.sleep(0.001 * steps)
        return Segment(steps, time.perf_counter() - start, time.process_time(), [0.5] * steps)

    def close(self):
        pass


def state(pid):
    """The process's state letter in /proc: T is stopped."""
    line = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    return line.rpartition(")")[2].split()[0]


def wait_until_stopped(pid, seconds=10):
    """A signal is delivered some time after it was sent."""
    deadline = time.monotonic() + seconds
    while state(pid) != "T":
        assert time.monotonic() < deadline, f"process {pid} still runs"


def sleeper(name, **arguments):
    return Contender(name, "tests.python.test_bench:Sleeper", arguments, untimed=1)


def test_contenders_are_stopped_between_their_turns():
    with Field([sleeper("a"), sleeper("b")]) as field:
        started = [c.pid for c in field.contenders.values()]
        for pid in started:
            wait_until_stopped(pid)
        rounds = field.run(rounds=3, seconds=0.02)
        assert field.contenders["a"].advance(2, values=True).values == [0.5, 0.5]
    assert len(rounds) == 3 and all(set(r.segments) == {"a", "b"} for r in rounds)
    assert all(r.seconds("a") >= 0.001 and r.cores >= 1.0 for r in rounds)
    assert not any(pathlib.Path(f"/proc/{pid}").exists() for pid in started)


class WithChild(Sleeper):
    """Starts a process of its own, and tells its id as what a step fetches."""

    def __init__(self):
        super().__init__()
        self._child = subprocess.Popen(["sleep", "1000"])

    def advance(self, steps):
        return super().advance(steps)._replace(values=[self._child.pid])


def test_what_a_contender_started_stops_and_ends_with_it():
    with Field([Contender("a", "tests.python.test_bench:WithChild", {})]) as field:
        child = int(field.contenders["a"].advance(1, values=True).values[0])
        wait_until_stopped(child)
    deadline = time.monotonic() + 10
    while pathlib.Path(f"/proc/{child}").exists() and state(child) != "Z":
        assert time.monotonic() < deadline, f"process {child} still runs"


def test_contenders_with_other_losses_are_refused():
    losses = {"unstaged": [1.0, 2.0], "staged": [1.0, 2.0], "main": [5.0, 5.0]}
    field = types.SimpleNamespace(contenders={
        name: types.SimpleNamespace(advance=lambda steps, values, v=values: Segment(steps, 1, 1, v))
        for name, values in losses.items()})
    smartstage.compare(field, 2)  # parts train on one batch
    losses["staged"][1] += 1e-6
    with pytest.raises(RuntimeError, match="losses differ within 2 steps"):
        smartstage.compare(field, 2)


def test_those_that_do_not_take_part_are_left_alone():
    with Field([sleeper("a"), sleeper("b")]) as field:
        rounds = field.run(2, 0.01, measure_cores=False, names=["b"])
        assert [list(r.segments) for r in rounds] == [["b"], ["b"]] and field.contenders["a"].steps is None


def test_a_worker_s_error_is_told():
    with pytest.raises(WorkerError, match="built to fail"):
        with Field([sleeper("a"), sleeper("b", fail=True)]):
            pass


def test_a_worker_that_is_killed_is_told():
    with Field([sleeper("a")]) as field:
        os.kill(field.contenders["a"].pid, signal.SIGKILL)
        with pytest.raises((WorkerError, BrokenPipeError)):
            field.contenders["a"].advance(1)


# What the contenders are made of.

def run_once(build):
    with Stepper("test", build) as stepper:
        return stepper.advance(2).values[-1]


def test_the_computing_part_needs_the_stage_s_values():
    def build():
        element, initializer = workloads.element(3)
        hashes = workloads.compute(element)
        step = workloads.computing_step(hashes, 2)
        kept, = (v for v in tf.compat.v1.global_variables() if v.op.name == "kept0")
        with tf.control_dependencies([step]):
            return [kept.read_value(), hashes], initializer

    kept, hashes = run_once(build)
    assert kept.tolist() == hashes.tolist() and len(set(kept.tolist())) == 1 and kept[0] > 0


def test_the_waiting_part_waits():
    def build():
        batch, initializer = workloads.tensors(1)
        return workloads.waiting_step(batch, 20_000), initializer

    with Stepper("test", build) as stepper:
        assert stepper.advance(3).seconds >= 3 * 0.02


@pytest.mark.parametrize("main", ["compute", "wait"])
@pytest.mark.parametrize("contender", ["unstaged", *PARTS])
def test_pipeline_contenders_step(contender, main):
    with pipeline.make(contender, main, 0.2, strings=8, capacity=2, threads=1) as stepper:
        assert stepper.advance(3).steps == 3


@pytest.mark.parametrize("case", overhead.CASES)
def test_overhead_contenders_step(case):
    with overhead.make(case, strings=8, staged=False) as stepper:
        assert stepper.advance(3).steps == 3


@pytest.mark.parametrize("threads", take.EXECUTORS.values())
@pytest.mark.parametrize("contender", [name for name in take.CONTENDERS if name != "stage"])
def test_area_contenders_step(contender, threads):
    made = take.make(contender, threads)
    assert made.advance(5).steps == 5
    made.close()


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    """Drawn lines by kind of data."""
    folder = tmp_path_factory.mktemp("lines")
    return {zoo.DATA[model]: zoo.generate(model, folder, 600, seed=1) for model in ("dlrm", "din")}


@pytest.mark.parametrize("model", ["dlrm", "dssm"])
def test_a_model_s_contenders_agree(model, lines):
    losses = []
    for contender in ("unstaged", "tuned"):
        with zoo.make(contender, model, lines[zoo.DATA[model]], 64) as stepper:
            losses.append(stepper.advance(3).values)
    assert losses[0] == losses[1]


@pytest.mark.parametrize("model", zoo.DATA)
def test_the_input_part_of_a_model_is_all_in_front_of_its_weights(model):
    with tf.Graph().as_default():
        whole = zoo.module(model).custom_model()
        ahead, training = zoo.split(whole)
    assert not ahead.weights and len(training.weights) == len(whole.weights)
    crossing = {tensor.dtype for tensor in ahead.outputs}
    assert "string" not in crossing and "int64" in crossing, "hashed in the input part"


@pytest.mark.parametrize(
    "contender, model", [("unstaged", "dien"), *((name, "dlrm") for name in ("unstaged", *PARTS))])
def test_stand_ins_step(contender, model, lines):
    with zoo.make(contender, model, lines[zoo.DATA[model]], 32, wait_ms=20) as stepper:
        done = stepper.advance(2)
        assert done.steps == 2 and (contender in ("read", "prepare") or done.seconds >= 2 * 0.02)


def test_keras_s_fit_goes_on_where_it_stopped():
    from bench.keras_fit import Fit

    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", steps_per_execution=2)
    fed = tf.data.Dataset.range(1000).map(lambda i: (tf.cast([[i]], tf.float32) / 1000, tf.zeros([1, 1])))
    fit = Fit(model, fed, steps_per_execution=2)
    assert [fit.advance(3).steps, fit.advance(4).steps] == [4, 4]
    assert int(model.optimizer.iterations) == 8
    fit.close()


def test_what_fit_raises_is_raised():
    from bench.keras_fit import Fit

    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    fed = tf.data.Dataset.range(10).map(lambda i: (tf.cast([[i]], tf.float32), tf.zeros([1, 1])))
    fit = Fit(model, fed)
    assert fit.advance(10).steps == 10
    with pytest.raises(RuntimeError, match="the dataset has an end"):
        fit.advance(10)
    fit.close()


def test_calibration_asks_for_work_in_proportion():
    assert calibrate.strings_for(2.0, 650.4) == 1301
    assert calibrate.strings_for(0.0001, 650.4) == 1

"""The benchmarks' harness: statistics, workers, reports. Quick: figures are not looked at, only
that they are taken of the right thing."""

import json
import os
import pathlib
import signal
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

PROJECT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

from bench import calibrate, checkpoint, dlrm, loop, machine, overhead, pipeline  # noqa: E402
from bench import ranges, report, run, sparse, steps, straggler, take, workloads  # noqa: E402
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


@pytest.fixture
def pids(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    return lambda field: [c._process.pid for c in field.contenders.values()]


def test_contenders_are_stopped_between_their_turns(pids):
    with Field([sleeper("a"), sleeper("b")]) as field:
        started = pids(field)
        for pid in started:
            wait_until_stopped(pid)
        rounds = field.run(rounds=3, seconds=0.02)
        assert field.contenders["a"].advance(2, values=True).values == [0.5, 0.5]
    assert len(rounds) == 3 and all(set(r.segments) == {"a", "b"} for r in rounds)
    assert all(r.seconds("a") >= 0.001 and r.cores >= 1.0 for r in rounds)
    assert not any(pathlib.Path(f"/proc/{pid}").exists() for pid in started)


def test_a_worker_s_error_is_told(pids):
    with pytest.raises(WorkerError, match="built to fail"):
        with Field([sleeper("a"), sleeper("b", fail=True)]):
            pass


def test_a_worker_that_is_killed_is_told(pids):
    with Field([sleeper("a")]) as field:
        os.kill(pids(field)[0], signal.SIGKILL)
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


def test_dlrm_contenders_agree(tmp_path):
    path = tmp_path / "rows.tsv"
    dlrm.generate.write_rows(path, 500, seed=1)
    losses = []
    for contender in ("unstaged", "tuned"):
        with dlrm.make(contender, [str(path)], 64) as stepper:
            losses.append(stepper.advance(3).values)
    assert losses[0] == losses[1]


def test_calibration_asks_for_work_in_proportion():
    assert calibrate.strings_for(2.0, 650.4) == 1301
    assert calibrate.strings_for(0.0001, 650.4) == 1


# Reports.

def fake_rounds(names, count=3):
    return [Round({n: Segment(10, 0.01 * (i + 1), 0.02, []) for i, n in enumerate(names)}, 2.0)
            for _ in range(count)]


RESULTS = {
    "pipeline": [pipeline._row(fake_rounds(pipeline.CONTENDERS), main, length, 1)
                 for main in ("compute", "wait") for length in (0.2, 1.0)],
    "take": [take._row(fake_rounds(take.CONTENDERS), executor) for executor in take.EXECUTORS],
    "dlrm": [dlrm._row(fake_rounds(("unstaged", "tuned", "staged", *PARTS)), 2048,
                       {"parallel_calls": 0}, {"capacity": 1, "threads": 1}, {})],
    "overhead": [overhead._row(fake_rounds(("unstaged", "staged")), case)
                 for case in overhead.CASES],
    "ranges": [ranges._row(fake_rounds(ranges.CONTENDERS), size) for size in ranges.RECORDS],
    "sparse": sparse._rows(
        [{size: {"step_ms": 2.0 + at, "step_bytes": 1e5} for at, size in enumerate(sparse.ROWS)}] * 3),
    "checkpoint": checkpoint._rows(
        [{name: 2.0 + at for at, name in enumerate([*checkpoint.PLACES, "stock"])}] * 3),
    "steps": steps._rows(
        [{"loop": {"seconds": 3.0, "steps": 10},
          "bare": {"seconds": 2.0, "steps": 10, "step_us": 1.0, "switch_us": 5.0}}] * 3),
    "straggler": straggler._rows(
        [{"ratio": 1.1, "seconds": 22.0, "allowed_s": 20.0, "fast": 80.0, "slow": 8.0}] * 3),
    "loop": [loop._row(model, [{name: {"seconds": 2.0 + at, "steps": 8, "columns": {"compute_loss": 1.0}}
                                for at, name in enumerate(loop.CONTENDERS)}] * 3)
             for model in loop.RECORDS],
}


def test_a_straggler_s_job_is_measured_while_both_are_at_work():
    """100 steps/s and 10 steps/s; the tail takes 2 s longer than the sum of both."""
    total = straggler.BATCH * straggler.STEPS
    left = lambda second: max(total - 110 * straggler.BATCH * second, straggler.BATCH)  # noqa: E731
    ends = straggler.STEPS / 110
    samples = [(0.0, total, {}), (0.0, total, {"a": 0, "b": 0})]
    samples += [(s, left(s), {"a": 100 * s, "b": 10 * s}) for s in range(1, int(ends) + 1)]
    samples += [(ends + 2, 0, {"a": 0, "b": 0})]
    found = straggler._ratio(samples)
    assert (found["fast"], found["slow"]) == (100, 10)
    assert found["ratio"] == pytest.approx((ends + 1) / (ends - 1))


@pytest.mark.parametrize("name", run.BENCHMARKS)
def test_a_report_says_where_its_figures_are_from(name, tmp_path):
    module = run.BENCHMARKS[name]
    header = machine.header([str(PROJECT / "bench" / "run.py"), name])
    result = report.as_json(name, header, {"rounds": 12}, RESULTS[name])
    data, text, picture = report.write(tmp_path, tmp_path, result, module.COLUMNS, module.draw)
    assert json.loads(data.read_text()) == json.loads(json.dumps(result))
    written = text.read_text()
    assert "Medians over 3 rounds." in written, "as many as there were, whatever was asked for"
    assert f"python bench/run.py {name}" in written and tf.__version__ in written
    assert header["commit"][:12] in written and header["cpu"] in written
    assert len(written.splitlines()[-1].split("|")) == len(module.COLUMNS) + 3
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_rows_judge_their_goals():
    slow = fake_rounds(("staged", "unstaged"))  # staged takes half as long as unstaged here
    fast = fake_rounds(("unstaged", "staged"))
    assert overhead._row(slow, "read")["met"] and not overhead._row(fast, "read")["met"]
    assert [row["goal"] for row in RESULTS["pipeline"]] == [None, 0.95] * 2
    # All parts but "cpu" are slower than "staged" here, which no real pipeline could reach.
    assert RESULTS["pipeline"][1]["efficiency"]["median"] == pytest.approx(5.0)


def test_the_command_refuses_what_it_does_not_know(capsys):
    for bad in (["pipline"], ["--rounds", "0"], ["--seconds", "-1"]):
        with pytest.raises(SystemExit) as ended:
            run.main(bad)
        assert ended.value.code == 2
    assert "no such benchmark: pipline" in capsys.readouterr().err

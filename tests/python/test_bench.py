"""The benchmarks' harness: statistics, workers, reports, the command. Quick: figures are not looked at, only
that they are taken of the right thing."""

import io
import json
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
from typer.testing import CliRunner

PROJECT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

from bench import accelerator, accelerator_gpu, autotune, calibrate, checkpoint, elasticdl  # noqa: E402
from bench import jobs, machine, overhead, peers, pipeline, progress, ranges, registry  # noqa: E402
from bench import report, scaling, smartstage, sparse, steps, straggler, suite, take, workloads, zoo  # noqa: E402
from bench.environment import Unfit  # noqa: E402
from bench.intervals import estimate, over  # noqa: E402
from bench.processes import Contender, Field, Round, WorkerError  # noqa: E402
from bench.sizes import SizeError, changed  # noqa: E402
from examples.common.contenders import PARTS  # noqa: E402
from examples.common.stepper import Segment, Stepper  # noqa: E402
from headrace.cli import app  # noqa: E402
from headrace.commands import bench as command  # noqa: E402


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
    with accelerator.make(contender, model, lines[zoo.DATA[model]], 32, wait_ms=20) as stepper:
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


# Reports.

def fake_rounds(names, count=3):
    return [Round({n: Segment(10, 0.01 * (i + 1), 0.02, []) for i, n in enumerate(names)}, 2.0)
            for _ in range(count)]


CHOSEN = {"steps": 120, "seconds": 2.0,
          "stages": [{"capacity": 2, "num_threads": 1, "depth_limit": 3, "held_bytes": 3 << 20}]}
RESULTS = {
    "autotune": [autotune._row(fake_rounds(("unstaged", "best", "auto")), "computes", "dlrm", 512,
                               {"best": {"capacity": 4, "num_threads": 1}, "trials_ms": {"4, 1": 10.0},
                                "wait_ms": None, "chosen": CHOSEN, "more_bytes": 1 << 20})],
    "pipeline": [pipeline._row(fake_rounds(pipeline.CONTENDERS), main, length, 1)
                 for main in ("compute", "wait") for length in (0.2, 1.0)],
    "take": [take._row(fake_rounds(take.CONTENDERS), executor) for executor in take.EXECUTORS],
    "smartstage": [
        smartstage._row(fake_rounds(("unstaged", "tuned", "staged", *service, *PARTS)), model, 512,
                        {"tuned": {"parallel_calls": 0}, "staged": CHOSEN}, {})
        for model, service in (("dlrm", ("service",)), ("din", ()))],
    "accelerator": [accelerator._row(fake_rounds((*accelerator.CONTENDERS, *PARTS)), case, model, 512, 5.3,
                                     {"staged": CHOSEN, "on_cpu": CHOSEN})
                    for case in accelerator.CASES for model in ("dlrm", "wdl")],
    "accelerator-gpu": [
        accelerator_gpu._row(fake_rounds(("unstaged", "staged", "on_cpu", *PARTS)), model, 512,
                             {"streams": "refused"})
        for model in accelerator_gpu.FULL.models],
    "peers": [peers._step_row("Keras fit", "dlrm", fake_rounds(("peer", "headrace")), {}, {"jit False": 1.0}),
              peers._job_row([{"peer": 10.0, "headrace": 20.0}] * 3, "dlrm, 1 workers, 1 servers")],
    "scaling": scaling._job_rows([{"1x1": 10.0, "4x2": 30.0}] * 3, ("1x1", "4x2"), 25.0)
    + scaling._master_rows(
        [{n: {"tasks_per_s": 6000.0, "p50_ms": 1.0, "p99_ms": 2.0} for n in (1, 10)}] * 3, (1, 10)),
    "overhead": [overhead._row(fake_rounds(("unstaged", "staged")), case)
                 for case in overhead.CASES],
    "ranges": [ranges._row(fake_rounds(ranges.CONTENDERS), size) for size in ranges.RECORDS],
    "sparse": sparse._rows(
        [{size: {"step_ms": 2.0, "step_bytes": 1e5} for size in (10_000, 20_000_000)}] * 3,
        10_000, 20_000_000),
    "checkpoint": checkpoint._rows(
        [{name: 2.0 + at for at, name in enumerate([*checkpoint.PLACES, "stock"])}] * 3, 1.0),
    "steps": steps._rows(
        [{"loop": {"seconds": 3.0, "steps": 10},
          "bare": {"seconds": 2.0, "steps": 10, "step_us": 1.0, "switch_us": 5.0}}] * 3),
    "straggler": straggler._rows(
        [{"ratio": 1.1, "seconds": 22.0, "allowed_s": 20.0, "fast": 80.0, "slow": 8.0}] * 3),
    "elasticdl": [
        elasticdl._row(model, [{name: {"seconds": 2.0 + at, "steps": 8, "columns": {"compute_loss": 1.0}}
                                for at, name in enumerate(elasticdl.CONTENDERS)}] * 3)
        for model in elasticdl.FULL.records],
}


def test_a_straggler_s_job_is_measured_while_both_are_at_work():
    """100 steps/s and 10 steps/s; the tail takes 2 s longer than the sum of both."""
    steps, batch = 2400, straggler.waiting_job.BATCH
    total, ends = batch * steps, steps / 110
    left = lambda second: max(total - 110 * batch * second, batch)  # noqa: E731
    samples = [(0.0, total, {}), (0.0, total, {"a": 0, "b": 0})]
    samples += [(s, left(s), {"a": 100 * s, "b": 10 * s}) for s in range(1, int(ends) + 1)]
    samples += [(ends + 2, 0, {"a": 0, "b": 0})]
    found = straggler._ratio(samples, total)
    assert (found["fast"], found["slow"]) == (100, 10)
    assert found["ratio"] == pytest.approx((ends + 1) / (ends - 1))


def test_speeds_are_those_of_the_time_in_which_all_work():
    samples = [(0, 100, {"a": 0}), (1, 90, {"a": 5, "b": 0}), (2, 80, {"a": 10, "b": 1}),
               (4, 60, {"a": 20, "b": 3}), (9, 5, {"a": 21, "b": 4})]
    assert jobs.speeds(samples, 2, 100, middle=0.9) == [5.0, 1.0]
    with pytest.raises(RuntimeError, match="2 workers at work: it needs more steps"):
        jobs.speeds(samples, 2, 100, middle=0.3)


def result_of(name, mode="quick"):
    header = machine.header(f"headrace bench {name}")
    return report.as_json(name, mode, header, registry.BENCHMARKS[name].QUICK.as_json(), 1, RESULTS[name])


@pytest.mark.parametrize("name", registry.BENCHMARKS)
def test_a_report_says_where_its_figures_are_from(name, tmp_path):
    module = registry.BENCHMARKS[name]
    result = result_of(name)
    data, text, picture = report.Folder(tmp_path).write(result, module)
    assert report.read(data) == json.loads(json.dumps(result))
    written = text.read_text()
    assert "Quick run; medians over 3 rounds." in written, "as many as there were, whatever was asked for"
    assert f"    headrace bench {name}\n" in written and tf.__version__ in written
    assert result["machine"]["commit"][:12] in written and result["machine"]["cpu"] in written
    rows = written[written.index("\n| ") + 1:].partition("\n\n")[0].splitlines()
    assert len(rows) == 2 + len(RESULTS[name])
    assert {line.count(" | ") for line in rows} == {len(module.COLUMNS)}
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_all_results_are_made_into_one_page(tmp_path):
    folder = report.Folder(tmp_path)
    for name in ("take", "smartstage"):
        folder.write(result_of(name), registry.BENCHMARKS[name])
    page = folder.write_all(registry.MODULES).read_text()
    assert page.index("## smartstage") < page.index("## take"), "in the registry's order"
    for name in ("take", "smartstage"):
        assert f"    headrace bench {name}\n" in page and f"![{name}](figures/{name}.png)" in page
    assert page.count("commit ") == 2 and "## sparse" not in page
    # From the JSON alone.
    again = report.Folder(tmp_path)
    assert again.write_all(registry.MODULES).read_text() == page


@pytest.mark.parametrize("text, message", [
    ('{"version": 1, "rows": []}', "version 1, this is 2: measure it again .headrace bench take"),
    ('{"rows": ', "measure it again"),
    ('{"version": 2, "benchmark": "take", "rows": [{}]}', "its rows are not those of this version"),
])
def test_results_that_cannot_be_read_are_named(text, message, tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results/take.json").write_text(text)
    with pytest.raises(report.ReportError, match=f"results/take.json: .*{message}"):
        report.Folder(tmp_path).write_all(registry.MODULES)


def test_results_of_nothing_are_named(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results/loop.json").write_text("{}")
    with pytest.raises(report.ReportError, match="loop.json: there is no such benchmark: remove the file"):
        report.Folder(tmp_path).write_all(registry.MODULES)


def test_what_is_committed_can_be_read():
    assert [r["benchmark"] for r, _ in report.Folder(PROJECT / "bench").read(registry.MODULES)]


# The arithmetic of tables.

def rounds_of(cores=2.0, **ms):
    """Rounds in which a step of each contender takes so many ms, and half of that of a processor."""
    return [Round({n: Segment(10, value / 100, value / 200, []) for n, value in ms.items()}, cores)] * 3


def test_a_row_s_limit_is_the_largest_of_its_terms(monkeypatch):
    monkeypatch.setattr(accelerator, "cores", lambda: 1)
    ms = dict(unstaged=20, on_cpu=10, main=10, read=1, prepare=9, cpu=30)
    chosen = {"staged": CHOSEN, "on_cpu": CHOSEN}
    row = accelerator._row(rounds_of(staged=11, **ms), "equal", "dlrm", 512, 10.0, chosen)
    assert {name: value["median"] for name, value in row["terms_ms"].items()} == pytest.approx(
        {"training part": 10, "read": 1, "read + body": 9, "CPU": 7.5})
    assert row["bound_by"] == "training part" and row["limit_ms"]["median"] == pytest.approx(10)
    assert row["of_limit"]["staged"]["median"] == pytest.approx(10 / 11)
    assert row["speedup"]["staged"]["median"] == pytest.approx(20 / 11)
    assert row["speedup"]["limit"]["median"] == pytest.approx(2.0)
    assert row["goal"] == {"limit / staged 0.97": False, "unstaged / staged 1.9": False}
    assert row["met"] is False
    faster = accelerator._row(rounds_of(staged=10, **ms), "equal", "dlrm", 512, 10.0, chosen)
    assert faster["met"] is True


def test_more_threads_and_fewer_cores_move_the_limit(monkeypatch):
    monkeypatch.setattr(smartstage, "cores", lambda: 3)  # as many threads as AUTOTUNE may choose
    ms = dict(unstaged=20, staged=11, tuned=11, main=2, read=1, prepare=9, cpu=8)
    settings = {"tuned": {"parallel_calls": 0}, "staged": CHOSEN}
    by_body = smartstage._row(rounds_of(**ms), "dlrm", 512, settings, {})
    assert by_body["limit_ms"]["median"] == pytest.approx(3) and by_body["bound_by"] == "read + body"
    by_cpu = smartstage._row(rounds_of(cores=1.0, **ms), "dlrm", 512, settings, {})
    assert by_cpu["limit_ms"]["median"] == pytest.approx(4) and by_cpu["bound_by"] == "CPU"


def test_staged_must_not_fall_behind_tuned():
    settings = {"tuned": {"parallel_calls": 0}, "staged": CHOSEN}
    ms = dict(unstaged=20, staged=10, main=10, read=1, prepare=9, cpu=8)
    rows = [smartstage._row(rounds_of(tuned=tuned, **ms), "dlrm", 512, settings, {}) for tuned in (9.9, 9.7)]
    assert [row["met"] for row in rows] == [True, False]


def test_the_seed_s_table_implies_what_the_stand_in_waits():
    """DLRM's unstaged step took 10.9 ms, its staged one 5.3: so 5.6 of input; 0.95 of that."""
    assert accelerator.seed_wait_ms("dlrm") == pytest.approx(5.316, abs=1e-3)
    assert accelerator.training_over_input("dlrm") == pytest.approx(5.316 / (10.905 - 5.316), rel=1e-3)
    assert accelerator._wait_ms("scaled", "dlrm", 2.0) == pytest.approx(1.902, rel=1e-3)
    assert accelerator._wait_ms("equal", "dlrm", 2.0) == 2.0
    assert accelerator._wait_ms("seed", "wdl", 2.0) == accelerator._wait_ms("seed", "deepfm", 2.0)
    assert "(deepfm's)" in accelerator.seed_ratios({"model": "wdl"})
    for row in RESULTS["accelerator"]:
        assert "tand-in" in accelerator.notes([row])[0]


def test_scaling_is_compared_with_the_first_job():
    one, many = scaling._job_rows([{"1x1": 10.0, "4x2": 30.0}] * 3, ("1x1", "4x2"), 25.0)
    assert one["of_linear"]["median"] == 1 and many["of_linear"]["median"] == 0.75
    slow, = scaling._master_rows([{10: {"tasks_per_s": 4000, "p50_ms": 1, "p99_ms": 2}}], (10,))
    assert slow["met"] is False


def test_a_geometric_mean_is_of_the_seed_s_models():
    assert "geometric mean over the seed's five models 0.50 (goal 1.35: missed)" in " ".join(
        accelerator_gpu.notes(RESULTS["accelerator-gpu"]))


def test_rows_judge_their_goals():
    slow = fake_rounds(("staged", "unstaged"))  # staged takes half as long as unstaged here
    fast = fake_rounds(("unstaged", "staged"))
    assert overhead._row(slow, "read")["met"] and not overhead._row(fast, "read")["met"]
    assert [row["goal"] for row in RESULTS["pipeline"]] == [None, 0.95] * 2
    # All parts but "cpu" are slower than "staged" here, which no real pipeline could reach.
    assert RESULTS["pipeline"][1]["efficiency"]["median"] == pytest.approx(5.0)


# Sizes, progress, the command.

def test_sizes_are_changed_by_name():
    sizes = {"pipeline": pipeline.QUICK, "take": take.QUICK}
    made = changed(sizes, ["rounds=2", "pipeline.lengths=1,5", "pipeline.main=wait", "take.seconds=0.5"])
    assert made["pipeline"].rounds == made["take"].rounds == 2
    assert made["pipeline"].lengths == (1.0, 5.0) and made["pipeline"].main == ("wait",)
    assert made["take"].seconds == 0.5 and made["pipeline"].seconds == pipeline.QUICK.seconds
    assert sizes["take"] is take.QUICK


@pytest.mark.parametrize("setting, message", [
    ("rounds", "there are pipeline.capacity"), ("pipeline.speed=1", "there are pipeline.capacity"),
    ("take.rounds=2", "there are"), ("rounds=many", "must be of type int"),
    ("rounds=0", "rounds=0: must be at least 1"),
    ("seconds=-1", "seconds=-1.0: must be at least 0"), ("lengths=1,two", "must be of type float"),
])
def test_settings_that_are_none_are_named(setting, message):
    with pytest.raises(SizeError, match=message):
        changed({"pipeline": pipeline.QUICK}, [setting])


def test_quick_takes_less_than_ten_minutes_and_full_less_than_sixty():
    """As each benchmark expects; that they are right, a run shows."""
    usual = registry.chosen([], "stand-in")
    assert sum(module.QUICK.expected_s for module in usual) < 600
    assert sum(module.FULL.expected_s for module in usual) < 3600
    assert accelerator_gpu not in usual and len(usual) == len(registry.MODULES) - 1


def test_the_time_left_follows_the_pace_of_what_is_done():
    now = [100.0]
    clock = progress.Clock([10, 30], now=lambda: now[0])
    said = []
    watch = progress.Watch("one", clock, lambda text, is_part: said.append((text, is_part)))
    clock.begin()
    watch.parts(2)
    watch.part("first")
    assert (clock.done, clock.left) == (0, 40), "as expected until there is a pace"
    watch.part("second")
    watch.round(1, 2)
    now[0] += 15.0
    assert clock.done == pytest.approx(7.5) and clock.left == pytest.approx(32.5 * 2)
    assert said == [("one: first", True), ("one: second", True), ("one: second, round 2 of 2", False)]
    clock.begin()
    assert clock.done == 10
    clock.finish()
    assert clock.done == clock.total == 40 and clock.left == 0
    assert [progress.in_words(s) for s in (9.4, 100, 4000)] == ["9 s", "2 min", "1 h 7 min"]


def fake_module(name, rows, met=True, **more):
    """A benchmark that takes no time."""
    def run(sizes, setting):
        setting.watch.parts(1)
        setting.watch.part("all of it")
        return [{"value": sizes.rounds + at, "goal": 1.0, "met": met} for at in range(rows)]

    return types.SimpleNamespace(
        NAME=name, QUESTION=f"What is {name}?", QUICK=take.QUICK, FULL=take.FULL, run=run,
        COLUMNS=(("value", lambda row: str(row["value"])),),
        draw=lambda rows, axes: axes.plot([row["value"] for row in rows]), **more)


@pytest.fixture
def fakes(monkeypatch):
    """The registry holds two fakes: "fine", and "missed" with a goal that is."""
    modules = (fake_module("fine", 2), fake_module("missed", 1, met=False))
    monkeypatch.setattr(registry, "MODULES", modules)
    monkeypatch.setattr(registry, "BENCHMARKS", {module.NAME: module for module in modules})


def invoke(*arguments):
    return CliRunner().invoke(app, ["bench", *map(str, arguments)])


def test_the_command_measures_and_writes(fakes, tmp_path):
    done = invoke("--quick", "--out", tmp_path, "--figures", tmp_path / "pictures", "--set", "fine.rounds=3")
    assert done.exit_code == 0, done.output
    assert "[  0 %, 30 s left] fine: all of it" in done.stderr and "missed: all of it" in done.stderr
    assert "| 3 | 1: met |" in done.stdout and "| 5 | 1: missed |" in done.stdout
    kept = json.loads((tmp_path / "results/fine.json").read_text())
    assert kept["mode"] == "quick" and kept["sizes"]["rounds"] == 3 and len(kept["rows"]) == 2
    assert (tmp_path / "pictures/missed.png").exists()
    assert "## missed" in (tmp_path / "RESULTS.md").read_text()


def test_check_is_about_goals(fakes, tmp_path):
    assert invoke("--out", tmp_path, "--check").exit_code == 1
    assert invoke("fine", "--out", tmp_path, "--check").exit_code == 0


def test_json_is_one_object(fakes, tmp_path):
    done = invoke("missed", "--out", tmp_path, "--format", "json")
    made = json.loads(done.stdout)
    assert made["version"] == 1 and made["missed"] == ["missed"]
    assert [result["benchmark"] for result in made["results"]] == ["missed"]
    listed = json.loads(invoke("--list", "--format", "json").stdout)
    assert [entry["name"] for entry in listed["comparisons"]] == ["fine", "missed"]


def test_the_page_is_written_anew_without_measuring(fakes, tmp_path):
    invoke("--quick", "--out", tmp_path)
    written = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.suffix != ".json"}
    assert len(written) == 5
    for path in written:
        path.unlink()
    assert invoke("--report", "--out", tmp_path).exit_code == 0
    assert {path: path.read_bytes() for path in written} == written


def test_the_list_says_what_there_is():
    done = invoke("--list", "--quick")
    for module in registry.chosen([], "stand-in"):
        assert f"{module.NAME} (about " in done.stdout and module.QUESTION in done.stdout


@pytest.mark.parametrize("arguments, message", [
    (["pipline"], "no such comparison: pipline; there are smartstage, autotune, accelerator"),
    (["--accelerator", "tpu"], "--accelerator is 'tpu', and must be stand-in or gpu"),
    (["take", "--accelerator", "gpu"], "is of the comparison 'accelerator', which is not asked for"),
    (["take", "--report"], "--report measures nothing: leave comparisons"),
    (["take", "--set", "rounds=0"], "rounds=0: must be at least 1"),
    (["take", "--set", "lengths=1"], "there are take.expected_s"),
])
def test_the_command_refuses_what_it_does_not_know(arguments, message):
    done = invoke(*arguments)
    assert done.exit_code == 2 and message in done.stderr


def test_without_a_gpu_the_comparison_with_one_is_refused():
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("there is a GPU")
    done = invoke("accelerator", "--accelerator", "gpu")
    assert done.exit_code == 2 and "sees no GPU here" in done.stderr and "tensorflow[and-cuda]" in done.stderr


def test_without_a_checkout_the_command_says_what_to_clone(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command.headrace, "__file__", str(tmp_path / "site/headrace/__init__.py"))
    done = invoke("--list")
    assert done.exit_code == 2 and "Clone it at version 0.1.0" in done.stderr and "bench/" in done.stderr
    monkeypatch.chdir(PROJECT / "bench")
    assert command.checkout() == PROJECT


def test_a_checkout_of_another_version_is_refused(monkeypatch):
    monkeypatch.setattr(command.headrace, "__version__", "9.9.9")
    done = invoke("--list")
    assert done.exit_code == 2 and "another version than the installed Headrace, 9.9.9" in done.stderr


def test_what_is_not_built_is_refused_before_anything_runs(monkeypatch, fakes, tmp_path):
    def check(sizes):
        raise Unfit("it is not built")

    monkeypatch.setattr(registry.MODULES[1], "check", check, raising=False)
    done = invoke("--out", tmp_path)
    assert done.exit_code == 2 and "it is not built" in done.stderr and not list(tmp_path.iterdir())


def test_a_stand_in_is_measured(tmp_path, capsys):
    """The whole way, small: processes, rounds, limit, files."""
    sizes = suite.sizes_of([accelerator], True, [
        "rounds=2", "seconds=0.05", "scaled=", "equal=dlrm", "batch=64", "records=600"])
    folder, out = report.Folder(tmp_path), io.StringIO()
    result, = suite.run([accelerator], sizes, True, 1, folder, "headrace bench accelerator", out)
    row, = result["rows"]
    assert "accelerator: dlrm, stand-in, equal" in out.getvalue()
    assert (row["case"], row["model"], row["batch_size"]) == ("equal", "dlrm", 64)
    assert row["ms"]["main"]["median"] >= row["wait_ms"] > 0
    assert row["ms"]["unstaged"]["median"] > row["ms"]["main"]["median"]
    assert len(row["speedup"]["staged"]["rounds"]) == 2
    assert report.read(tmp_path / "results/accelerator.json")["rows"] == [json.loads(json.dumps(row))]

"""`headrace bench`: sizes, progress, the command."""

import io
import json
import pathlib
import sys
import types

import pytest
import tensorflow as tf
from typer.testing import CliRunner

PROJECT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

from bench import accelerator, accelerator_gpu, pipeline, progress, registry, report, suite  # noqa: E402
from bench import take  # noqa: E402
from bench.environment import Unfit  # noqa: E402
from bench.sizes import SizeError, changed  # noqa: E402
from headrace.cli import app  # noqa: E402
from headrace.commands import bench as command  # noqa: E402


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


def test_without_a_gpu_the_comparison_with_one_is_refused(tmp_path):
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("there is a GPU")
    done = invoke("accelerator", "--accelerator", "gpu", "--out", tmp_path)
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

"""What was trained is evaluated and predicted with: by its checkpoints, and by the model that came out."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import jobs
from headrace import programs


@pytest.fixture
def runner(shared, tmp_path, monkeypatch):
    return jobs.Runner(shared, tmp_path, monkeypatch, jobs.CLASSIFIER)


@pytest.fixture
def rows(tmp_path):
    random = np.random.default_rng(3)
    values = random.normal(size=(600, 4))
    path = tmp_path / "rows.txt"
    lines = [",".join(map(str, row)) + f",{int(row.argmax() % 3)}\n" for row in values]
    path.write_text("".join(lines))
    return [str(path)]


def _trained(runner, rows, **changes):
    made, code = runner.run(
        training_data=rows, validation_data=rows, num_epochs=2, checkpoint_steps=50, **changes
    )
    assert code == 0, runner.logs()
    return made


def _loss(runner, tmp_path, name, rows, **changes):
    """Of a model that begins as the flags say, whatever was exported before."""
    runner.shared = tmp_path / f"export-of-{name}"
    runner.shared.mkdir()
    made, code = runner.run("evaluate", validation_data=rows, job_dir=str(tmp_path / name), **changes)
    assert code == 0
    (entry,) = made["metrics"]
    is_known = "checkpoint" in name or name == "folder"  # of a model nobody knows it
    assert entry["step"] == (50 if is_known else None)
    return entry["values"]["loss"]


def test_the_model_of_a_job_is_what_was_trained(runner, tmp_path, rows):
    made = _trained(runner, rows)
    trained = made["metrics"][-1]["values"]["loss"]
    evaluated = _loss(runner, tmp_path, "model", rows, checkpoint_dir_for_init=made["model"])
    assert evaluated == pytest.approx(trained, rel=1e-5)
    tool = [os.path.join(os.path.dirname(sys.executable), "saved_model_cli"), "show", "--all", "--dir"]
    shown = subprocess.run([*tool, made["model"]], capture_output=True, text=True)
    assert shown.returncode == 0 and "signature_def['serving_default']" in shown.stdout, shown.stderr


def test_no_python_in_the_process_that_trains():
    listed = subprocess.run(
        ["ldd", programs.path("headrace-trainer")], capture_output=True, text=True, check=True
    )
    assert "libtensorflow" in listed.stdout and "libpython" not in listed.stdout


def test_checkpoints_of_parameter_servers_are_evaluated(runner, tmp_path, rows):
    made = _trained(runner, rows, num_ps=2)
    folder = os.path.join(made["job_dir"], "checkpoints")
    of_checkpoint = _loss(runner, tmp_path, "checkpoint", rows, checkpoint_dir=folder)
    of_folder = _loss(runner, tmp_path, "folder", rows, checkpoint_dir_for_init=folder)
    assert of_checkpoint == pytest.approx(of_folder, rel=1e-5), "the newest in the folder"
    trained = made["metrics"][-1]["values"]["loss"]
    assert of_checkpoint != pytest.approx(trained, rel=1e-4), "of a step before the end"


def test_a_model_that_cannot_be_written_at_once(runner, tmp_path, rows):
    """What was trained is not lost with the folder that it was to go to."""
    folder = tmp_path / "models"
    folder.mkdir()
    log = tmp_path / "job" / "logs" / "worker-0.log"

    def says(text):
        return log.exists() and text in log.read_text()

    def fail_and_mend():
        jobs.eventually((tmp_path / "job" / "job.json").exists)
        folder.rmdir()
        folder.touch()
        jobs.eventually(lambda: says("the model cannot be written, which is tried again in"), 60)
        folder.unlink()
        folder.mkdir()

    mending = threading.Thread(target=fail_and_mend, daemon=True)
    mending.start()
    made, code = runner.run(training_data=rows, output=str(folder / "model"))
    mending.join()
    assert code == 0, runner.logs()
    assert made["model"] == str(folder / "model") and os.path.isdir(made["model"])
    assert made["trained_before_rewind"] == [], "nothing was trained again"

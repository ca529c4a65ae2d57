"""Whole jobs on this machine: every record accounted for, whatever dies."""

import gzip
import json
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from headrace.errors import HeadraceError

import jobs
from jobs import KEPT, RECORDS


def _check_exact(runner, made, epochs):
    """Witness, ledger and files agree."""
    assert made["verdict"] == "done", runner.logs()
    np.testing.assert_array_equal(jobs.counts(made["model"]), epochs * KEPT)
    assert made["records"]["records"] == epochs * RECORDS
    assert made["records"]["trained"] == epochs * KEPT.sum()
    assert made["records"]["filtered"] == epochs * (RECORDS - KEPT.sum())
    assert made["records"]["pending"] == 0 and made["possibly_repeated"] == []
    assert [e["trained"] for e in made["epochs"]] == [KEPT.sum()] * epochs


def test_every_record_of_every_epoch_once(runner, records):
    made, code = runner.run(training_data=records, num_epochs=3, stage_capacity=8, stage_threads=2)
    assert code == 0
    _check_exact(runner, made, 3)
    assert made["trained_before_rewind"] == []
    assert made["job_type"] == "training-only" and made["time_table"]["total"]["busy_s"] > 0
    assert not jobs.processes(runner.folder, "headrace-master"), "no process is left"
    assert not jobs.processes(runner.folder, "headrace-worker")


def test_a_shuffle_larger_than_the_data(shared, tmp_path, monkeypatch, records):
    text = jobs.WITNESS.replace(".shuffle(300)", ".shuffle(1000000)")
    runner = jobs.Runner(tmp_path, tmp_path, monkeypatch, text)
    made, _ = runner.run(training_data=records, num_epochs=2)
    _check_exact(runner, made, 2)


def test_gzip_files_are_a_task_each(runner, records):
    packed = []
    for path in records:
        packed.append(path + ".gz")
        pathlib.Path(packed[-1]).write_bytes(gzip.compress(pathlib.Path(path).read_bytes()))
    made, code = runner.run(
        training_data=packed, num_epochs=2, checkpoint_steps=20, die_at="applied:57"
    )
    assert code == 0 and "killed by signal 9" in runner.logs()
    _check_exact(runner, made, 2)
    described = json.loads((runner.folder / "job" / "job.json").read_text())
    assert [file["whole"] for file in described["files"]] == [True, True]


def test_remote_files(runner, records):
    """Read through TensorFlow's file systems, of which file: is one."""
    made, code = runner.run(training_data=[f"file://{path}" for path in records], num_epochs=2)
    assert code == 0, runner.logs()
    _check_exact(runner, made, 2)
    assert '"file:///' in (runner.folder / "job" / "job.json").read_text()


STAGED = {"stage_capacity": 8, "stage_threads": 2}


@pytest.mark.parametrize(
    "point",
    ["begin:1", "read:1", "read:33", "leased:15", "staged:3", "stepping:3", "applied:1", "applied:57",
     "boundary:2", "held:2", "saving:1", "saving:3", "saved:2"],
)
def test_killed_at_a_point(runner, records, point):
    staged = STAGED if point.startswith("sta") or point.startswith("step") else {}
    made, code = runner.run(training_data=records, checkpoint_steps=20, die_at=point, **staged)
    assert code == 0, runner.logs()
    assert runner.killed() == 1
    _check_exact(runner, made, 1)


def test_killed_again_before_anything_is_trained(runner, records):
    points = ["leased:1", "leased:2", "staged:1", "stepping:1", "applied:1"]
    made, code = runner.run(training_data=records, checkpoint_steps=20, die_at=points, **STAGED)
    assert code == 0, runner.logs()
    assert runner.killed() == len(points)
    _check_exact(runner, made, 1)


def test_killed_without_any_checkpoint(runner, records):
    made, code = runner.run(training_data=records, die_at="applied:30")
    assert code == 0
    _check_exact(runner, made, 1)
    # All that the lost model had been told is trained again, by name.
    assert made["records"]["trained_before_rewind"] > 0


# In a step, and while all stand still for it.
@pytest.mark.parametrize("point, what", [("applied:30", "it held"), ("saving:1", "all stood still")])
def test_hangs_at_a_point(runner, records, point, what):
    made, code = runner.run(
        training_data=records, checkpoint_steps=20, die_at=f"hang:{point}", step_timeout_s=3
    )
    assert code == 0, runner.logs()
    (line,) = [line for line in runner.logs().splitlines() if "kills the training process" in line]
    assert "no call for 3 s while" in line and what in line
    assert "--step_timeout_s), killed by signal 9 (KILL)" in runner.logs(), "the master was told"
    _check_exact(runner, made, 1)


# A trainer that dies 6 times before its first step is given up: where starting takes longer than the killer
# waits, no more than 5 kills are survived.
@pytest.mark.parametrize("program, kills", [("child", 5), ("headrace-worker", 3), ("headrace-master", 8)])
def test_killed_at_random(runner, tmp_path, program, kills):
    seed = int.from_bytes(os.urandom(4), "little")
    print("seed", seed)
    records = jobs.write_records(tmp_path)
    job_dir = runner.folder / "job"
    with jobs.Killer(job_dir, program, kills, seed, longest_s=1.5) as killer:
        made, code = runner.run(
            training_data=records, num_epochs=12, checkpoint_steps=40, lease_s=2
        )
    assert code == 0, (seed, runner.logs())
    assert killer.killed > 0
    _check_exact(runner, made, 12)


def test_evaluation_on_the_way_and_at_the_end(runner, records):
    made, code = runner.run(
        training_data=records, validation_data=records[:1], evaluation_steps=30, num_epochs=1
    )
    assert code == 0 and made["job_type"] == "training-with-evaluation"
    steps = [m["step"] for m in made["metrics"]]
    # 85.7 full batches; a stage that must stand still at the end of its data gives what it has.
    assert steps[:-1] == [30, 60] and 86 <= steps[-1] <= 90
    first = RECORDS // 2
    for entry in made["metrics"]:
        assert entry["values"]["mean"] == pytest.approx(np.arange(first).mean())
    shown = {(event.step, value.tag) for path in (pathlib.Path(made["job_dir"]) / "events").iterdir()
             for event in tf.compat.v1.train.summary_iterator(str(path)) for value in event.summary.value}
    # A loss a second; and the last step's, however short the training was.
    assert shown >= {(made["steps"], "loss"), *((step, "evaluation/mean") for step in steps)}
    _check_exact(runner, made, 1)


def test_evaluation_every_second(runner, records):
    """However many steps that is, and not more often."""
    made, code = runner.run(
        training_data=records, validation_data=records[:1], evaluation_throttle_secs=1, num_epochs=60
    )
    assert code == 0, runner.logs()
    times = sorted(
        event.wall_time
        for path in (pathlib.Path(made["job_dir"]) / "events").iterdir()
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
        if value.tag == "evaluation/mean"
    )
    assert len(times) == len(made["metrics"]) >= 3, runner.logs()
    # A second lies between the end of one and the beginning of the next; at the end there is one at once.
    assert np.diff(times[:-1]).min() > 0.95
    assert times[-1] - times[0] < 30 * len(times), "and not after minutes"
    for entry in made["metrics"]:
        assert entry["values"]["mean"] == pytest.approx(np.arange(RECORDS // 2).mean())
    _check_exact(runner, made, 60)


def test_killed_while_it_evaluates(runner, records):
    made, code = runner.run(
        training_data=records,
        validation_data=records[:1],
        evaluation_steps=30,
        checkpoint_steps=15,
        die_at="evaluated:3",
    )
    assert code == 0, runner.logs()
    assert made["metrics"][-1]["values"]["mean"] == pytest.approx(np.arange(RECORDS // 2).mean())
    _check_exact(runner, made, 1)


def test_evaluation_only(runner, records):
    made, code = runner.run("evaluate", validation_data=records, num_workers="2")
    assert code == 0 and made["job_type"] == "evaluation-only"
    (entry,) = made["metrics"]
    assert entry["values"]["mean"] == pytest.approx(np.arange(RECORDS).mean())
    assert made["records"]["trained"] == RECORDS


@pytest.mark.parametrize("form", ["jsonl", "csv", "tfrecord", "recordio"])
def test_prediction_only(runner, records, tmp_path, form):
    out = str(tmp_path / "out")
    made, code = runner.run(
        "predict", prediction_data=records, output=out, output_format=form, num_workers="2"
    )
    assert code == 0 and made["records"]["trained"] == RECORDS
    assert [os.path.basename(p) for p in made["predictions"]] == [
        f"predictions-00000{i}.{form}" for i in range(2)
    ]
    assert sorted(os.listdir(out)) == sorted(map(os.path.basename, made["predictions"]))
    for path, source in zip(made["predictions"], records, strict=True):
        assert _rows(path, form) == [(source, i) for i in range(RECORDS // 2)]


def test_predictions_by_trainers_that_are_killed(runner, tmp_path):
    seed = int.from_bytes(os.urandom(4), "little")
    print("seed", seed)
    records = jobs.write_records(tmp_path, 4000)
    with jobs.Killer(runner.folder / "job", "child", 4, seed) as killer:
        made, code = runner.run(
            "predict", prediction_data=records, output=str(tmp_path / "out"), num_workers="2",
            minibatch_size=5, records_per_task=20,
        )
    assert code == 0, (seed, runner.logs())
    assert killer.killed > 0
    assert made["records"]["trained"] == 4000
    for path, source in zip(made["predictions"], records, strict=True):
        assert _rows(path, "jsonl") == [(source, i) for i in range(2000)]


def _rows(path, form):
    if form == "jsonl":
        rows = [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]
        assert set(rows[0]["outputs"]) == {"count", "score"}
        return [(row["file"], row["record"]) for row in rows]
    if form == "csv":
        header, *lines = pathlib.Path(path).read_text().splitlines()
        assert header == "file,record,count,score"
        return [(line.split(",")[0], int(line.split(",")[1])) for line in lines]
    if form == "recordio":
        converted = path + ".tfrecord"
        from headrace import programs

        subprocess.run(
            [programs.path("headrace-records"), "convert", path, converted, "--to", "tfrecord"], check=True
        )
        path = converted
    examples = [tf.train.Example.FromString(r.numpy()) for r in tf.data.TFRecordDataset(path)]
    return [
        (
            e.features.feature["file"].bytes_list.value[0].decode(),
            e.features.feature["record"].int64_list.value[0],
        )
        for e in examples
    ]


def test_predictions_are_processed_in_python(shared, tmp_path, monkeypatch, records):
    text = jobs.WITNESS + """
    class prediction_outputs_processor:
        def __init__(self):
            self.sums = open("%s", "a")

        def process(self, predictions, worker_id):
            self.sums.write(f"{worker_id} {len(predictions['score'])} {sorted(predictions)}\\n")
    """ % (tmp_path / "processed")
    runner = jobs.Runner(tmp_path, tmp_path, monkeypatch, text)
    made, code = runner.run("predict", prediction_data=records, output=str(tmp_path / "out"))
    assert code == 0 and len(made["predictions"]) == 2
    assert (tmp_path / "processed").read_text().splitlines() == [
        f"{file} 1000 ['count', 'score']" for file in range(2)
    ]
    with pytest.raises(HeadraceError, match="reads jsonl: leave --output_format out"):
        runner.run(
            "predict", prediction_data=records, output=str(tmp_path / "other"), output_format="csv",
            job_dir=str(tmp_path / "other-job"),
        )


# --- looked at, stopped, resumed --------------------------------------------------------------


def _begun(start, runner, tmp_path, records, *more, stderr=None):
    """(its command line, its process), once it has a checkpoint."""
    arguments = ["train", "--model_def", runner.module, "--minibatch_size=20"]
    arguments += [f"--training_data={path}" for path in records]
    arguments += [f"--job_dir={tmp_path / 'job'}", "--checkpoint_steps=100", "--job_name=job", *more]
    command = [sys.executable, "-m", "headrace", *arguments]
    process = start(command, stdout=subprocess.PIPE, stderr=stderr)
    checkpoints = tmp_path / "job" / "checkpoints"
    jobs.eventually(lambda: checkpoints.is_dir() and any(checkpoints.glob("*/manifest.json")), 60)
    return arguments, process


def test_stopped_without_a_checkpoint(start, runner, tmp_path, records):
    """What that costs is said before it is too late, and again at the end."""
    command = [sys.executable, "-m", "headrace", "train", "--model_def", runner.module, "--minibatch_size=20"]
    command += [f"--training_data={records[0]}", f"--job_dir={tmp_path / 'job'}", "--num_epochs=100000"]
    process = start(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    jobs.eventually(lambda: int(jobs.status(tmp_path / "job")["step"]) > 0, 60)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 75, err
    assert "stopping without a checkpoint (--checkpoint_steps, --checkpoint_dir): --resume begins" in err
    assert "goes on; the model begins anew, as it has no checkpoints" in out


def test_stopped_at_once(start, runner, tmp_path, records):
    """By a second signal, while the first waits for a training process that does not answer."""
    said = tmp_path / "said"
    with open(said, "w") as err:
        _, process = _begun(start, runner, tmp_path, records, "--num_epochs=100000", stderr=err)
    (trainer,) = jobs.processes(tmp_path, "child")
    os.kill(trainer, signal.SIGSTOP)
    process.send_signal(signal.SIGINT)
    jobs.eventually(lambda: "once more to stop at once" in said.read_text(), 60)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 75, said.read_text()
    assert "stopped" in out, out
    assert "stopped at once; the job can be resumed (--resume)" in said.read_text()
    assert jobs.none_left(tmp_path / "job")


def test_looked_at_while_it_runs(start, runner, tmp_path, records):
    port = jobs.free_ports(2)
    _, process = _begun(start, runner, tmp_path, records, "--num_epochs=100000", f"--metrics_port={port}")
    assert "headrace_checkpoint_pause_seconds" in jobs.prometheus(port)
    assert 'headrace_worker_leases{worker="worker-0"}' in jobs.prometheus(port + 1)
    saved = jobs.headrace("checkpoint", str(tmp_path / "job"))
    assert saved.returncode == 0 and str(tmp_path / "job" / "checkpoints") in saved.stdout, saved.stderr
    logs = jobs.headrace("logs", str(tmp_path / "job"))
    assert logs.returncode == 0 and "headrace-master" in logs.stdout, logs.stderr
    (agents,) = jobs.headrace("logs", str(tmp_path / "job"), "worker-0.agent").stdout.split("== ")[1:]
    assert agents.startswith("worker-0.agent.log"), "one of several of worker-0, by the name that is shown"
    nobodys = jobs.headrace("logs", str(tmp_path / "job"), "worker-7")
    assert nobodys.returncode == 1 and "worker-7" in nobodys.stderr and "only of master, worker-0" in nobodys.stderr
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 75, out
    assert jobs.none_left(tmp_path / "job")


def test_stopped_and_resumed(start, runner, tmp_path, records):
    arguments, command = _begun(start, runner, tmp_path, records, "--num_epochs=60")
    command.send_signal(signal.SIGINT)
    out, _ = command.communicate(timeout=60)
    assert command.returncode == 75, out
    assert "not reached" in out
    assert jobs.none_left(tmp_path / "job")
    # Fewer epochs than were asked for would be another job; the rest of these would take long.
    done = jobs.headrace(*arguments, "--resume", "--format=json")
    assert done.returncode == 0, done.stdout + done.stderr
    made = json.loads(done.stdout)
    np.testing.assert_array_equal(jobs.counts(made["model"]), 60 * KEPT)
    assert made["records"]["trained_before_rewind"] == 0, "nothing was trained past the stop's checkpoint"

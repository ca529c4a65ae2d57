"""Workers that join evaluation, prediction and programs of one's own by --master_addr."""

import contextlib
import json
import socket
import subprocess
import sys

import numpy as np
import pytest

import jobs
from headrace import programs
from headrace.elastic import job, progress
from headrace.elastic.flags import JobFlags
from headrace.errors import JobError

# Each process leaves what it was given.
PROGRAM = """
import os, sys
import tensorflow as tf
import headrace.data as data
for batch in data.batches(data.task_dataset().map(tf.strings.to_number).batch(50)):
    data.commit(batch)
    with open(f"{sys.argv[1]}.{os.getpid()}", "a") as seen:
        seen.write("".join(f"{int(x)}\\n" for x in batch.elements))
"""


@contextlib.contextmanager
def _job(tmp_path, verb, *arguments):
    """A job without workers of its own, by its command: (process, address of its master)."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    command = [sys.executable, "-m", "headrace", verb, f"--job_dir={tmp_path / 'job'}", "--num_workers=0"]
    command += ["--job_name=far", f"--master_port={port}", "--format=json", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        listens = (tmp_path / "job" / "master.address").exists
        jobs.eventually(lambda: process.poll() is not None or listens(), 90)
        yield process, f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def _join(address, verb, tmp_path, command=()):
    flags = JobFlags(verb=verb, master_addr=address, num_workers="2", job_dir=str(tmp_path / "here"))
    return job.run(flags, progress.Progress(quiet=True), command=command)


def _both(tmp_path, verb, arguments, command=()):
    """(summary of the job, of the one that joined)."""
    words = ["--", *command] if command else []
    with _job(tmp_path, verb, *arguments, *words) as (process, address):
        joined, code = _join(address, verb, tmp_path, command)
        assert code == 0 and joined["verdict"] == "done"
        made = json.loads(process.communicate(timeout=60)[0])
        assert process.returncode == 0
    assert made["records"]["trained"] == joined["records"]["trained"] == jobs.RECORDS
    assert joined["job_type"] == made["job_type"] and joined["job_name"] == "far" and joined["ledger"] == ""
    return made, joined


def test_evaluation(tmp_path, records):
    arguments = ["--model_def", jobs.write_module(tmp_path), "--minibatch_size=20", "--no_checkpoint"]
    made, joined = _both(tmp_path, "evaluate", [*arguments, f"--validation_data={','.join(records)}"])
    assert made["metrics"][0]["values"]["mean"] == pytest.approx(np.arange(jobs.RECORDS).mean())
    assert joined["metrics"] == made["metrics"]


def test_prediction(tmp_path, records):
    arguments = ["--model_def", jobs.write_module(tmp_path), "--minibatch_size=20", "--no_checkpoint"]
    arguments += [f"--output={tmp_path / 'out'}"]
    made, _ = _both(tmp_path, "predict", [*arguments, f"--prediction_data={','.join(records)}"])
    rows = [row for path in made["predictions"] for row in jobs.read_jsonl(path)]
    assert [row["record"] for row in rows] == 2 * list(range(jobs.RECORDS // 2))


def test_programs_of_ones_own(tmp_path, records):
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, str(tmp_path / "program.py"), str(tmp_path / "seen")]
    _both(tmp_path, "run", [f"--training_data={','.join(records)}", "--records_per_task=100"], command)
    seen = "".join(path.read_text() for path in tmp_path.glob("seen.*")).split()
    assert sorted(map(int, seen)) == list(range(jobs.RECORDS))


def test_workers_that_cannot_do_it(tmp_path, records):
    """The job goes on, and who joined it is told why its workers ended."""
    arguments = [f"--training_data={','.join(records)}", "--", "true"]
    with _job(tmp_path, "run", *arguments) as (process, address):
        with pytest.raises(JobError, match="goes on without this machine; .*there is no program 'no-such"):
            _join(address, "run", tmp_path, ["no-such-program"])
        assert process.poll() is None


def test_trainers_look_for_themselves_whose_export_it_is(tmp_path):
    """It may have become another one since the command looked."""
    flags = JobFlags(verb="train", model_def=jobs.write_module(tmp_path), minibatch_size=20)
    jobs.REAL_EXPORT(str(tmp_path / "export"), flags)
    described = {"version": 1, "name": "j", "type": "training-only", "model": "local"}
    described["files"] = [{"path": "a", "records": 10}]
    described["trainer"] = {"exported": str(tmp_path / "export"), "export_id": "of-another"}
    (tmp_path / "job.json").write_text(json.dumps(described))
    command = [programs.path("headrace-master"), "--job", str(tmp_path / "job.json"), "--journal"]
    command += [str(tmp_path / "ledger"), "--port_file", str(tmp_path / "port")]
    master = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        jobs.eventually((tmp_path / "port").exists)
        address = (tmp_path / "port").read_text().strip()
        worker = [programs.path("headrace-worker"), "--master", address, "--name", "w", "--max_restarts", "0"]
        worker += ["--log_dir", str(tmp_path), "--", programs.path("headrace-trainer")]
        done = subprocess.run(worker, capture_output=True, text=True, timeout=60)
    finally:
        master.kill()
        master.wait()
    assert done.returncode == 1
    assert "holds another exported job" in done.stderr and "was started with (of-another)" in done.stderr

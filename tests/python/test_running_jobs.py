"""`headrace status`, `ledger`, `stop`, `checkpoint`: of jobs that run, and of jobs that have ended."""

import json
import socket
import subprocess
import time

import pytest

import jobs
from headrace import programs


def _start_master(folder, *more):
    """A job's master, without workers, as `headrace train` starts it in the job's folder."""
    described = {"version": 1, "name": "alone", "type": "training-only", "model": "none"}
    described["files"] = [{"path": "a", "records": 10}]
    (folder / "job.json").write_text(json.dumps(described))
    paths = {"--job": "job.json", "--journal": "ledger.sqlite", "--port_file": "master.address"}
    paths["--status_file"] = "status.json"
    command = [programs.path("headrace-master"), *more]
    command += [part for flag, name in paths.items() for part in (flag, str(folder / name))]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    jobs.eventually((folder / "master.address").exists)
    return process


@pytest.fixture
def master(tmp_path):
    process = _start_master(tmp_path)
    yield process
    process.kill()
    process.wait()


def test_a_job_from_its_beginning_to_after_its_end(master, tmp_path):
    folder = str(tmp_path)
    running = jobs.headrace("ledger", folder)
    assert running.returncode == 0, running.stderr
    assert "verdict  running" in running.stdout and "0 done, 10 to do of 10" in running.stdout
    assert "alone (training-only): running" in jobs.headrace("status", folder).stdout
    assert jobs.headrace("stop", folder).stdout == "the job is stopping\n"
    assert master.wait(timeout=30) == 75

    ended = jobs.headrace("status", folder)
    assert ended.returncode == 0 and "alone (training-only): stopped" in ended.stdout
    assert json.loads(jobs.headrace("status", folder, "--format", "json").stdout)["verdict"] == "stopped"
    assert "10 to do of 10" in jobs.headrace("ledger", folder).stdout
    assert "10 to do of 10" in jobs.headrace("ledger", folder, "--all").stdout
    for command in ("stop", "checkpoint"):
        done = jobs.headrace(command, folder)
        assert done.returncode == 1 and "does not run: it has ended (stopped)" in done.stderr


def test_the_ledger_of_a_master_that_was_killed(master, tmp_path):
    master.kill()
    master.wait()
    done = jobs.headrace("ledger", str(tmp_path))
    assert done.returncode == 0 and "10 to do of 10" in done.stdout, done.stderr


def test_a_master_that_comes_late_is_found_soon(tmp_path):
    """As one that is started again: who waits for it tries twice a second, however long it has waited."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
    asks = [programs.path("headrace-ctl"), "--master", f"127.0.0.1:{port}", "--timeout_s", "60", "job"]
    waiting = subprocess.Popen(asks, stdout=subprocess.PIPE, text=True)
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(timeout=11)
    process = _start_master(tmp_path, "--port", port)
    try:
        begin = time.monotonic()
        assert waiting.communicate(timeout=30)[0].startswith("{")
        assert time.monotonic() - begin < 1.5
    finally:
        process.kill()
        process.wait()

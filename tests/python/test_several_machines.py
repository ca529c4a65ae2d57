"""Jobs on several machines: a master's workers, started by other commands (--master_addr)."""

import json
import pathlib
import subprocess
import sys

import pytest

from headrace import programs
from headrace.elastic import control, job, progress
from headrace.elastic.flags import JobFlags
from headrace.errors import JobError, UsageError

DEMO = pathlib.Path(__file__).parents[2] / "examples" / "elastic" / "demo.py"


def test_three_machines():
    """Network namespaces where they can be made, else loopback addresses: the demonstration says which."""
    done = subprocess.run(
        [sys.executable, str(DEMO), "--namespaces", "--records=12000", "--epochs=1"],
        capture_output=True,
        text=True,
        timeout=280,
    )
    said = done.stdout + done.stderr
    print(said)
    assert done.returncode == 0
    assert "-- machine two dies with what it holds; machine one joins, and two comes back" in said
    assert "-- exit codes: hub 0, one 0, two 0" in said
    assert "12000 trained" in said
    assert "--tls_cert" not in said, "no warning: the master has TLS"


# --- what does not fit ------------------------------------------------------------------------


@pytest.fixture
def master(tmp_path):
    """Starts masters: master(type, model, trainer) gives the address."""
    running = []

    def start(kind="training-only", model="shared", **trainer):
        described = {"version": 1, "name": "elsewhere", "type": kind, "model": model, "trainer": trainer}
        described["files"] = [{"path": "a", "records": 10}]
        (tmp_path / "job.json").write_text(json.dumps(described))
        command = [programs.path("headrace-master"), "--job", str(tmp_path / "job.json"), "--journal"]
        command += [str(tmp_path / "ledger"), "--port_file", str(tmp_path / "port")]
        running.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
        while not (tmp_path / "port").exists():
            assert running[-1].poll() is None
        return (tmp_path / "port").read_text().strip()

    yield start
    for process in running:
        process.terminate()
        process.wait()


def _join(address, tmp_path, verb="train", **changes):
    flags = JobFlags(verb=verb, master_addr=address, job_dir=str(tmp_path / "here"), **changes)
    return job.run(flags, progress.Progress(quiet=True))


def test_another_verb(master, tmp_path):
    address = master("evaluation-only", "none", exported="/x")
    with pytest.raises(UsageError, match="is evaluation-only: join it by `headrace evaluate --master_addr`"):
        _join(address, tmp_path)


def test_a_job_of_own_programs(master, tmp_path):
    with pytest.raises(UsageError, match="join it by `headrace run --master_addr`"):
        _join(master(model="none"), tmp_path)


def test_an_export_that_is_not_here(master, tmp_path):
    address = master(exported=str(tmp_path / "elsewhere"), export_id="abc")
    with pytest.raises(JobError, match="is not on this machine: there is no .*elsewhere; start the job with"):
        _join(address, tmp_path)


def test_an_export_of_the_same_name(master, tmp_path):
    extra = tmp_path / "export" / "assets.extra"
    extra.mkdir(parents=True)
    (extra / "headrace_job.json").write_text(json.dumps({"id": "123"}))
    address = master(exported=str(tmp_path / "export"), export_id="abc")
    with pytest.raises(JobError, match=r"is another exported job \(123\) than that of the master .* \(abc\)"):
        _join(address, tmp_path)


def test_nobody_there(tmp_path, monkeypatch):
    monkeypatch.setattr(control, "TIMEOUT_S", 1)
    with pytest.raises(JobError, match="127.0.0.1:1 cannot be reached within 1 s.*does it want TLS"):
        _join("127.0.0.1:1", tmp_path)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"model_def": "m.py"}, "--model_def belongs to the job"),
        ({"training_data": ["a"]}, "--training_data belongs to the job"),
        ({"num_ps": 1}, "--num_ps belongs to the job"),
        ({"num_workers": "0"}, "--num_workers"),
        ({"num_workers": "3", "metrics_port": 65533}, "--metrics_port 65533: .* here 3, must be in"),
        ({"metrics_port": -1}, "--metrics_port -1"),
        ({"tls_cert": "x"}, "--tls_cert and --tls_key belong together"),
        ({"tls_ca": "no-such-file"}, "--tls_ca: there is no file no-such-file"),
    ],
)
def test_flags_of_who_joins(changes, message):
    with pytest.raises(UsageError, match=message):
        JobFlags(verb="train", master_addr="h:1", **changes).check()


def test_addresses():
    with pytest.raises(UsageError, match="--master_addr: 'h' is not host:port"):
        JobFlags(verb="train", master_addr="h").check()
    given = {"verb": "train", "model_def": "m.py", "training_data": ["a"], "num_workers": "0"}
    with pytest.raises(UsageError, match="or 0 with --master_host"):
        JobFlags(**given).check()
    JobFlags(**given, master_host="10.0.0.1").check()
    JobFlags(**given, master_port=4000).check()
    with pytest.raises(UsageError, match="'0.0.0.0': give the address by which other machines find this one"):
        JobFlags(**given, master_host="0.0.0.0").check()
    with pytest.raises(UsageError, match="--tls_ca alone is for those who connect"):
        JobFlags(**given, master_port=4000, tls_ca=__file__).check()
    with pytest.raises(UsageError, match="train needs --model_def"):
        JobFlags(verb="train", training_data=["a"]).check()

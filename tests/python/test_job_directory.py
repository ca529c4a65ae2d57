"""A job's folder: what is refused before anything is changed in it."""

import json
import os
import socket
import types

import pytest

import jobs
from headrace.elastic import job, job_directory, job_file, local_run, parameter_servers, progress
from headrace.elastic.flags import JobFlags
from headrace.errors import JobError, UsageError


def _flags(tmp_path, **changes):
    values = {"verb": "train", "model_def": "m.py", "training_data": ["a"], "job_name": "j"}
    return JobFlags(**{**values, "job_dir": str(tmp_path / "job"), **changes})


@pytest.mark.parametrize("flag", ["output", "checkpoint_dir", "tensorboard_log_dir"])
def test_where_nothing_can_be_written(tmp_path, flag):
    (tmp_path / "file").touch()
    flags = _flags(tmp_path, **{flag: str(tmp_path / "file" / "below")})
    says = f"--{flag} .*below: nothing can be written in .*file: Not a directory"
    with pytest.raises(UsageError, match=says):
        job_directory.check(flags, flags.job_dir)
    with pytest.raises(UsageError, match="--output /proc/x: nothing can be written in /proc"):
        job_directory.check(_flags(tmp_path, output="/proc/x"), flags.job_dir)
    with pytest.raises(UsageError, match="--job_dir .*: nothing can be written in"):
        job_directory.check(_flags(tmp_path), str(tmp_path / "file" / "job"))
    assert os.listdir(tmp_path) == ["file"], "nothing is left behind"


def test_one_command_at_a_time(tmp_path):
    directory = str(tmp_path / "job")
    with job_directory.Lock(directory):
        with pytest.raises(UsageError, match="is run by another command"):
            with job_directory.Lock(directory):
                pass
    assert not os.path.exists(directory), "nothing came of it"
    with job_directory.Lock(directory):
        open(os.path.join(directory, "job.json"), "w").close()
    assert sorted(os.listdir(directory)) == [".lock", "job.json"]
    with job_directory.Lock(directory):
        pass


def test_a_job_that_runs_is_left_alone(tmp_path, monkeypatch):
    """Even while it is exported, when there is no journal yet."""
    runner = jobs.Runner(tmp_path, tmp_path, monkeypatch)
    records = jobs.write_records(tmp_path)
    exported = tmp_path / "job" / "export" / "of the other"
    with job_directory.Lock(str(tmp_path / "job")):
        exported.mkdir(parents=True)
        with pytest.raises(UsageError, match="is run by another command"):
            runner.run(training_data=records)
        assert exported.exists()


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"num_epochs": 7}, r"\(--num_epochs\): 'epochs' was 1, and is 7 now"),
        ({"validation_data": ["b"]}, r"\(--validation_data\): 'type' was \"training-only\""),
        ({"seed": 3}, r"\(--seed\): 'seed' was 0, and is 3 now"),
        ({"num_ps": 1}, r"\(--num_ps\): 'model' was \"local\""),
    ],
)
def test_another_job_does_not_go_on(tmp_path, changes, says):
    def described(**changes):
        flags = _flags(tmp_path, resume=True, **changes)
        servers = ["?"] * flags.num_ps
        return flags, job_file.describe(flags, str(tmp_path), [], [], "/x", "", servers)

    flags, before = described()
    job_file.write(before, str(tmp_path / "job.json"))
    job_directory.check_same(flags, str(tmp_path), before)
    freely, with_other_steps = described(checkpoint_steps=5, step_timeout_s=3, output="o")
    job_directory.check_same(freely, str(tmp_path), with_other_steps)
    with pytest.raises(UsageError, match=says):
        job_directory.check_same(*[described(**changes)[0], str(tmp_path), described(**changes)[1]])


def test_what_is_known_of_a_job_stays_where_its_master_cannot_start(tmp_path):
    (tmp_path / "status.json").write_text(json.dumps({"verdict": "done"}))
    (tmp_path / "job.json").write_text("{")
    servers = parameter_servers.ParameterServers(str(tmp_path), 0)
    with pytest.raises(JobError, match="job.json"):
        with local_run.LocalRun(str(tmp_path), (1, 1), ["true"], servers):
            pass
    assert json.loads((tmp_path / "status.json").read_text()) == {"verdict": "done"}


def test_a_port_in_use_is_found_before_the_export(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        paths = jobs.write_records(tmp_path, 10)
        flags = _flags(tmp_path, training_data=paths, master_port=port)
        with pytest.raises(JobError, match=f"cannot listen at 127.0.0.1:{port} .*Address already in use"):
            job.run(flags, progress.Progress(quiet=True))
    assert not os.path.exists(flags.job_dir)


def test_what_a_checkpoint_gave_is_named(monkeypatch, tmp_path):
    def said(count):
        result = {"loaded": [f"dense_{i}/kernel" for i in range(count)], "warnings": [], "not_synchronous": ""}
        monkeypatch.setattr(job.export_process, "export", lambda *_: result)
        lines = []
        flags = _flags(tmp_path, checkpoint_dir_for_init="c")
        lock = types.SimpleNamespace(says=lambda does: None)
        job._export(flags, str(tmp_path), lock, types.SimpleNamespace(say=lines.append))
        return lines[1:]

    assert said(0) == []
    assert said(1) == ["from c: 1 variable", "  dense_0/kernel"]
    assert said(20)[0] == "from c: 20 variables" and said(20)[-1] == "  dense_19/kernel"
    more = f"  and 3 more: {tmp_path / 'export.json'} names all"
    assert said(23)[-2:] == ["  dense_19/kernel", more]


def test_a_model_that_nobody_trained_is_spoken_of(tmp_path, monkeypatch):
    def no_export(*_):
        raise JobError("far enough")

    monkeypatch.setattr(job, "_export", no_export)

    def said(**changes):
        lines = []
        flags = _flags(tmp_path, verb="evaluate", training_data=[], validation_data=records, **changes)
        with pytest.raises(JobError, match="far enough"):
            job.run(flags, types.SimpleNamespace(say=lines.append))
        assert lines.pop(-1 - flags.no_checkpoint).startswith("job j (evaluation-only) in ")
        return lines

    records = jobs.write_records(tmp_path, 10)
    index, *rest = said(no_checkpoint=True)
    assert index == f"made an index of where records begin: {records[0]}.hridx, and 1 more"
    assert rest == ["--no_checkpoint: the model is taken as custom_model() makes it"]
    assert said(checkpoint_dir_for_init="elsewhere") == []
    assert not os.path.exists(tmp_path / "job"), "a job that did not begin leaves no folder"

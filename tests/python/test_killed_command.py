"""What is said of a job whose command was killed, or has no master yet, and what ends what is left of it."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest

import jobs
from headrace.elastic import export_process, job_directory, processes, standing
from headrace.elastic.standing import Kind

# It hears no SIGTERM, nor does what it starts, and goes on once it is told to.
PROGRAM = """
    import os, signal, subprocess, sys, time
    import headrace.data as data

    folder = sys.argv[1]
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if not os.path.exists(f"{folder}/go"):
        subprocess.Popen(["sleep", "1000"], start_new_session=True)
    for batch in data.batches(data.task_dataset().batch(20)):
        if not os.path.exists(f"{folder}/go"):
            open(f"{folder}/began", "w").close()
            time.sleep(1000)
        data.commit(batch)
"""


def _command(start, *arguments, **more):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return start([sys.executable, "-m", "headrace", *arguments], **pipes, **more)


def _kill(command, *others):
    """A command, and processes that would be started again, or would end what is left, if they lived on."""
    command.send_signal(signal.SIGSTOP)
    for pid in others:
        os.kill(pid, signal.SIGKILL)
    command.kill()
    command.communicate()


def test_a_command_that_was_killed(start, tmp_path):
    (tmp_path / "program.py").write_text(textwrap.dedent(PROGRAM))
    folder = str(tmp_path / "job")
    arguments = ["run", "--job_name=killed", f"--job_dir={folder}", *_data(tmp_path)]
    arguments += ["--", sys.executable, str(tmp_path / "program.py"), str(tmp_path)]
    command = _command(start, *arguments)
    jobs.eventually((tmp_path / "began").exists, 60)
    assert "killed (training-only): running" in jobs.headrace("status", folder).stdout
    (master,) = jobs.processes(folder, "headrace-master")
    _kill(command, *jobs.processes(folder, "headrace-worker"))
    jobs.eventually(lambda: jobs.state(master) in ("", "Z"))

    said = jobs.headrace("status", folder)
    assert said.returncode == 0, said.stderr
    assert "killed (training-only): interrupted" in said.stdout
    assert f"why      the command that ran it (process {command.pid}) was killed" in said.stdout
    (left,) = [line for line in said.stdout.splitlines() if line.startswith("left")]
    assert "sleep" in left and "headrace" not in left.split(":")[0]
    assert "--resume --job_name killed goes on" in said.stdout
    assert json.loads(jobs.headrace("status", folder, "--format=json").stdout)["verdict"] == "interrupted"

    stopped = jobs.headrace("stop", folder)
    assert stopped.returncode == 0, stopped.stderr
    assert "was killed" in stopped.stdout and "ended what was left of it: " in stopped.stdout
    assert "sleep" in stopped.stdout and jobs.none_left(folder)
    again = jobs.headrace("stop", folder)
    assert again.returncode == 1 and "does not run: the command that ran it" in again.stderr
    assert "left" not in jobs.headrace("status", folder).stdout

    (tmp_path / "go").touch()
    done = jobs.headrace(*arguments[:1], "--resume", *arguments[1:])
    assert done.returncode == 0, done.stderr
    assert "killed (training-only): done" in jobs.headrace("status", folder).stdout


def _data(tmp_path):
    return [f"--training_data={path}" for path in jobs.write_records(tmp_path)] + ["--records_per_task=100"]


def test_what_a_killed_command_left_ends_before_the_job_goes_on(start, tmp_path):
    (tmp_path / "program.py").write_text(textwrap.dedent(PROGRAM))
    folder = str(tmp_path / "job")
    arguments = ["--job_name=killed", f"--job_dir={folder}", *_data(tmp_path)]
    arguments += ["--", sys.executable, str(tmp_path / "program.py"), str(tmp_path)]
    command = _command(start, "run", *arguments)
    jobs.eventually((tmp_path / "began").exists, 60)
    _kill(command, *jobs.processes(folder, "headrace-worker"))
    jobs.eventually(lambda: len(processes.marked(job_directory.mark(folder))) == 1)  # the master leaves
    (left,) = processes.marked(job_directory.mark(folder))
    (tmp_path / "go").touch()
    done = jobs.headrace("run", "--resume", *arguments)
    assert done.returncode == 0, done.stderr
    assert f"ends what a command that was killed has left of this job: sleep {left}" in done.stderr
    assert jobs.state(left) in ("", "Z")


def test_all_were_killed(start, tmp_path):
    """As when the machine goes down: there is a journal, and nobody's last word."""
    (tmp_path / "program.py").write_text(textwrap.dedent(PROGRAM))
    folder = tmp_path / "job"
    arguments = ["--job_name=killed", f"--job_dir={folder}", *_data(tmp_path)]
    command = _command(start, "run", *arguments, "--", sys.executable, str(tmp_path / "program.py"), str(tmp_path))
    jobs.eventually((tmp_path / "began").exists, 60)
    _kill(command, *jobs.processes(folder, "headrace-master"), *jobs.processes(folder, "headrace-worker"))
    standing.of(str(folder)).end_left()
    assert jobs.none_left(folder)
    said = jobs.headrace("status", str(folder)).stdout
    assert said.startswith("job      killed: interrupted\nrecords  0 done, 2000 to do of 2000")
    assert "was killed, or the machine went down" in said and "left" not in said
    told = json.loads(jobs.headrace("status", str(folder), "--format=json").stdout)
    assert told["verdict"] == "interrupted" and told["totals"]["pending"] == "2000"
    assert jobs.headrace("stop", str(folder)).returncode == 1


def test_while_it_is_exported(runner, records, monkeypatch):
    folder, said = str(runner.folder / "job"), []

    def exporting(*arguments):
        said.append(jobs.headrace("status", folder))
        said.append(jobs.headrace("status", folder, "--format=json"))
        said.append(jobs.headrace("checkpoint", folder))
        return real(*arguments)

    real = export_process.export
    monkeypatch.setattr(export_process, "export", exporting)
    _, code = runner.run(training_data=records)
    assert code == 0, runner.logs()
    text, object_, checkpoint = said
    assert text.returncode == 0 and text.stdout.startswith("job      job: starting\n"), text.stderr
    assert f"(process {os.getpid()}): exporting {runner.module}, since " in text.stdout
    told = json.loads(object_.stdout)
    assert told["verdict"] == "starting" and told["waits_for"] == f"exporting {runner.module}"
    assert checkpoint.returncode == 1 and "has no master yet: it is exporting" in checkpoint.stderr
    assert "job (training-only): done" in jobs.headrace("status", folder).stdout


def _exporting_for_long(start, tmp_path, **more):
    """(its command, its job's folder), once it exports a module whose import takes a while. more: of Popen()."""
    (tmp_path / "slow.py").write_text(f"import time\nopen({str(tmp_path / 'began')!r}, 'w')\ntime.sleep(1000)\n")
    folder = str(tmp_path / "job")
    data = jobs.write_records(tmp_path)[0]
    arguments = ["train", f"--model_def={tmp_path / 'slow.py'}", f"--training_data={data}", "--minibatch_size=20"]
    command = _command(start, *arguments, f"--job_dir={folder}", "--job_name=slow", **more)
    jobs.eventually((tmp_path / "began").exists, 60)
    return command, folder


def _in_the_background():
    """What shells do with a command of a script that ends in &."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@pytest.mark.parametrize("started", [None, _in_the_background])
def test_stopped_while_it_is_exported(start, tmp_path, started):
    command, folder = _exporting_for_long(start, tmp_path, preexec_fn=started)
    stopped = jobs.headrace("stop", folder)
    assert stopped.returncode == 0 and f"its command (process {command.pid}) is told to end" in stopped.stdout
    _, err = command.communicate(timeout=60)
    assert command.returncode == 75 and "stopped before the job began" in err
    assert jobs.none_left(tmp_path)


def test_killed_while_it_was_exported(start, tmp_path):
    command, folder = _exporting_for_long(start, tmp_path)
    _kill(command)
    jobs.eventually(lambda: jobs.none_left(tmp_path / "slow.py"))  # the export goes with it
    said = jobs.headrace("status", folder)
    assert said.returncode == 0 and said.stdout.startswith("job      slow: not begun")
    assert "was killed" in said.stdout and "next     the same command begins it again" in said.stdout
    assert json.loads(jobs.headrace("status", folder, "--format=json").stdout)["verdict"] == "not begun"
    assert jobs.headrace("stop", folder).returncode == 1
    assert "has no logs yet" in jobs.headrace("logs", folder).stderr


def test_who_holds_a_job(tmp_path, monkeypatch):
    folder = str(tmp_path / "job")
    assert job_directory.holder(folder) is None
    with job_directory.Lock(folder) as lock:
        assert os.environ["HEADRACE_JOB"] == os.path.realpath(folder)
        holder = job_directory.holder(folder)
        assert holder.lives and (holder.pid, holder.does, holder.ended) == (os.getpid(), "starting", None)
        assert standing.of(folder).kind is Kind.STARTING
        lock.says("")
        assert standing.of(folder).kind is Kind.ASK
        (tmp_path / "job" / "ledger.sqlite").touch()
    assert "HEADRACE_JOB" not in os.environ
    holder = job_directory.holder(folder)
    assert not holder.lives and holder.ended == "" and not holder.was_killed
    stands = standing.of(folder)
    assert stands.kind is Kind.INTERRUPTED and stands.why() == "its master ended before the job was over"

    try:
        with job_directory.Lock(folder):
            raise RuntimeError("no luck")
    except RuntimeError:
        pass
    assert standing.of(folder).why() == "its command ended: no luck"

    # Of another machine the lock may not be seen: its master is asked.
    lock_file = tmp_path / "job" / ".lock"
    said = json.loads(lock_file.read_text())
    del said["ended"]
    lock_file.write_text(json.dumps(said))
    assert standing.of(folder).kind is Kind.INTERRUPTED and job_directory.holder(folder).was_killed
    lock_file.write_text(json.dumps(said | {"host": "elsewhere"}))
    assert standing.of(folder).kind is Kind.ASK
    lock_file.write_text("{")
    assert standing.of(folder).kind is Kind.ASK

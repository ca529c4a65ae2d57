"""Whole jobs with the model on parameter servers: every record accounted for, whatever dies."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent import futures

import numpy as np
import pytest
import tensorflow as tf

import jobs
from headrace.elastic import model_module, parameter_servers, sparse, summary
from headrace.errors import HeadraceError, JobError
from jobs import KEPT, RECORDS

# A witness that counts by gradients, so that a gradient that is dropped is not counted: each record that is
# trained adds 1 to its row, once the optimizer has applied it. The table is large enough to be cut.
COUNTED = """
    import keras
    import tensorflow as tf

    class Counted(tf.Module):
        def __init__(self):
            super().__init__()
            self.table = tf.Variable(tf.zeros([ROWS, 2]))

        def __call__(self, features, training):
            return {"count": tf.gather(self.table, features["number"] * STRIDE)[:, 0]}

    def custom_model():
        return Counted()

    def loss(labels, predictions):
        return -tf.reduce_sum(predictions["count"])

    def optimizer():
        return keras.optimizers.SGD(1.0)
""" + jobs.WITNESS[jobs.WITNESS.index("\n    def dataset_fn") :]
STRIDE = sparse.LARGE_ROWS // RECORDS  # so that every server has some of them
COUNTED = COUNTED.replace("ROWS", str(sparse.LARGE_ROWS)).replace("STRIDE", str(STRIDE))


@pytest.fixture(scope="module")
def shared_counted(tmp_path_factory):
    return tmp_path_factory.mktemp("exports-counted")


@pytest.fixture
def counted(shared_counted, tmp_path, monkeypatch):
    return jobs.Runner(shared_counted, tmp_path, monkeypatch, COUNTED)


TWO = {"num_workers": "2", "num_ps": 2}


def _check_ledger(runner, made, epochs):
    assert made["verdict"] == "done", runner.logs()
    assert made["records"]["records"] == epochs * RECORDS
    assert made["records"]["trained"] == epochs * KEPT.sum()
    assert made["records"]["filtered"] == epochs * (RECORDS - KEPT.sum())
    assert made["records"]["pending"] == 0


def _check_exact(runner, made, epochs):
    """Witness, ledger and files agree."""
    _check_ledger(runner, made, epochs)
    np.testing.assert_array_equal(jobs.counts(made["model"]), epochs * KEPT, err_msg=runner.logs())
    assert made["possibly_repeated"] == []


def _check_named(runner, made, epochs, files):
    """Nothing is missing, and what was trained more than once is named for it."""
    _check_ledger(runner, made, epochs)
    most = jobs.possibly_repeated(made, files, RECORDS // 2)
    seen = jobs.counts(made["model"])
    wrong = np.flatnonzero((seen < epochs * KEPT) | ((seen > epochs * KEPT) & (most == 0)))
    assert wrong.size == 0, (wrong, seen[wrong], runner.logs())


def test_two_workers_train_one_model(runner, records):
    made, code = runner.run(training_data=records, num_epochs=3, stage_capacity=8, **TWO)
    assert code == 0, runner.logs()
    _check_exact(runner, made, 3)
    assert made["trained_before_rewind"] == []
    for program in ("headrace-master", "headrace-worker", "headrace-ps"):
        assert not jobs.processes(runner.folder, program), "no process is left"


def test_a_table_that_is_cut_over_servers(counted, records):
    made, code = counted.run(training_data=records, num_epochs=2, num_workers="2", num_ps=3)
    assert code == 0, counted.logs()
    _check_exact(counted, made, 2)


def test_one_worker_trains_as_plain_keras_does(tmp_path, monkeypatch):
    random = np.random.default_rng(7)
    rows = random.normal(size=(640, 4)).round(3).astype(np.float32)
    labels = (rows.sum(axis=1) > 0).astype(int) + (rows[:, 0] > 0)
    path = tmp_path / "data.txt"
    path.write_text(
        "".join(",".join(map(str, row)) + f",{label}\n" for row, label in zip(rows, labels, strict=True))
    )
    runner = jobs.Runner(tmp_path, tmp_path, monkeypatch, jobs.CLASSIFIER)
    made, code = runner.run(training_data=[str(path)], shuffle=False, minibatch_size=32, num_ps=2)
    assert code == 0 and made["steps"] == 20, runner.logs()
    module = model_module.load(runner.module)
    model, optimizer = module.custom_model(), module.optimizer()
    for begin in range(0, 640, 32):
        with tf.GradientTape() as tape:
            predictions = model(rows[begin : begin + 32], training=True)
            loss = tf.reduce_mean(module.loss(labels[begin : begin + 32], predictions))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    assert made["loss"] == pytest.approx(float(loss), rel=1e-3)
    served = tf.saved_model.load(made["model"]).signatures["serving_default"]
    np.testing.assert_allclose(
        served(features=rows)["output_0"], model(rows, training=False), rtol=1e-3, atol=1e-4
    )


def test_evaluation_while_two_workers_train(runner, records):
    made, code = runner.run(
        training_data=records, validation_data=records[:1], evaluation_steps=30, num_epochs=2, **TWO
    )
    assert code == 0, runner.logs()
    assert len(made["metrics"]) >= 2
    for entry in made["metrics"]:
        assert entry["values"]["mean"] == pytest.approx(np.arange(RECORDS // 2).mean())
    _check_exact(runner, made, 2)


# Says how often training has changed the model. Of numbers that are all the same the mean of the squares is
# the square of the mean.
VERSIONED = jobs.WITNESS.replace(
    "self.weight = tf.Variable(0.0)",
    "self.weight = tf.Variable(0.0)\n            self.steps = tf.Variable(0.0, trainable=False)",
).replace(
    "if training:\n", "if training:\n                self.steps.assign_add(1.0)\n"
).replace(
    'return {"score": score,', 'return {"steps": score * 0.0 + self.steps, "score": score,'
).replace(
    '{"mean": lambda labels, predictions: labels}',
    '{"version": lambda labels, predictions: predictions["steps"],'
    ' "square": lambda labels, predictions: tf.square(predictions["steps"])}',
)


def test_an_evaluation_on_the_way_is_of_one_model(tmp_path, monkeypatch, records):
    """Two trainers share it, and none trains meanwhile."""
    runner = jobs.Runner(tmp_path, tmp_path, monkeypatch, VERSIONED)
    made, code = runner.run(
        training_data=records,
        validation_data=records,
        evaluation_steps=40,
        num_epochs=3,
        records_per_task=20,
        **TWO,
    )
    assert code == 0, runner.logs()
    assert len(made["metrics"]) >= 4
    for entry in made["metrics"]:
        assert entry["values"]["version"] == entry["step"], entry
        assert entry["values"]["square"] == entry["step"] ** 2, entry
    _check_exact(runner, made, 3)


# --- synchronous ------------------------------------------------------------------------------


def test_synchronous_with_one_gradient_a_step(counted, records):
    """Gradients of the slower worker are dropped again and again; their records are trained all the same."""
    made, code = counted.run(training_data=records, num_epochs=2, use_async=False, **TWO)
    assert code == 0, counted.logs()
    _check_exact(counted, made, 2)


def test_synchronous_with_two_gradients_a_step(counted, records):
    made, code = counted.run(training_data=records, use_async=False, grads_to_wait=2, **TWO)
    assert code == 0, counted.logs()
    _check_ledger(counted, made, 1)
    # A step applies the mean of two gradients; of one, when only one worker is left.
    seen = jobs.counts(made["model"])
    assert set(np.unique(seen[KEPT == 1])) <= {0.5, 1.0} and np.all(seen[KEPT == 0] == 0)
    assert np.mean(seen[KEPT == 1]) < 1


def test_synchronous_training_of_a_model_without_tables(tmp_path, monkeypatch):
    runner = jobs.Runner(tmp_path, tmp_path, monkeypatch, jobs.CLASSIFIER)
    values = np.random.default_rng(1).normal(size=(400, 4)).round(3)
    path = tmp_path / "rows.csv"
    path.write_text("".join(",".join(map(str, row)) + f",{int(row.argmax() % 3)}\n" for row in values))
    made, code = runner.run(training_data=[str(path)], use_async=False, grads_to_wait=2, **TWO)
    assert code == 0 and made["records"]["trained"] == 400, runner.logs()
    assert made["rewinds"] == [] and made["possibly_repeated"] == []


def test_synchronous_gradients_of_the_same_rows(tmp_path, records, monkeypatch):
    """Rows that both gradients of a step have are summed, and not averaged once more."""
    text = COUNTED.replace('["number"] * ', '["number"] % 8 * ')
    (tmp_path / "exports").mkdir()
    runner = jobs.Runner(tmp_path / "exports", tmp_path, monkeypatch, text)
    made, code = runner.run(training_data=records, use_async=False, grads_to_wait=2, **TWO)
    assert code == 0, runner.logs()
    _check_ledger(runner, made, 1)
    seen = jobs.counts(made["model"])
    rows = [seen[row] for row in range(8)]
    assert all(np.all(seen[row::8] == seen[row]) for row in range(8))
    # A step of two gradients counts half of their records; of the last batches one a worker is not full.
    batches = -(-KEPT.sum() // 20)
    halved = 20 * np.array([batches - made["steps"], batches + 1 - made["steps"]])
    assert KEPT.sum() - halved[1] - 1 < sum(rows) < KEPT.sum() - halved[0] + 20, (rows, made["steps"])


@pytest.mark.parametrize("waits_for", [1, 2])
def test_a_bad_record_among_synchronous_steps(counted, records, tmp_path, waits_for):
    """It alone is left out, and nobody waits for the gradient of its batch."""
    path = tmp_path / "bad.txt"
    path.write_text("".join("bad\n" if i == 801 else f"{i}\n" for i in range(RECORDS)))
    made, code = counted.run(
        training_data=[str(path)], use_async=False, grads_to_wait=waits_for, max_quarantined=1, **TWO
    )
    assert code == 3, counted.logs()
    assert [entry["record"] for entry in made["quarantined"]] == [801]
    kept = np.where(np.arange(RECORDS) == 801, 0, KEPT)
    assert made["records"]["trained"] == kept.sum() and made["records"]["pending"] == 0
    seen = jobs.counts(made["model"])
    assert np.all(seen[kept == 0] == 0) and np.all(seen[kept == 1] >= 1 / waits_for)
    if waits_for == 1:
        np.testing.assert_array_equal(seen, kept)


def test_synchronous_when_a_worker_dies(counted, records):
    """Nobody waits for its gradients; a step applies them as a whole or not at all."""
    with jobs.Killer(counted.folder / "job", "child", 2, 5, longest_s=3) as killer:
        made, code = counted.run(
            training_data=records, num_epochs=6, use_async=False, grads_to_wait=2, lease_s=3, **TWO
        )
    assert code == 0, counted.logs()
    assert killer.killed > 0
    _check_ledger(counted, made, 6)
    seen = jobs.counts(made["model"])
    # Of a step of two gradients each counts half.
    assert np.all(seen[KEPT == 1] >= 3) and np.all(seen[KEPT == 0] == 0), seen


def test_synchronous_when_a_worker_hangs(counted, records):
    """It is killed; who waits for its gradients is not."""
    made, code = counted.run(
        training_data=records,
        num_epochs=2,
        use_async=False,
        grads_to_wait=2,
        die_at="hang:read:20",
        step_timeout_s=4,
        **TWO,
    )
    assert code == 0, counted.logs()
    _check_ledger(counted, made, 2)
    assert counted.logs().count("kills the training process: no call for 4 s while it held") == 1, counted.logs()


def test_models_that_write_by_themselves_are_not_synchronous(runner, records):
    with pytest.raises(HeadraceError, match="synchronous training .* is not possible: the model itself"):
        runner.run(training_data=records, use_async=False, **TWO)


# --- what dies --------------------------------------------------------------------------------


STAGED = {"stage_capacity": 8, "stage_threads": 2}
# Of each trainer before it has got anything done, and of the last when it is told to save.
EARLY = ["leased:2", "read:2", "staged:1", "stepping:1", "applied:1", "saving:1"]


# Of 400 steps one of the first two processes gets its 20 or 33, but not which: both have the point.
@pytest.mark.parametrize(
    "point, exact",
    [
        ("read:33", False),
        ("stepping:20", False),
        ("applied:20", False),
        ("stepping:20", True),
        ("applied:20", True),
    ],
)
def test_a_worker_killed_at_a_point(runner, records, point, exact):
    wanted = {"training_data": records, "num_epochs": 4, "checkpoint_steps": 40, **STAGED, **TWO}
    made, code = runner.run(die_at=[point] * 2, exact=exact, **wanted)
    assert code == 0, runner.logs()
    assert runner.killed() > 0
    _check_what_is_promised(runner, made, 4, records, exact)


# Two workers that go back with each other would not meet all points.
@pytest.mark.parametrize("exact, workers", [(False, "2"), (True, "1")])
def test_workers_killed_again_and_again(runner, records, exact, workers):
    points = EARLY if exact else [*EARLY, "saving:1", "saving:1"]  # one of those that are there saves
    wanted = {"training_data": records, "num_epochs": 4, "checkpoint_steps": 40, "num_ps": 2, **STAGED}
    made, code = runner.run(die_at=points, exact=exact, num_workers=workers, **wanted)
    assert code == 0, runner.logs()
    assert runner.killed() >= len(EARLY), runner.logs()
    _check_what_is_promised(runner, made, 4, records, exact)


def _check_what_is_promised(runner, made, epochs, files, exact):
    if exact:
        return _check_exact(runner, made, epochs)
    _check_named(runner, made, epochs, files)
    assert made["trained_before_rewind"] == [], "the model outlived them"


@pytest.mark.parametrize("point", ["saved:1"])
def test_exact_goes_back_instead(runner, records, point):
    made, code = runner.run(
        training_data=records, num_epochs=4, die_at=point, exact=True, checkpoint_steps=15, **TWO
    )
    assert code == 0, runner.logs()
    assert runner.killed() == 1
    _check_exact(runner, made, 4)


# Agents too: what they start then ends with them.
@pytest.mark.parametrize("program, exact", [("child", False), ("child", True), ("headrace-worker", False)])
def test_workers_killed_at_random(runner, records, program, exact):
    seed = int.from_bytes(os.urandom(4), "little")
    print("seed", seed)
    with jobs.Killer(runner.folder / "job", program, 3, seed, longest_s=4) as killer:
        made, code = runner.run(
            training_data=records, num_epochs=12, checkpoint_steps=40, lease_s=2, exact=exact, **TWO
        )
    assert code == 0, (seed, runner.logs())
    assert killer.killed > 0
    if exact:
        _check_exact(runner, made, 12)
    else:
        _check_named(runner, made, 12, records)


def test_a_server_killed(counted, records):
    """All go back to the last checkpoint: nothing is trained twice in the model that comes out.

    The model is one with a part on every server: a server that holds nothing is not missed.
    """
    job_dir = counted.folder / "job"

    def kill():
        jobs.eventually(lambda: jobs.has_checkpoint(job_dir / "checkpoints"), 120)
        threading.Event().wait(0.5)  # some steps beyond it
        os.kill(jobs.processes(job_dir, "headrace-ps")[0], signal.SIGKILL)

    with futures.ThreadPoolExecutor(1) as pool:
        killing = pool.submit(kill)
        made, code = counted.run(training_data=records, num_epochs=12, checkpoint_steps=300, **TWO)
        killing.result()
    assert code == 0, counted.logs()
    _check_exact(counted, made, 12)
    assert made["records"]["trained_before_rewind"] > 0
    # The trainers end, are started again and load the model: seconds.
    (rewind,) = made["rewinds"]
    assert rewind["step"] >= 300 and 0.2 < rewind["pause_s"] < 120, made["rewinds"]
    said = f"the model was lost, and went back to step {rewind['step']}: nothing was trained for"
    assert f"{said} {rewind['pause_s']:.1f} s" in counted.logs()
    lines = []
    summary.print_text(made, lines.append)
    assert f"{said} {rewind['pause_s']:.1f} s" in lines
    last = json.loads((job_dir / "status.json").read_text())
    assert last["servers"] == [] and last["steps_per_s"] == 0, "nothing of a job that has ended runs"


def test_a_worker_that_sleeps_past_its_lease(runner, records):
    """Its late gradients are fenced off, its late reports refused; the ledger stays true."""
    job_dir = runner.folder / "job"
    port = jobs.free_ports(3)  # the master's, and both agents'

    def figure(name):
        try:
            lines = jobs.prometheus(port).splitlines()
        except OSError:
            return 0  # not there yet
        return next((float(line.split()[1]) for line in lines if line.startswith(name + " ")), 0)

    def steps_more(count):
        at = figure("headrace_step")
        jobs.eventually(lambda: figure("headrace_step") >= at + count, 60)

    def pause():
        training = 'headrace_workers{state="training"}'
        jobs.eventually(lambda: figure(training) == 2, 120)
        agent = jobs.processes(job_dir, "headrace-worker")[0]
        (trainer,) = jobs.children(agent)
        os.kill(agent, signal.SIGSTOP)
        steps_more(10)  # of which some are this trainer's, who goes on and is not heard
        os.kill(trainer, signal.SIGSTOP)
        assert figure("headrace_workers_fenced_total") == figure("headrace_reports_refused_total") == 0
        jobs.eventually(lambda: "fenced off at the parameter servers" in runner.logs())
        assert figure("headrace_workers_fenced_total") == 1
        os.kill(trainer, signal.SIGCONT)
        jobs.eventually(lambda: "this trainer may not update the model any more" in runner.logs())
        joined = runner.logs().count(" joined as worker ")
        os.kill(agent, signal.SIGCONT)
        # Its report is refused; or, where that took so long that it was removed, it has to join again.
        jobs.eventually(
            lambda: figure("headrace_reports_refused_total") > 0
            or runner.logs().count(" joined as worker ") > joined,
            60,
        )

    with futures.ThreadPoolExecutor(1) as pool:
        pausing = pool.submit(pause)
        made, code = runner.run(
            training_data=records, num_epochs=80, records_per_task=1000, lease_s=2, metrics_port=port, **TWO
        )
        pausing.result()
    assert code == 0, runner.logs()
    _check_named(runner, made, 80, records)


# --- stop, resume, servers of one's own -------------------------------------------------------


def test_resumed_with_other_workers(start, runner, tmp_path, records):
    arguments = ["train", "--model_def", runner.module, "--minibatch_size=20", "--num_epochs=30"]
    arguments += [f"--training_data={path}" for path in records]
    arguments += [f"--job_dir={tmp_path / 'job'}", "--checkpoint_steps=100", "--job_name=job", "--num_ps=2"]
    command = [sys.executable, "-m", "headrace", *arguments]
    begun = start([*command, "--num_workers=2"], stdout=subprocess.PIPE)
    jobs.eventually(lambda: jobs.has_checkpoint(tmp_path / "job" / "checkpoints"), 120)
    begun.send_signal(signal.SIGINT)
    out, _ = begun.communicate(timeout=60)
    assert begun.returncode == 75, out
    assert jobs.none_left(tmp_path / "job")
    done = subprocess.run(
        [*command, "--num_workers=1:3", "--resume", "--format=json"],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    made = json.loads(done.stdout)
    np.testing.assert_array_equal(jobs.counts(made["model"]), 30 * KEPT)
    assert made["records"]["trained_before_rewind"] == 0, "nothing was trained past the stop's checkpoint"
    assert made["rewinds"] == [], "and nothing was lost"


def test_servers_that_apply_no_gradients(counted, tmp_path, records):
    """Refused at once, not waited for; so are those that apply them otherwise than the job wants."""
    wanted = {"training_data": records, "num_workers": "2", "use_async": False, "grads_to_wait": 2}
    with parameter_servers.ParameterServers(str(tmp_path), 1) as servers:
        began = time.monotonic()
        with pytest.raises(JobError, match="--ps_addrs: .*127.0.0.1:.*, applies no gradients: .*--exported"):
            counted.run(ps_addrs=servers.addresses, **wanted)
        assert time.monotonic() - began < 60, "of which most is the export"
    exported = str(tmp_path / "job" / "export")
    with parameter_servers.ParameterServers(str(tmp_path), 2, exported=exported) as servers:
        with pytest.raises(JobError, match="takes 1 gradients to a step: .*--grads_to_wait 2"):
            counted.run(ps_addrs=servers.addresses, job_dir=str(tmp_path / "other"), **wanted)
        wanted["grads_to_wait"] = 1
        made, code = counted.run(ps_addrs=servers.addresses, job_dir=str(tmp_path / "third"), **wanted)
        assert code == 0, counted.logs()
        _check_exact(counted, made, 1)


def test_servers_that_run_already(runner, tmp_path, records):
    with parameter_servers.ParameterServers(str(tmp_path), 2) as servers:
        made, code = runner.run(training_data=records, num_workers="2", ps_addrs=servers.addresses)
        assert code == 0, runner.logs()
        _check_exact(runner, made, 1)
        assert not (tmp_path / "job" / "logs" / "ps-0.log").exists()
        # They still hold the model of that job, which is not the next one's.
        made, code = runner.run(
            training_data=records, ps_addrs=servers.addresses, job_dir=str(tmp_path / "other"), num_workers="2"
        )
        assert code == 0, runner.logs()
        _check_exact(runner, made, 1)

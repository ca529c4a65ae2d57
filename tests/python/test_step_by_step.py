"""A job trains as plain Keras does, step by step: every loss, and what it evaluates to on the way."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

import jobs
from headrace.elastic import model_module

RECORDS, BATCH, EPOCHS = 640, 32, 2
STEPS = EPOCHS * RECORDS // BATCH

# jobs.CLASSIFIER without its filter, so that batches are those of plain Keras. Each loss is written down by an
# op of the step itself.
MODULE = jobs.CLASSIFIER.replace(".filter(lambda features, label: label < 3)", "")
MODULE = MODULE.replace("Adam(0.05)", "Adam(0.01)")
WRITTEN = MODULE.replace("def loss(", "def record_losses(") + """
    def loss(labels, predictions):
        losses = record_losses(labels, predictions)
        text = tf.strings.as_string(tf.reduce_mean(losses), precision=9)
        tf.print(text, output_stream="file://LOSSES")
        return losses
"""
EVALUATED = MODULE + """
    def eval_metrics_fn():
        return {
            "accuracy": keras.metrics.SparseCategoricalAccuracy(),
            "second": keras.metrics.SparseTopKCategoricalAccuracy(k=2),
        }
"""


@pytest.fixture
def data(tmp_path):
    """(path, features, labels) of records that can be learned in part."""
    random = np.random.default_rng(7)
    rows = random.normal(size=(RECORDS, 4)).round(3).astype(np.float32)
    labels = (rows.sum(axis=1) > 0).astype(int) + (rows[:, 0] > 0)
    lines = [",".join(map(str, row)) + f",{label}\n" for row, label in zip(rows, labels, strict=True)]
    path = tmp_path / "data.txt"
    path.write_text("".join(lines))
    return str(path), rows, labels


def _keras(text, tmp_path, metrics=()):
    """The compiled model of a module."""
    module = model_module.load(jobs.write_module(tmp_path, text))
    model = module.custom_model()
    model.compile(optimizer=module.optimizer(), loss=module.loss, metrics=list(metrics))
    return model


def _batches(rows, labels):
    for begin in [*range(0, RECORDS, BATCH)] * EPOCHS:
        yield rows[begin : begin + BATCH], labels[begin : begin + BATCH]


def _train_on(model, batch):
    model.reset_metrics()
    return float(model.train_on_batch(*batch, return_dict=True)["loss"])


@pytest.mark.parametrize(
    "flags", [{}, {"staging": False}, {"num_ps": 1}], ids=["staged", "unstaged", "parameter server"]
)
def test_every_loss(tmp_path, monkeypatch, data, flags):
    path, rows, labels = data
    written = tmp_path / "losses"
    runner = jobs.Runner(tmp_path, tmp_path, monkeypatch, WRITTEN.replace("LOSSES", str(written)))
    made, code = runner.run(
        training_data=[path], num_epochs=EPOCHS, shuffle=False, minibatch_size=BATCH, **flags
    )
    assert code == 0 and made["steps"] == STEPS, runner.logs()
    losses = [float(line) for line in written.read_text().split()]

    model = _keras(MODULE, tmp_path)
    wanted = [_train_on(model, batch) for batch in _batches(rows, labels)]
    assert wanted[-1] < 0.7 * wanted[0], "it learns"
    np.testing.assert_allclose(losses, wanted, rtol=1e-4)


@pytest.mark.parametrize("servers", [0, 1])
def test_metrics_of_every_step(tmp_path, monkeypatch, data, servers):
    path, rows, labels = data
    runner = jobs.Runner(tmp_path, tmp_path, monkeypatch, EVALUATED)
    made, code = runner.run(
        training_data=[path], validation_data=[path], num_epochs=EPOCHS, shuffle=False, minibatch_size=BATCH,
        evaluation_steps=1, num_ps=servers,
    )
    assert code == 0, runner.logs()
    model = _keras(EVALUATED, tmp_path, model_module.load(runner.module).eval_metrics_fn().values())
    found = [(entry["step"], entry["values"]) for entry in made["metrics"]]
    assert [step for step, _ in found] == list(range(1, STEPS + 1))
    names = {"loss": "loss", "accuracy": "sparse_categorical_accuracy"}
    names["second"] = "sparse_top_k_categorical_accuracy"
    for (step, values), batch in zip(found, _batches(rows, labels), strict=True):
        _train_on(model, batch)
        evaluated = model.evaluate(rows, labels, batch_size=BATCH, verbose=0, return_dict=True)
        wanted = {name: evaluated[theirs] for name, theirs in names.items()}
        assert values == pytest.approx(wanted, rel=1e-4), step


@pytest.mark.parametrize("servers", [0, 1])
def test_a_step_that_gets_no_batch_is_none(tmp_path, monkeypatch, data, servers):
    """Its counters stand still, the optimizer's too, where an iterator ends or fails."""
    path, *_ = data
    lines = pathlib.Path(path).read_text().splitlines()
    lines[333] = "no numbers"
    pathlib.Path(path).write_text("\n".join(lines))
    runner = jobs.Runner(tmp_path, tmp_path, monkeypatch, MODULE)
    made, code = runner.run(
        training_data=[path], num_epochs=1, minibatch_size=BATCH, max_quarantined=1, checkpoint_steps=1,
        num_ps=servers,
    )
    assert code == 3, runner.logs()
    status = json.loads((tmp_path / "job" / "status.json").read_text())
    assert made["steps"] == int(status["workers"][0]["telemetry"]["steps"]) > RECORDS // BATCH
    saved = (tmp_path / "job" / "checkpoints").glob("step-*/manifest.json")
    saved = max(saved, key=lambda path: path.stat().st_mtime)
    values = tf.train.load_checkpoint(str(saved.parent / "variables"))
    (iterations,) = [n for n in values.get_variable_to_shape_map() if "adam.Siteration" in n]
    assert values.get_tensor(iterations) == json.loads(saved.read_text())["step"]

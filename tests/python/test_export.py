"""Exported jobs: what the SavedModel's functions do is what the model module says."""

import json
import pathlib
import re
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf

import jobs
from headrace.data import tracking
from headrace.data.account import Account
from headrace.elastic import export, model_module
from headrace.errors import ExportError

MODULE = """
    import keras
    import tensorflow as tf

    class Linear(tf.Module):
        def __init__(self):
            super().__init__()
            self.weights = tf.Variable([0.5, -0.5])

        def __call__(self, features):
            return {"score": tf.linalg.matvec(features["x"], self.weights), "copy": features["x"]}

    def custom_model():
        return Linear()

    def loss(labels, predictions):
        return tf.square(labels - predictions["score"])

    def optimizer():
        return keras.optimizers.SGD(0.1)

    def dataset_fn(dataset, mode, metadata):
        def parse(record):
            x = tf.ensure_shape(tf.strings.to_number(tf.strings.split(record, ",")), [2])
            return {"x": x}, x[0] * metadata
        return dataset.map(parse).batch(2)
"""


@pytest.fixture
def load(tmp_path):
    def loaded(text):
        (tmp_path / "m.py").write_text(textwrap.dedent(text))
        return model_module.load("m.py", str(tmp_path))

    return loaded


def _records(count):
    random = np.random.default_rng(7)
    rows = random.normal(size=(count, 4)).round(3)
    labels = (rows.sum(axis=1) > 0).astype(int) + (rows[:, 0] > 0)
    labels[::7] = 3  # dropped by the filter
    return [",".join([*map(str, row), str(label)]) for row, label in zip(rows, labels, strict=True)]


def _run(directory, records, elements):
    """The exported job on records: (losses, identities of each batch)."""
    job = tf.saved_model.load(str(directory))
    batches = _batches(job, "training", records, elements)
    losses, identities = [], []
    for identity, *batch in batches:
        named = {e["name"]: value for e, value in zip(elements, batch, strict=True)}
        losses.append(float(job.signatures["train"](**named)["loss"]))
        identities.append(identity.numpy())
    return job, losses, identities


def _batches(job, mode, records, elements):
    """(identities, *elements) of each batch."""
    source = tf.data.Dataset.from_tensor_slices(
        (np.arange(len(records), dtype=np.int64), np.array(records))
    )
    account = export.ACCOUNTS[mode]
    source = source.map(lambda i, record: (tracking.report(account, "read", i), record))
    built = job.signatures[f"dataset_{mode}"](dataset=tf.data.experimental.to_variant(source))
    spec = (tf.TensorSpec(None, tf.int64), *(tf.TensorSpec(e["shape"], e["dtype"]) for e in elements))
    return tf.data.experimental.from_variant(built["dataset"], spec)


def test_keras_trains_as_keras_does(load, tmp_path):
    module = load(jobs.CLASSIFIER)
    records = _records(70)
    description = export.export(module, str(tmp_path / "job"), minibatch_size=10)
    with Account("train") as account:
        elements = description["datasets"]["training"]["elements"]
        job, losses, identities = _run(tmp_path / "job", records, elements)
        for identity in identities:
            account.applied(identity)
        settled = account.take()
    assert settled.dropped == {"filter:2": list(range(0, 70, 7))}
    assert settled.trained == [i for i in range(70) if i % 7]

    model, optimizer, expected = module.custom_model(), module.optimizer(), []
    kept = [records[i].split(",") for i in range(70) if i % 7]
    for begin in range(0, len(kept), 10):
        rows = np.array(kept[begin : begin + 10], np.float32)
        features, labels = rows[:, :4], rows[:, 4].astype(np.int64)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(module.loss(labels, model(features, training=True)))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        expected.append(float(loss))
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    assert losses[-1] < losses[0]

    features = np.ones((2, 4), np.float32)
    predicted = job.signatures["predict"](features=tf.constant(features))["output_0"]
    np.testing.assert_allclose(predicted, model(features, training=False), rtol=1e-4, atol=1e-5)


def test_the_served_model_is_the_trained_one_by_its_keys(load, tmp_path):
    export.export(load(jobs.CLASSIFIER), str(tmp_path / "job"), minibatch_size=10)
    job = tf.train.load_checkpoint(str(tmp_path / "job" / "variables" / "variables"))
    serving = tf.train.load_checkpoint(str(tmp_path / "job" / "serving" / "variables" / "variables"))
    keys = set(serving.get_variable_to_shape_map()) - {"_CHECKPOINTABLE_OBJECT_GRAPH"}
    assert len(keys) == 8  # two kernels, two biases, four of batch normalisation
    for key in keys:
        np.testing.assert_array_equal(serving.get_tensor(key), job.get_tensor(key))
    served = tf.saved_model.load(str(tmp_path / "job" / "serving"))
    features = tf.ones([3, 4])
    expected = tf.saved_model.load(str(tmp_path / "job")).signatures["predict"](features=features)
    found = served.signatures["serving_default"](features=features)
    np.testing.assert_array_equal(found["output_0"], expected["output_0"])


METRICS = """
    def eval_metrics_fn():
        return {
            "accuracy": keras.metrics.SparseCategoricalAccuracy(),
            "top2": keras.metrics.SparseTopKCategoricalAccuracy(2),
            "hits": lambda labels, predictions: tf.cast(
                tf.equal(tf.argmax(predictions, 1), labels), tf.float32),
        }
"""


def test_metrics_add_up_over_batches(load, tmp_path):
    records = _records(50)
    description = export.export(load(jobs.CLASSIFIER + METRICS), str(tmp_path / "job"), minibatch_size=8)
    job = tf.saved_model.load(str(tmp_path / "job"))
    elements = description["datasets"]["evaluation"]["elements"]
    sums = np.zeros(description["evaluate"]["sums"])
    labels, predictions = [], []
    with Account("tasks"):
        for _, *batch in _batches(job, "evaluation", records, elements):
            named = {e["name"]: value for e, value in zip(elements, batch, strict=True)}
            sums += job.signatures["evaluate"](**named)["sums"]
            labels += named["labels"].numpy().tolist()
            predictions.append(job.signatures["predict"](features=named["features"])["output_0"])
    values = {k: float(v) for k, v in job.signatures["metrics"](sums=tf.constant(sums)).items()}
    labels, predictions = np.array(labels), np.concatenate(predictions)
    hits = np.mean(predictions.argmax(1) == labels)
    top2 = np.mean([label in row.argsort()[-2:] for row, label in zip(predictions, labels, strict=True)])
    loss = keras.losses.sparse_categorical_crossentropy(labels, predictions, from_logits=True)
    assert values["accuracy"] == pytest.approx(hits) and values["hits"] == pytest.approx(hits)
    assert values["top2"] == pytest.approx(top2)
    assert values["loss"] == pytest.approx(float(np.mean(loss)), rel=1e-5)


def test_metrics_that_do_not_add_up_are_refused(load, tmp_path):
    text = jobs.CLASSIFIER + METRICS + """
    class Last(keras.metrics.Metric):
        def update_state(self, labels, predictions):
            pass
    """
    text = text.replace("keras.metrics.SparseCategoricalAccuracy()", "Last()")
    with pytest.raises(ExportError, match=r"metric 'accuracy' \(Last\) is not known to have a state"):
        export.export(load(text), str(tmp_path / "job"), minibatch_size=8)


def test_module_with_structures_and_its_own_batches(load, tmp_path):
    description = export.export(load(MODULE), str(tmp_path / "job"), metadata=2.0)
    assert [e["name"] for e in description["datasets"]["training"]["elements"]] == ["features_x", "labels"]
    assert [o["name"] for o in description["predict"]["outputs"]] == ["copy", "score"]
    with Account("train"):
        job, losses, identities = _run(
            tmp_path / "job", ["1,2", "3,4", "5,6"], description["datasets"]["training"]["elements"]
        )
    assert [i.tolist() for i in identities] == [[0, 1], [2]]
    # (1, 2) and (3, 4) score -0.5 each, and their labels are 2 and 6.
    assert losses[0] == pytest.approx((2.5**2 + 6.5**2) / 2)
    assert int(job.signatures["train"](features_x=tf.ones([1, 2]), labels=[1.0])["step"]) == 3


def test_the_description_is_saved(load, tmp_path):
    description = export.export(load(jobs.CLASSIFIER), str(tmp_path / "job"), minibatch_size=4)
    saved = json.loads((tmp_path / "job" / "assets.extra" / "headrace_job.json").read_text())
    assert saved == description
    assert saved["version"] == 1 and saved["minibatch_size"] == 4
    assert saved["datasets"]["training"]["elements"][0] == {"name": "features", "dtype": "float32", "shape": [None, 4]}


def test_batch_size_is_said_once(load, tmp_path):
    with pytest.raises(ExportError, match="batches by itself, so --minibatch_size 4 cannot be used"):
        export.export(load(MODULE), str(tmp_path / "job"), minibatch_size=4, metadata=1.0)
    with pytest.raises(ExportError, match="makes no batches: give --minibatch_size"):
        export.export(load(jobs.CLASSIFIER), str(tmp_path / "job"))


@pytest.mark.parametrize("call", ["tf.py_function", "tf.numpy_function"])
def test_python_in_the_graph_is_refused_with_its_line(load, tmp_path, call):
    text = jobs.CLASSIFIER.replace("return dataset.map(parse)", "return dataset.map(slow).map(parse)")
    text = text.replace(
        "        def parse",
        f"        def slow(record):\n            return tf.ensure_shape({call}(lambda r: r, [record], tf.string), [])\n"
        "        def parse",
    )
    line = 1 + textwrap.dedent(text).splitlines().index(
        f"        return tf.ensure_shape({call}(lambda r: r, [record], tf.string), [])"
    )
    with pytest.raises(ExportError, match=rf"dataset_training calls Python \({call}.*m.py:{line}"):
        export.export(load(text), str(tmp_path / "job"), minibatch_size=4)


def test_what_dataset_fn_returns(load, tmp_path):
    with pytest.raises(Exception, match="must return the dataset that it was given"):
        text = jobs.CLASSIFIER.replace("return dataset.map(parse)", "return tf.data.Dataset.range(3).map(parse)")
        text = text.replace(".filter(lambda features, label: label < 3)", "")
        text = text.replace("values = tf.strings.to_number", "record = '1'; values = tf.strings.to_number")
        export.export(load(text), str(tmp_path / "job"), minibatch_size=4)
    with pytest.raises(ExportError, match=r"must give \(features, labels\)"):
        text = jobs.CLASSIFIER.replace("return dataset.map(parse)", "return dataset.map(parse).map(lambda f, l: l)")
        text = text.replace(".filter(lambda features, label: label < 3)", "")
        export.export(load(text), str(tmp_path / "job"), minibatch_size=4)


def test_regularization_counts(load, tmp_path):
    plain = export.Job(load(jobs.CLASSIFIER), 4)
    text = jobs.CLASSIFIER.replace("keras.layers.Dense(3,", "keras.layers.Dense(3, kernel_regularizer='l2',")
    regular = export.Job(load(text), 4)
    features, labels = tf.ones([2, 4]), tf.constant([0, 1], tf.int64)
    extra = float(regular.total_loss(features, labels)) - float(plain.total_loss(features, labels))
    kernel = regular.model.layers[-1].kernel
    assert extra == pytest.approx(0.01 * float(tf.reduce_sum(tf.square(kernel))), rel=1e-3)
    assert isinstance(plain.model, keras.Model)


def test_the_documented_module_can_be_exported(load, tmp_path):
    page = pathlib.Path(__file__).resolve().parents[2] / "docs" / "model-modules.md"
    text = re.search(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)[1]
    found = export.export(load(text), str(tmp_path / "job"), minibatch_size=2)
    assert found["datasets"]["training"]["elements"][0]["shape"] == [None, 13]

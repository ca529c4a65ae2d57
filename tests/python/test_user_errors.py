"""What a model module does wrong, as who wrote it is told."""

import textwrap

import pytest

import jobs
from headrace.elastic import export, export_process, model_module, user_errors
from headrace.elastic.flags import JobFlags
from headrace.errors import ExportError, ModelModuleError, TrackingError


@pytest.fixture
def module(tmp_path):
    """module(old, new): the classifier with a mistake; (module, number of the line that has `new` or None)."""

    def made(old, new):
        assert old in jobs.CLASSIFIER
        text = textwrap.dedent(jobs.CLASSIFIER.replace(old, new))
        (tmp_path / "m.py").write_text(text)
        lines = [i for i, line in enumerate(text.splitlines(), 1) if new in line]
        return model_module.load(str(tmp_path / "m.py")), (lines or [None])[0]

    return made


@pytest.mark.parametrize(
    "old, new, says",
    [
        ("values = tf", "raise KeyError('day'); values = tf", "KeyError: 'day'"),
        ("values[4]", "values[4] + 'x'", "TypeError: "),
        ("keras.losses.sparse_categorical_crossentropy", "keras.losses.no_such", "AttributeError: "),
    ],
)
def test_the_line_of_the_module(module, tmp_path, old, new, says):
    loaded, line = module(old, new)
    with pytest.raises(Exception) as raised:
        export.export(loaded, str(tmp_path / "job"), minibatch_size=4)
    assert user_errors.describe(raised.value, loaded).startswith(f"{loaded.path}:{line}: {says}")


def test_numpy_where_tensorflow_is_needed(module, tmp_path):
    loaded, line = module(
        "return keras.losses.sparse_categorical_crossentropy(labels, predictions, from_logits=True)",
        "import numpy; return numpy.mean(predictions)",
    )
    with pytest.raises(Exception) as raised:
        export.export(loaded, str(tmp_path / "job"), minibatch_size=4)
    said = user_errors.describe(raised.value, loaded)
    assert said.startswith(f"{loaded.path}:{line}: ") and said.endswith("under `headrace run`"), said


METRIC = """def eval_metrics_fn():
        return {'exact': type('Exact', (keras.metrics.Metric,), {})()}

    def optimizer"""


def test_a_metric_that_does_not_add_up(module, tmp_path):
    loaded, _ = module("def optimizer", METRIC)
    says = r"m.py:16: metric 'exact' \(Exact\) is not known .* `headrace run`"
    with pytest.raises(ExportError, match=says):
        export.export(loaded, str(tmp_path / "job"), minibatch_size=4)


def test_callbacks(module):
    says = r"m.py:\d+: callbacks\(\) are Python, .* under `headrace run`"
    with pytest.raises(ModelModuleError, match=says):
        module("def optimizer", "def callbacks():\n        return []\n\n    def optimizer")


def test_what_does_not_fit_together(module, tmp_path):
    loaded, _ = module("values[:4], [4]", "values[:3], [3]")
    with pytest.raises(Exception) as raised:
        export.export(loaded, str(tmp_path / "job"), minibatch_size=4)
    said = user_errors.describe(raised.value, loaded)
    model, loss, data = (loaded.line(name) for name in ("custom_model", "loss", "dataset_fn"))
    text = (tmp_path / "m.py").read_text().splitlines()
    assert text[model - 1] == "def custom_model():" and text[data - 1] == "def dataset_fn(dataset):"
    begin = f"what dataset_fn (line {data}), custom_model (line {model}) and loss (line {loss}) give does not fit "
    assert said.startswith(f"{loaded.path}:{model}: {begin}together: ValueError"), said
    assert "axis -1 of input shape to have value 4" in said and "\n" not in said


def test_a_loss_that_is_not_of_the_module(module, tmp_path):
    loaded, _ = module(
        "def loss(labels, predictions):\n        return keras.losses.sparse_categorical_crossentropy(labels, "
        "predictions, from_logits=True)",
        "loss = keras.losses.binary_crossentropy",
    )
    with pytest.raises(Exception) as raised:
        export.export(loaded, str(tmp_path / "job"), minibatch_size=4)
    said = user_errors.describe(raised.value, loaded)
    assert said.startswith(f"{loaded.path}:{loaded.line('custom_model')}: what dataset_fn (line "), said
    assert " and loss give does not fit together: " in said


@pytest.mark.parametrize(
    "old, new",
    [
        ("dataset.map(parse)", "dataset.cache().map(parse)"),
        ("dataset.map(parse)", "dataset.flat_map(lambda record: None).map(parse)"),
        ("values = tf", "dataset.shard(1, 0); values = tf"),
    ],
)
def test_the_line_of_a_call_that_cannot_be_tracked(module, tmp_path, old, new):
    loaded, line = module(old, new)
    with pytest.raises(TrackingError, match=f"^{loaded.path}:{line}: "):
        export.export(loaded, str(tmp_path / "job"), minibatch_size=4)


@pytest.mark.parametrize("optimizer", ['"adam"', "None"])
def test_what_is_no_optimizer(module, tmp_path, optimizer):
    loaded, _ = module("keras.optimizers.Adam(0.05)", optimizer)
    with pytest.raises(ExportError, match=r"m.py:\d+: optimizer\(\) must give an optimizer of keras.optimizers"):
        export.export(loaded, str(tmp_path / "job"), minibatch_size=4)


def test_metrics_that_are_no_dict(module, tmp_path):
    metrics = "def eval_metrics_fn():\n        return ['accuracy']\n\n    def optimizer"
    loaded, _ = module("def optimizer", metrics)
    says = r"eval_metrics_fn\(\) must give {name: metric}, and gives \['accuracy'\]"
    with pytest.raises(ExportError, match=says):
        export.export(loaded, str(tmp_path / "job"), minibatch_size=4)


def test_python_of_an_unknown_shape(module, tmp_path):
    loaded, line = module(
        "return tf.ensure_shape(values[:4], [4])",
        "return tf.numpy_function(lambda v: v, [values], tf.float32)",
    )
    with pytest.raises(ExportError, match=rf"dataset_training calls Python \(tf.numpy_function.*m.py:{line}"):
        export.export(loaded, str(tmp_path / "job"), minibatch_size=4)


def test_as_the_command_says_it(module, tmp_path):
    loaded, line = module("values = tf", "raise KeyError('day'); values = tf")
    flags = JobFlags(verb="train", model_def=loaded.path, minibatch_size=4)
    log = tmp_path / "job.log"
    with pytest.raises(ExportError, match=f"^{loaded.path}:{line}: KeyError: 'day'; {log} has the way there"):
        export_process.export(str(tmp_path / "job"), flags)
    assert "Traceback" in log.read_text() and f'"{loaded.path}", line {line}' in log.read_text()


def test_the_command_keeps_the_kind_of_an_error(module, tmp_path):
    """docs/errors.md has a page for each."""
    loaded, _ = module("dataset.map(parse)", "dataset.cache().map(parse)")
    flags = JobFlags(verb="train", model_def=loaded.path, minibatch_size=4)
    with pytest.raises(TrackingError, match="cache"):
        export_process.export(str(tmp_path / "job"), flags)
    (tmp_path / "empty.py").write_text("x = 1\n")
    flags = JobFlags(verb="train", model_def=str(tmp_path / "empty.py"), minibatch_size=4)
    with pytest.raises(ModelModuleError, match="empty.py does not define"):
        export_process.export(str(tmp_path / "job"), flags)


def test_the_name_of_a_module_without_its_function(tmp_path):
    (tmp_path / "zoo" / "wide").mkdir(parents=True)
    (tmp_path / "zoo" / "wide" / "__init__.py").touch()
    (tmp_path / "zoo" / "wide" / "adult.py").touch()
    with pytest.raises(ModelModuleError, match=r"adult.py is a module: add .custom_model to its name"):
        model_module.load("wide.adult", str(tmp_path / "zoo"))
    with pytest.raises(ModelModuleError, match="there is no .*none.py nor .*__init__.py"):
        model_module.load("wide.none.custom_model", str(tmp_path / "zoo"))

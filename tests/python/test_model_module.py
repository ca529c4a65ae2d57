"""Model modules: found by file or dotted name, checked before anything runs."""

import textwrap

import pytest

from headrace.elastic import model_module
from headrace.errors import ModelModuleError

GOOD = """
    def custom_model():
        return "model"

    def loss(labels, predictions):
        return labels, predictions

    def optimizer(lr=0.1):
        return lr

    def dataset_fn(dataset):
        return dataset
"""


@pytest.fixture
def zoo(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return str(path)

    write.root = str(tmp_path)
    return write


def test_dotted_name_in_a_zoo(zoo):
    """As in the seed: --model_def=cifar10_functional_api.cifar10_functional_api.custom_model."""
    path = zoo("cifar10/cifar10.py", GOOD)
    module = model_module.load("cifar10.cifar10.custom_model", zoo.root)
    assert module.path == path
    assert module.custom_model() == "model"
    assert module.loss(1, 2) == (1, 2)
    assert module.optimizer() == 0.1
    assert module.dataset_fn("data", "train", None) == "data"
    assert module.eval_metrics_fn is None and module.prediction_outputs_processor is None


@pytest.mark.parametrize("relative", [True, False])
def test_file(zoo, relative):
    path = zoo("mnist.py", GOOD)
    module = model_module.load("mnist.py" if relative else path, zoo.root if relative else "")
    assert module.path == path


def test_package(zoo):
    zoo("mnist/__init__.py", GOOD)
    assert model_module.load("mnist.custom_model", zoo.root).custom_model() == "model"


def test_another_model_function(zoo):
    zoo("mnist.py", GOOD + '\n    def wide():\n        return "wide"\n')
    assert model_module.load("mnist.wide", zoo.root).custom_model() == "wide"


def test_dataset_fn_with_mode(zoo):
    zoo("m.py", GOOD + "\n    def dataset_fn(dataset, mode, metadata):\n        return mode, metadata\n")
    assert model_module.load("m.py", zoo.root).dataset_fn("d", "evaluate", 7) == ("evaluate", 7)


def test_neighbours_can_be_imported(zoo):
    zoo("zoo/shared_layers.py", "SIZE = 7\n")
    zoo("zoo/m.py", "from shared_layers import SIZE\n" + textwrap.dedent(GOOD))
    before = list(__import__("sys").path)
    model_module.load("zoo/m.py", zoo.root)
    assert __import__("sys").path == before


@pytest.mark.parametrize(
    "text, message",
    [
        ("x = 1", r"m.py does not define custom_model\(\)"),
        ("def custom_model(): pass", "m.py does not define loss, optimizer, dataset_fn"),
        (GOOD + "\n    loss = 3\n", "loss is 3, and must be callable"),
        (GOOD + "\n    def loss(x): pass\n", r"m.py:14: loss\(x\) must take 2 arguments"),
        (GOOD + "\n    def custom_model(n): pass\n", r"custom_model\(n\) must take 0 arguments"),
        (
            GOOD + "\n    def dataset_fn(a, b): pass\n",
            r"dataset_fn\(a, b\) must take \(dataset\) or \(dataset, mode, metadata\)",
        ),
        ("import no_such_module_of_mine", r"ModuleNotFoundError.*no_such_module_of_mine.*\(line 1\)"),
        ("\n\n1 / 0", r"raised ZeroDivisionError: division by zero \(line 3\)"),
        ("\ndef f(:\n", r"raised SyntaxError.*\(line 2\)"),
    ],
)
def test_what_is_wrong_is_named(zoo, text, message):
    zoo("m.py", text)
    with pytest.raises(ModelModuleError, match=message):
        model_module.load("m.py", zoo.root)


def test_what_is_not_there(zoo):
    with pytest.raises(ModelModuleError, match="--model_def none.py: there is no .*none.py"):
        model_module.load("none.py", zoo.root)
    with pytest.raises(ModelModuleError, match=r"there is no .*a/b.py nor .*a/b/__init__.py"):
        model_module.load("a.b.custom_model", zoo.root)
    with pytest.raises(ModelModuleError, match="names no module"):
        model_module.load("custom_model", zoo.root)
    with pytest.raises(ModelModuleError, match="--model_zoo .*nowhere is not a directory"):
        model_module.load("m.py", zoo.root + "/nowhere")

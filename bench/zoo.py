"""The click models of models/ in the ways that are compared: staged or not, tuned by hand, their parts alone.

The input part of a model is what its author wrote in front of the first weight: parsing, and the layers that
hash, cut and pad. Whoever tunes by hand moves just that into tf.data; `split` finds it.
"""

import functools
import importlib
import sys

import keras
import tensorflow as tf

from bench import data_service, environment, workloads
from bench.environment import MODELS
from bench.processes import Contender
from bench.settled import Settled
from examples.common import staging
from examples.common.contenders import Contenders

sys.path.insert(0, str(MODELS))

from common import graph  # noqa: E402

DATA = {"dlrm": "criteo", "deepfm": "criteo", "wdl": "criteo", "din": "taobao", "dien": "taobao",
        "dssm": "taobao"}


def module(model):
    """The model's module."""
    return importlib.import_module(f"{model}.{model}")


def split(model):
    """(input part, training part) of a functional Keras model: the layers that have no weights and need none
    before them, and the rest, which takes the list of tensors that the first one gives."""
    ahead, crossing = {id(tensor) for tensor in model.inputs}, []
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if node.is_input:
                continue
            has_weights = bool(getattr(node.operation, "weights", ()))  # plain ops have no such attribute
            if not has_weights and all(id(tensor) in ahead for tensor in node.input_tensors):
                ahead.update(id(tensor) for tensor in node.outputs)
                continue
            for tensor in node.input_tensors:
                if id(tensor) in ahead and all(tensor is not other for other in crossing):
                    crossing.append(tensor)
    return keras.Model(model._inputs_struct, crossing), keras.Model(crossing, model.outputs[0])


def generate(model, folder, records, seed):
    """Path of drawn lines for a model; models of the same data share them."""
    path = folder / f"{DATA[model]}-{records}.tsv"
    if not path.exists():
        environment.run("-m", "headrace", "data", "generate", DATA[model], str(path),
                        "--records", str(records), "--seed", str(seed))
    return str(path)


def _prepare(model):
    """lines [B] -> (crossing tensors, labels), as the model's author has it."""
    with tf.Graph().as_default():  # whose variables nobody initializes
        ahead, _ = split(module(model).custom_model())
    parse = module(model).parse

    def prepare(lines):
        features, labels = parse(lines)
        return tuple(ahead(features)), labels

    return prepare


def train(model, batch):
    """The loss of a training step on what next_batch() or next_tuned() gives."""
    crossing, labels = batch
    built = graph.training(module(model), list(crossing), labels, split(module(model).custom_model())[1])
    with tf.control_dependencies([built.train_op]):
        return tf.identity(built.loss)


def next_batch(model, path, batch_size):
    """((crossing tensors, labels), op that starts the input): what the training part takes."""
    lines, initializer = graph.next_lines([path], batch_size)
    return _prepare(model)(lines), initializer


def contenders(model, path, batch_size, step=None):
    """Contenders of a model on batches of the file `path`.

    step: takes the place of the training part: (batch) -> tensor.
    """
    def whole():
        lines, initializer = graph.next_lines([path], batch_size)
        return graph.train_step(module(model), lines), initializer

    return Contenders(read=functools.partial(graph.next_lines, [path], batch_size),
                      next_batch=functools.partial(next_batch, model, path, batch_size),
                      step=step or functools.partial(train, model), whole=None if step else whole)


def tuned_batches(model, path, batch_size, parallel_calls=0, service=None):
    """A dataset of what next_batch() gives, as TensorFlow's performance guide says: all of the input part in
    a parallel map over whole batches, then prefetch.

    parallel_calls: 0 = AUTOTUNE. service: address of a tf.data service that runs it.
    """
    lines = graph.lines_dataset([path], batch_size)
    batches = lines.map(_prepare(model), num_parallel_calls=parallel_calls or tf.data.AUTOTUNE,
                        deterministic=True)
    if service:
        batches = batches.apply(tf.data.experimental.service.distribute("parallel_epochs", service))
    return batches.prefetch(tf.data.AUTOTUNE)


def next_tuned(model, path, batch_size, **how):
    """The same as next_batch(), tuned by hand; how: of tuned_batches()."""
    batches = tuned_batches(model, path, batch_size, **how)
    iterator = tf.compat.v1.data.make_initializable_iterator(batches)
    return iterator.get_next(), iterator.initializer


def make(contender, model, path, batch_size, wait_ms=None, **how):
    """What bench.worker steps: "unstaged", "staged", "tuned", "service", or a part.

    wait_ms: of the stand-in for a training part; None: the model's own.
    how: of "staged" what Staging has; of "tuned" parallel_calls.
    """
    step = None
    if wait_ms is not None:
        step = functools.partial(workloads.waiting_step, microseconds=round(1e3 * wait_ms))
    made = contenders(model, path, batch_size, step)
    if contender == "unstaged":
        return made.unstaged()
    if contender == "staged":
        stepper = made.staged(staging.Staging(**how))
        staging.require_staged(stepper, "DecodeCSV")
        return Settled(stepper)
    if contender == "tuned":
        return made.other(contender, functools.partial(next_tuned, model, path, batch_size, **how))
    if contender == "service":
        service = data_service.start()
        return made.other(contender, functools.partial(next_tuned, model, path, batch_size, service=service))
    return made.part(contender)


def staged_or(name, how, untimed, **arguments):
    """Contender `name`: staged with the options `how` of Staging, where there are any; else what make() has
    under this name. arguments: of make()."""
    return Contender(name, "bench.zoo:make",
                     {"contender": "staged" if how else name, **arguments, **(how or {})}, untimed)

"""Traces a model module into a SavedModel that the trainer runs without Python.

The SavedModel is the only contract between the model's Python and the C++ that trains it:

    dataset_MODE(dataset)      variant -> variant: (identity, record) to (identity, *elements), batched
    train(*elements)           one step on one batch: {"loss": scalar, "step": int64}
    evaluate(*elements)        what one batch adds to the metrics: {"sums": float64 [n]}
    metrics(sums)              {name: float64 scalar} of all that was added
    predict(*features)         {output: tensor}

and, for variables on parameter servers, the step in parts (headrace.elastic.sharded).

`elements` are the features and labels of `dataset_fn`, flattened; assets.extra/headrace_job.json
(docs/formats.md, "Exported job") names them, and everything else that the trainer must know. Beside it,
in `serving`, lies the SavedModel that the trained model becomes: serving_default on features, and no op
that stock TensorFlow does not have.
"""

import contextlib
import json
import os
import uuid

import keras
import tensorflow as tf

from headrace.data import tracking
from headrace.elastic import graph_checks, init_from, sharded, sparse, user_errors
from headrace.elastic.eval_metrics import EvalMetrics
from headrace.elastic.model_module import ModelModule
from headrace.elastic.variable_names import Names
from headrace.errors import ExportError, TrackingError

FORMAT = 1
SERVING = "serving"
TRAINING, EVALUATION, PREDICTION = "training", "evaluation", "prediction"
MODES = (TRAINING, EVALUATION, PREDICTION)
# The trainer's accounts: one for the stream of training records, one for what is done task by task.
ACCOUNTS = {TRAINING: "train", EVALUATION: "tasks", PREDICTION: "tasks"}
RECORD = (tf.TensorSpec([], tf.int64), tf.TensorSpec([], tf.string))


class Job(tf.Module):
    """What is saved: the model, its optimizer, a step counter, and the traced functions."""

    def __init__(self, module: ModelModule, minibatch_size=None, metadata=None):
        super().__init__(name="headrace_job")
        self._module = module
        self._made = {}
        self.model = module.custom_model()
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="headrace_step")
        self.optimizer = _checked_optimizer(module)
        self.minibatch_size = minibatch_size
        self.metadata = metadata

    # --- data ---------------------------------------------------------------------------------

    def transformed(self, dataset, mode, account):
        """The module's dataset_fn on a dataset of (identity, record), batched."""
        where = self._module.at("dataset_fn")
        tracked = self._described(tracking.TrackedDataset(dataset, account, records=True), mode)
        if not isinstance(tracked, tracking.TrackedDataset):
            raise ExportError(
                f"{where}: dataset_fn must return the dataset that it was given, "
                f"transformed, not {type(tracked).__name__}"
            )
        if tracked.batched and self.minibatch_size is not None:
            raise ExportError(
                f"{where}: dataset_fn batches by itself, so --minibatch_size "
                f"{self.minibatch_size} cannot be used: leave one of the two out"
            )
        if tracked.batched:
            return tracked
        if self.minibatch_size is None:
            raise ExportError(f"{where}: dataset_fn makes no batches: give --minibatch_size")
        return tracked.batch(self.minibatch_size)

    def _described(self, records, mode):
        """What the module's dataset_fn makes. Errors: TrackingError, with the line of the call."""
        try:
            return self._module.dataset_fn(records, mode, self.metadata)
        except Exception as error:
            refused = graph_checks.own_error(error)
            if not isinstance(refused, TrackingError):
                raise
            path = self._module.path
            where = user_errors.place(error, path) or self._module.at("dataset_fn")
            raise TrackingError(f"{where}: {refused.message}") from error

    def dataset_function(self, mode):
        """(function, spec of one element) for `mode`."""
        account = ACCOUNTS[mode]
        spec = []

        # dataset_fn describes a pipeline; tf.data itself converts the functions in it by AutoGraph.
        @tf.function(input_signature=[tf.TensorSpec([], tf.variant, name="dataset")], autograph=False)
        def build(dataset):
            records = tf.data.experimental.from_variant(dataset, RECORD)
            tracked = self.transformed(records, mode, account)
            spec[:] = [tracked.element_spec]
            flat = tracked.dataset.map(
                lambda identity, element: (
                    identity,
                    *tf.nest.flatten(element, expand_composites=True),
                )
            )
            return {"dataset": tf.data.experimental.to_variant(flat)}

        # At once: what Python gives has no shape, which would be the first thing to fail.
        graph_checks.check(graph_checks.traced(build), f"dataset_{mode}")
        return build, spec[0]

    # --- model --------------------------------------------------------------------------------

    def predictions(self, features, training):
        try:
            return self.model(features, training=training)
        except TypeError as error:
            if "training" not in str(error):
                raise
            return self.model(features)

    @property
    def model_path(self):
        return self._module.path

    def batch_loss(self, features, labels):
        """Without what regularizers and layers add."""
        return tf.reduce_mean(self._module.loss(labels, self.predictions(features, training=True)))

    def with_extra(self, loss, of_layers=()):
        """With what layers (where their losses were collected apart) and regularizers add."""
        extra = [*of_layers, *(getattr(self.model, "losses", None) or ())]
        return tf.add_n([loss, *extra]) if extra else loss

    def total_loss(self, features, labels):
        return self.with_extra(self.batch_loss(features, labels))

    def train_function(self, element_spec):
        variables = self.trainable(element_spec)

        @tf.function(input_signature=_batch_specs(element_spec))
        def train(*elements):
            features, labels = _packed(element_spec, elements)
            with tf.GradientTape() as tape:
                loss = self.total_loss(features, labels)
                scaled = self.optimizer.scale_loss(loss)
            gradients = tape.gradient(scaled, variables)
            # Inlined into the graph of a job, counters would count where there is no batch: once more at the end of
            # each iterator.
            with tf.control_dependencies([loss]):
                self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
                return {"loss": loss, "step": self.step.assign_add(1)}

        return train

    def evaluate_functions(self, element_spec):
        """(evaluate, metrics)."""
        self._check_element(element_spec)
        metrics = EvalMetrics(self._module.path, self._module.eval_metrics_fn, self._module.loss)

        @tf.function(input_signature=_batch_specs(element_spec))
        def evaluate(*elements):
            features, labels = _packed(element_spec, elements)
            return {"sums": metrics.contribution(labels, self.predictions(features, False))}

        size = graph_checks.traced(evaluate).structured_outputs["sums"].shape

        @tf.function(input_signature=[tf.TensorSpec(size, tf.float64, name="sums")])
        def results(sums):
            return metrics.results(sums)

        return evaluate, results

    def predict_function(self, features_spec):
        @tf.function(input_signature=_flat_specs(features_spec, "features"))
        def predict(*elements):
            return _named_outputs(self.predictions(_packed(features_spec, elements), False))

        return predict

    def _check_element(self, element_spec):
        if type(element_spec) is tuple and len(element_spec) == 2:
            return
        raise ExportError(
            f"{self._module.at('dataset_fn')}: for training dataset_fn must give (features, labels), not "
            f"{element_spec}"
        )

    def sharded_step(self, element_spec, names):
        variables = self.trainable(element_spec)
        specs = _batch_specs(element_spec)
        return sharded.Step(
            self, specs, lambda elements: _packed(element_spec, elements), variables, names
        )

    def trainable(self, element_spec):
        """The model's variables, made if the model makes them with its first call; the optimizer's too."""
        self._check_element(element_spec)
        features_spec = element_spec[0]
        build = tf.function(lambda *e: self.predictions(_packed(features_spec, e), True))
        if not getattr(self.model, "built", False):
            graph_checks.traced(build, *_flat_specs(features_spec, "features"))
        variables = list(self.model.trainable_variables)
        if not variables:
            raise ExportError(f"{self._module.at('custom_model')}: the model has no trainable variables")
        if not self.optimizer.built:
            self.optimizer.build(variables)
        return variables


def _checked_optimizer(module):
    optimizer = module.optimizer()
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise ExportError(
            f"{module.at('optimizer')}: optimizer() must give an optimizer of keras.optimizers, and gives "
            f"{optimizer!r}"
        )
    return optimizer


class Saved(tf.Module):
    """The root of a SavedModel: functions, and what they use.

    `variables` has TensorFlow's own variables, not Keras's, which would be saved twice and of which
    only the copy be restored; `resources` has tables and the like. A variable's key is its name here, so it
    is the same for the job and for the model to serve.
    """

    def __init__(self, functions, names, owners):
        super().__init__(name="headrace")
        used = {
            id(variable): variable
            for function in functions
            for variable in function.get_concrete_function().variables
        }
        self.variables_by_name = {names.of(variable): variable for variable in used.values()}
        self.resources = [
            found
            for owner in owners
            for found in tf.train.TrackableView(owner).descendants()
            if isinstance(found, tf.saved_model.experimental.TrackableResource)
        ]
        self.functions = functions


def export(
    module: ModelModule,
    directory: str,
    minibatch_size=None,
    metadata=None,
    init="",
    loaded=None,
    sharded=False,
    warnings=None,
) -> dict:
    """Writes the SavedModel of a job, and returns its description.

    minibatch_size: records of a batch, unless dataset_fn batches by itself.
    metadata: handed to dataset_fn as it is.
    init: a checkpoint with the model's first values (init_from.load); the list `loaded` gets the names.
    sharded: for variables on parameter servers: tables are used by rows, gradients and updates are marked,
        and the step comes in parts too; without it the job trains exactly as plain Keras does.
    warnings: a list that gets lines for people.
    Errors: ExportError, TrackingError; what the module's own functions raise comes through.
    """
    job = Job(module, minibatch_size, metadata)
    with sparse.lookups() if sharded else contextlib.nullcontext():
        return _export(job, module, directory, init, loaded, sharded, warnings)


def _export(job, module, directory, init, loaded, sharded, warnings):
    datasets = {mode: job.dataset_function(mode) for mode in MODES}
    element_spec = datasets[TRAINING][1]
    features_spec = _features_of(datasets[PREDICTION][1], element_spec)
    job.trainable(element_spec)
    names = Names([*job.model.variables, *job.optimizer.variables, job.step])
    steps, apart = _steps(job, element_spec, names, sharded)
    if init:
        loaded += init_from.load(job.model, init)
    evaluate, metrics = job.evaluate_functions(datasets[EVALUATION][1])
    predict = job.predict_function(features_spec)
    signatures = {f"dataset_{mode}": build for mode, (build, _) in datasets.items()}
    signatures |= steps | {"evaluate": evaluate, "metrics": metrics, "predict": predict}
    lines = {}
    for name, function in signatures.items():
        concrete = graph_checks.traced(function)
        graph_checks.check(concrete, name)
        if sharded:
            graph_checks.check_by_rows(concrete, f"{module.path}: {name}", sparse.is_large, names.of)
        lines |= graph_checks.lines(concrete, module.path)
    owners = [job.model]
    tf.saved_model.save(Saved(list(signatures.values()), names, owners), directory, signatures)
    serving = os.path.join(directory, SERVING)
    tf.saved_model.save(Saved([predict], names, owners), serving, {"serving_default": predict})
    description = _describe(job, module, datasets, features_spec, metrics, predict)
    description |= {"sharded": sharded, **apart, "lines": lines}
    if warnings is not None and sharded:
        warnings += _of_loops(steps["train"], names)
    extra = os.path.join(directory, "assets.extra")
    os.makedirs(extra, exist_ok=True)
    with open(os.path.join(extra, "headrace_job.json"), "w", encoding="utf-8") as file:
        json.dump(description, file, indent=2)
    return description


def _of_loops(train, names):
    """What costs a step a fetch for each turn of a loop, in a line; none if nothing does."""
    reads = graph_checks.reads_in_loops(graph_checks.traced(train)).values()
    if not reads:
        return []
    variables = ", ".join(sorted(names.of(variable) for variable, _ in reads))
    _, op = next(iter(reads))
    return [
        f"each turn of a loop fetches {variables} from the parameter servers{graph_checks.where(op)}: "
        "recurrent layers of Keras do; read such weights once, before the loop (models/common/recurrent.py), "
        "or train without --num_ps"
    ]


def _steps(job, element_spec, names, sharded):
    """({name: function} of the training step, what the description says of its parts)."""
    if not sharded:
        return {"train": job.train_function(element_spec)}, {}
    step = job.sharded_step(element_spec, names)
    functions = {"train": step.train()}
    graph_checks.traced(functions["train"])  # what both refuse is refused as of this
    try:
        functions |= step.parts()
    except ExportError as error:
        return functions, {"not_synchronous": error.message}
    return functions, step.describe()


def _features_of(element, trained):
    """Of what dataset_fn gives for prediction: features, or (features, labels) as in training."""
    if type(element) is tuple and len(element) == 2 and _same_types(element[0], trained[0]):
        return element[0]
    return element


def _same_types(one, other):
    try:
        tf.nest.assert_same_structure(one, other, expand_composites=True)
    except (TypeError, ValueError):
        return False
    pairs = zip(
        tf.nest.flatten(one, expand_composites=True),
        tf.nest.flatten(other, expand_composites=True),
        strict=True,
    )
    return all(a.dtype == b.dtype and a.shape.is_compatible_with(b.shape) for a, b in pairs)


def _describe(job, module, datasets, features_spec, metrics, predict):
    trained = datasets[TRAINING][1]
    outputs = predict.get_concrete_function().structured_outputs
    values = metrics.get_concrete_function()
    return {
        "version": FORMAT,
        "id": uuid.uuid4().hex,
        "model_file": module.path,
        "minibatch_size": job.minibatch_size,
        "datasets": {
            mode: {
                "signature": f"dataset_{mode}",
                "account": ACCOUNTS[mode],
                "elements": [_describe_spec(spec) for spec in _element_specs(element)],
            }
            for mode, (_, element) in datasets.items()
        },
        "train": {"signature": "train", "inputs": _names(_batch_specs(trained))},
        "evaluate": {
            "signature": "evaluate",
            "inputs": _names(_batch_specs(datasets[EVALUATION][1])),
            "sums": values.inputs[0].shape.num_elements(),
        },
        "metrics": {"signature": "metrics", "outputs": sorted(values.structured_outputs)},
        "predict": {
            "signature": "predict",
            "inputs": _names(_flat_specs(features_spec, "features")),
            "outputs": [_describe_spec(spec, name) for name, spec in sorted(outputs.items())],
        },
    }


def _names(specs):
    return [spec.name for spec in specs]


def _element_specs(element):
    """Of one batch: (features, labels), or what a dataset for prediction gives."""
    if type(element) is tuple and len(element) == 2:
        return _batch_specs(element)
    return _flat_specs(element, "features")


def _describe_spec(spec, name=None):
    shape = None if spec.shape.rank is None else spec.shape.as_list()
    return {"name": name or spec.name, "dtype": spec.dtype.name, "shape": shape}


def _batch_specs(element_spec):
    features, labels = element_spec
    return [*_flat_specs(features, "features"), *_flat_specs(labels, "labels")]


def _flat_specs(structure, root):
    """Specs of the dense components, named by where they stand in the structure."""
    named = []
    for path, spec in _with_paths(structure, root):
        components = tf.nest.flatten(spec, expand_composites=True)
        for i, component in enumerate(components):
            suffix = f"_{i}" if len(components) > 1 else ""
            named.append(tf.TensorSpec(component.shape, component.dtype, name=path + suffix))
    names = [spec.name for spec in named]
    # Names that differ only in what a signature's argument may not hold.
    return [
        tf.TensorSpec(s.shape, s.dtype, s.name if names.count(s.name) == 1 else f"{s.name}_{i}")
        for i, s in enumerate(named)
    ]


def _with_paths(structure, path):
    if isinstance(structure, dict):
        for key in sorted(structure):
            yield from _with_paths(structure[key], f"{path}_{key}")
    elif isinstance(structure, (tuple, list)):
        for i, item in enumerate(structure):
            yield from _with_paths(item, f"{path}_{i}")
    else:
        yield "".join(c if c.isalnum() or c == "_" else "_" for c in path), structure


def _packed(spec, flat):
    return tf.nest.pack_sequence_as(spec, list(flat), expand_composites=True)


def _named_outputs(outputs):
    if isinstance(outputs, dict):
        return {str(key): tf.identity(value) for key, value in outputs.items()}
    flat = tf.nest.flatten(outputs)
    return {f"output_{i}": tf.identity(value) for i, value in enumerate(flat)}

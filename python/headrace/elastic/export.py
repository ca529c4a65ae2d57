"""Traces a model module into a SavedModel that the trainer runs without Python.

The SavedModel is the only contract between the model's Python and the C++ that trains it:

    dataset_train(dataset)    variant -> variant: (identity, record) to (identity, *elements), batched
    train(*elements)          one step on one batch: {"loss": scalar, "step": int64}
    predict(*features)        {output: tensor}; also as serving_default

`elements` are the features and labels of `dataset_fn`, flattened; assets.extra/headrace_job.json
(docs/formats.md, "job") names them, and everything else that the trainer must know.
"""

import json
import os

import tensorflow as tf

from headrace.data import tracking
from headrace.elastic import graph_checks
from headrace.elastic.model_module import ModelModule
from headrace.errors import ExportError

FORMAT = 1
TRAIN = "train"
RECORD = (tf.TensorSpec([], tf.int64), tf.TensorSpec([], tf.string))


class Job(tf.Module):
    """What is saved: the model, its optimizer, a step counter, and the traced functions.

    The variables and functions are the ones that run; `model` keeps whatever else the model owns, such
    as lookup tables, alive and saved with them.
    """

    def __init__(self, module: ModelModule, minibatch_size=None, metadata=None):
        super().__init__(name="headrace_job")
        self._module = module
        self._made = {}
        self.model = module.custom_model()
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="headrace_step")
        self.optimizer = module.optimizer()
        self.minibatch_size = minibatch_size
        self.metadata = metadata

    # --- data ---------------------------------------------------------------------------------

    def transformed(self, dataset, mode, account):
        """The module's dataset_fn on a dataset of (identity, record), batched."""
        tracked = self._module.dataset_fn(tracking.source(dataset, account), mode, self.metadata)
        if not isinstance(tracked, tracking.TrackedDataset):
            raise ExportError(
                f"{self._module.path}: dataset_fn must return the dataset that it was given, "
                f"transformed, not {type(tracked).__name__}"
            )
        if tracked.batched and self.minibatch_size is not None:
            raise ExportError(
                f"{self._module.path}: dataset_fn batches by itself, so --minibatch_size "
                f"{self.minibatch_size} cannot be used: leave one of the two out"
            )
        if tracked.batched:
            return tracked
        if self.minibatch_size is None:
            raise ExportError(
                f"{self._module.path}: dataset_fn makes no batches: give --minibatch_size"
            )
        return tracked.batch(self.minibatch_size)

    def dataset_function(self, mode, account):
        """(function, spec of one element) for `mode`."""
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

        build.get_concrete_function()
        return build, spec[0]

    # --- model --------------------------------------------------------------------------------

    def predictions(self, features, training):
        try:
            return self.model(features, training=training)
        except TypeError as error:
            if "training" not in str(error):
                raise
            return self.model(features)

    def total_loss(self, features, labels):
        loss = self._module.loss(labels, self.predictions(features, training=True))
        loss = tf.reduce_mean(loss)
        extra = getattr(self.model, "losses", None)
        return tf.add_n([loss, *extra]) if extra else loss

    def train_function(self, element_spec):
        self._check_element(element_spec)
        variables = self._trainable(element_spec[0])

        @tf.function(input_signature=_batch_specs(element_spec))
        def train(*elements):
            features, labels = _packed(element_spec, elements)
            with tf.GradientTape() as tape:
                loss = self.total_loss(features, labels)
            gradients = tape.gradient(loss, variables)
            self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
            return {"loss": loss, "step": self.step.assign_add(1)}

        return train

    def predict_function(self, features_spec):
        @tf.function(input_signature=_flat_specs(features_spec, "features"))
        def predict(*elements):
            return _named_outputs(self.predictions(_packed(features_spec, elements), False))

        return predict

    def _check_element(self, element_spec):
        if type(element_spec) is tuple and len(element_spec) == 2:
            return
        raise ExportError(
            f"{self._module.path}: for training dataset_fn must give (features, labels), not "
            f"{element_spec}"
        )

    def _trainable(self, features_spec):
        """The model's variables, made if the model makes them with its first call."""
        build = tf.function(lambda *e: self.predictions(_packed(features_spec, e), True))
        if not getattr(self.model, "built", False):
            build.get_concrete_function(*_flat_specs(features_spec, "features"))
        variables = list(self.model.trainable_variables)
        if not variables:
            raise ExportError(f"{self._module.path}: the model has no trainable variables")
        self.optimizer.build(variables)
        return variables


def export(module: ModelModule, directory: str, minibatch_size=None, metadata=None) -> dict:
    """Writes the SavedModel of a training job, and returns its job description.

    minibatch_size: records of a batch, unless dataset_fn batches by itself.
    metadata: handed to dataset_fn as it is.
    Errors: ExportError, TrackingError; what the module's own functions raise comes through.
    """
    job = Job(module, minibatch_size, metadata)
    build, element_spec = job.dataset_function(TRAIN, TRAIN)
    train = job.train_function(element_spec)
    predict = job.predict_function(element_spec[0])
    signatures = {"dataset_train": build, "train": train, "predict": predict}
    for name, function in signatures.items():
        graph_checks.check(function.get_concrete_function(), name)
    job.functions = list(signatures.values())
    tf.saved_model.save(job, directory, {**signatures, "serving_default": predict})
    description = _describe(job, module, element_spec, predict)
    extra = os.path.join(directory, "assets.extra")
    os.makedirs(extra, exist_ok=True)
    with open(os.path.join(extra, "headrace_job.json"), "w", encoding="utf-8") as file:
        json.dump(description, file, indent=2)
    return description


def _describe(job, module, element_spec, predict):
    specs = _batch_specs(element_spec)
    outputs = predict.get_concrete_function().structured_outputs
    return {
        "version": FORMAT,
        "model_file": module.path,
        "minibatch_size": job.minibatch_size,
        "datasets": {TRAIN: {"signature": "dataset_train", "account": TRAIN}},
        "elements": [_describe_spec(spec) for spec in specs],
        "train": {"signature": "train", "inputs": [s.name for s in specs]},
        "predict": {
            "signature": "predict",
            "inputs": [s.name for s in _flat_specs(element_spec[0], "features")],
            "outputs": [_describe_spec(spec, name) for name, spec in sorted(outputs.items())],
        },
    }


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

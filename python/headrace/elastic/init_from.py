"""Starts a model from somebody else's checkpoint."""

import os
import tempfile

import tensorflow as tf

from headrace.elastic import job_file, object_graph, variable_names
from headrace.errors import ExportError


def load(model, path: str) -> list:
    """Gives the model's variables the values of a checkpoint, as far as it has them.

    path: a directory with TensorFlow's or Headrace's checkpoints (the newest is taken), one of these, a
        SavedModel, a checkpoint's prefix, or Keras's .weights.h5 or .keras file. In what Headrace wrote
        variables are found by the names that an export gives them; else by their place below the model,
        whatever was saved around it; in name-based checkpoints by their name.
    Returns the names of what was loaded. Errors: ExportError if there is no checkpoint, a shape
    differs, or nothing fits.
    """
    if path.endswith((".h5", ".keras")):
        return _load_keras(model, path)
    prefix = _prefix(path)
    theirs = object_graph.read(prefix)
    loaded = _by_exported_name(model, prefix)
    if not loaded:
        loaded = _by_name(model, prefix) if theirs is None else _by_place(model, prefix, theirs)
    if not loaded:
        found = [name for name, _ in tf.train.list_variables(prefix) if name != object_graph.GRAPH_KEY]
        raise ExportError(f"{path} holds no variable of this model; it holds {', '.join(found[:10])}")
    return loaded


def _prefix(path):
    for candidate in (path, os.path.join(path, "variables"), os.path.join(path, "variables", "variables")):
        if os.path.isfile(candidate + ".index"):
            return candidate
    ours = job_file.latest_checkpoint(path)
    if ours:
        return os.path.join(ours, "variables")
    newest = tf.train.latest_checkpoint(path) if os.path.isdir(path) else None
    if newest is None:
        raise ExportError(f"--checkpoint_dir_for_init {path}: there is no checkpoint")
    return newest


def _load_keras(model, path):
    if not os.path.isfile(path):
        raise ExportError(f"--checkpoint_dir_for_init {path}: there is no such file")
    try:
        model.load_weights(path)
    except (ValueError, OSError, AttributeError) as error:
        raise ExportError(f"{path} does not fit the model: {error}") from error
    return [variable.path for variable in model.variables]


def _by_exported_name(model, prefix):
    reader = tf.train.load_checkpoint(prefix)
    shapes = reader.get_variable_to_shape_map()
    loaded = []
    for name, variable in zip(variable_names.Names(model.variables).all(), model.variables, strict=True):
        key = variable_names.key(name)
        if key in shapes:
            _check_shape(name, shapes[key], variable.shape)
            variable.assign(reader.get_tensor(key))
            loaded.append(name)
    return loaded


def _by_name(model, prefix):
    reader = tf.train.load_checkpoint(prefix)
    loaded = []
    for variable in model.variables:
        names = [getattr(variable, "path", None), variable.name.split(":")[0]]
        name = next((n for n in names if n and reader.has_tensor(n)), None)
        if name is not None:
            _check_shape(name, reader.get_variable_to_shape_map()[name], variable.shape)
            variable.assign(reader.get_tensor(name))
            loaded.append(name)
    return loaded


def _by_place(model, prefix, theirs):
    """Writes a checkpoint of the model with the other's values, and reads that."""
    with tempfile.TemporaryDirectory() as directory:
        own = tf.train.Checkpoint(model=model).write(os.path.join(directory, "own"))
        ours = object_graph.read(own)
        root = object_graph.child(ours, 0, "model")
        places = [0] + [object_graph.child(theirs, 0, name) for name in ("model", "root", "_model")]
        keys = max(
            (object_graph.match(ours, root, theirs, place) for place in places if place is not None),
            key=len,
        )
        mine, its = tf.train.load_checkpoint(own), tf.train.load_checkpoint(prefix)
        values = {key: mine.get_tensor(key) for key in mine.get_variable_to_shape_map()}
        for key, other in keys.items():
            _check_shape(other, its.get_variable_to_shape_map()[other], values[key].shape)
            values[key] = its.get_tensor(other)
        merged = os.path.join(directory, "merged")
        names = sorted(values)
        tf.raw_ops.SaveV2(
            prefix=merged,
            tensor_names=names,
            shape_and_slices=[""] * len(names),
            tensors=[tf.convert_to_tensor(values[name]) for name in names],
        )
        tf.train.Checkpoint(model=model).read(merged).expect_partial()
        return sorted(keys.values())


def _check_shape(name, found, wanted):
    if tuple(found) != tuple(wanted):
        raise ExportError(
            f"'{name}' has the shape {tuple(found)} in the checkpoint and {tuple(wanted)} in the model"
        )

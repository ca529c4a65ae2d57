"""What a step gave: values as bytes, errors by type, message and op."""

import dataclasses
import re
from typing import Any

import numpy as np
import tensorflow as tf

_RAGGED = tf.compat.v1.ragged.RaggedTensorValue

# Text that TensorFlow adds around a kernel's own message.
_HEADER = "Graph execution error:\n\n"
_DETECTED = re.compile(r"Detected at node .*?\nNode: '[^']*'\n", re.DOTALL)
_NODE = re.compile(r"\s*\[\[\{\{node ([^}]*)\}\}\]\](?:\[[^\]]*\])?")
_FUNCTION_NODE = re.compile(r"\{\{function_node [^}]*\}\}\s*")
_IN_OP = re.compile(r"\s*\[\[[^\]]*\]\]")
# Queues and datasets are numbered per process: '_7_batch/fifo_queue', MapDataset:2.
_NUMBERS = ((re.compile(r"'_\d+_"), "'_N_"), (re.compile(r"Dataset:\d+"), "Dataset:N"))


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Of one step. Two are equal when every byte of every fetched tensor is, or the same op failed
    in the same way."""

    leaves: tuple[Any, ...] = ()
    error: str = ""  # name of the exception class, "" for success
    message: str = ""  # the kernel's own
    node: str = ""  # the op that TensorFlow names, "" where it names none

    @property
    def ok(self):
        return not self.error

    def __str__(self):
        if self.error:
            return f"{self.error} at {self.node or '?'}: {self.message}"
        return "; ".join(_leaf_text(leaf) for leaf in self.leaves)


def of_value(value):
    leaves = []
    _collect(value, "", leaves)
    return Outcome(leaves=tuple(leaves))


def of_error(error):
    text = error.message
    nodes = _NODE.findall(text)
    core = _strip(text)
    for pattern, replacement in _NUMBERS:
        core = pattern.sub(replacement, core)
    node = nodes[0] if nodes else ""
    if core == "End of sequence":
        # Of two iterators that end in one step stock TensorFlow reports whichever it asked first.
        node = "an iterator"
    return Outcome(error=type(error).__name__, message=core, node=node)


def _strip(text):
    text = text.split("\n\nOriginal stack trace")[0]
    if text.startswith(_HEADER):
        text = text[len(_HEADER) :]
    text = _DETECTED.sub("", text)
    text = _FUNCTION_NODE.sub("", text)
    return _IN_OP.sub("", _NODE.sub("", text)).strip()


def _collect(value, path, leaves):
    if isinstance(value, dict):
        for key in sorted(value):
            _collect(value[key], f"{path}.{key}", leaves)
    elif isinstance(value, _RAGGED):
        _collect(value.values, path + ".values", leaves)
        _collect(value.row_splits, path + ".row_splits", leaves)
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            _collect(item, f"{path}[{i}]", leaves)
    elif value is None:
        leaves.append((path, "none", (), b""))
    elif isinstance(value, (bytes, str)):
        leaves.append((path, "string", (), (value,)))
    else:
        array = np.asarray(value)
        if array.dtype == object:
            leaves.append((path, "string", array.shape, tuple(array.ravel().tolist())))
        else:
            leaves.append((path, array.dtype.name, array.shape, array.tobytes()))


def _leaf_text(leaf):
    path, dtype, shape, data = leaf
    if isinstance(data, bytes) and dtype not in ("none", "bfloat16"):
        data = np.frombuffer(data, dtype=np.dtype(dtype)).tolist()
    return f"{path or '.'}: {dtype}{list(shape)} {data!r}"


def difference(expected, actual):
    """A text that says where two lists of outcomes differ, or "" where they do not."""
    for step, (want, got) in enumerate(zip(expected, actual, strict=False)):
        if want != got:
            return f"step {step}: expected {want}\n          but got {got}"
    if len(expected) != len(actual):
        return f"{len(expected)} steps expected, {len(actual)} made"
    return ""

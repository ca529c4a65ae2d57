"""Marks on operations, as attributes that change nothing about what a graph computes.

docs/formats.md ("Attributes on nodes") lists them. Importing this module imports TensorFlow.
"""

from headrace import library
from headrace.errors import EagerExecutionError, GraphFinalizedError, StagedArgumentError

tf = library.import_tensorflow()

from tensorflow.core.framework import attr_value_pb2  # noqa: E402

STAGED = "_headrace_staged"
OPTIONS = "_headrace_options"
TARGET = "_headrace_target"
KEEP = "_headrace_keep"


def keep(tensors):
    """Keeps operations in the step, so that they can be fed and fetched under their own names.

    tensors: a tensor or operation (sparse and ragged tensors count as their parts), the name of one
        in the default graph, or a nested structure of those. Call it before the session is made.
        What comes after a kept operation stays in the step as well.
    Errors: StagedArgumentError, EagerExecutionError, GraphFinalizedError.
    """
    _mark(tensors, KEEP, "keep")


def kept(graph=None) -> list:
    """Names of the operations of `graph` (None = the default graph) that keep() has marked."""
    graph = graph or tf.compat.v1.get_default_graph()
    return [op.name for op in graph.get_operations() if _has(op, KEEP)]


def mark_target_node(tensors):
    """Keeps operations, and all that depends on them, out of every stage.

    Arguments and errors: as keep().
    """
    _mark(tensors, TARGET, "mark_target_node")


def _mark(tensors, attribute, function):
    require_graph_mode(function)
    for op in operations(tensors, function):
        if op.graph.finalized:
            raise GraphFinalizedError(
                f"{function}() cannot mark '{op.name}': its graph is finalized. Call it before the "
                "session is made"
            )
        op._set_attr(attribute, attr_value_pb2.AttrValue(b=True))


def require_graph_mode(function):
    if tf.executing_eagerly():
        raise EagerExecutionError(
            f"{function}() marks a graph, but TensorFlow executes eagerly here: call it inside "
            "`with tf.Graph().as_default():`, or import headrace.compat.v1, which turns eager mode "
            "off"
        )


def operations(tensors, function) -> list:
    """The operations behind tensors, operations, names and nested structures of them."""
    found = []
    for leaf in tf.nest.flatten(tensors, expand_composites=True):
        if isinstance(leaf, str):
            leaf = _by_name(leaf, function)
        if isinstance(leaf, tf.Operation):
            found.append(leaf)
        elif isinstance(leaf, tf.Tensor) and hasattr(leaf, "graph"):
            found.append(leaf.op)
        else:
            raise StagedArgumentError(
                f"{function}() takes tensors, operations and their names, but got {leaf!r}"
            )
    return found


def _by_name(name, function):
    try:
        return tf.compat.v1.get_default_graph().as_graph_element(name)
    except (KeyError, ValueError) as error:
        raise StagedArgumentError(f"{function}() found no '{name}': {error}") from error


def _has(op, attribute):
    try:
        op.get_attr(attribute)
        return True
    except ValueError:
        return False


def next_group(graph) -> int:
    """The number of the next tf.staged group in `graph`; groups count from 0."""
    last = -1
    for op in graph.get_operations():
        if op.type == "Identity" and _has(op, STAGED):
            last = max(last, op.get_attr(STAGED))
    return last + 1


def mark_staged(op, group, options):
    """Marks an Identity as the end of what tf.staged group `group` runs ahead.

    options: carrier message with the keys that the call set.
    """
    op._set_attr(STAGED, attr_value_pb2.AttrValue(i=group))
    serialized = options.SerializeToString(deterministic=True)
    op._set_attr(OPTIONS, attr_value_pb2.AttrValue(s=serialized))

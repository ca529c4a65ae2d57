"""feed_dict of tf.staged: part of a graph copied with other values in the place of some tensors."""

import inspect
import types

import tensorflow as tf

from headrace.errors import FeedGeneratorError, StagedArgumentError

_WAY_OUT = (
    "a stage calls no Python code: make the values with tf.data.Dataset.from_generator() and an "
    "iterator, and leave feed_dict to constants and tensors"
)
_V1_CONTROL_FLOW = {
    prefix + name
    for prefix in ("", "Ref")
    for name in ("Enter", "Exit", "NextIteration", "Switch", "Merge")
} | {"LoopCond"}


def with_values(tensors, feed_dict):
    """`tensors` as they would be if every tensor in `feed_dict` had the value given there.

    All operations on the way from a fed tensor to `tensors` are copied, in the current name scope,
    with their attributes, devices and control inputs; the copies read the given values (as
    constants, or the tensors given). The rest of the graph is shared, and the originals stay as
    they are: a stateful operation on the way exists twice then, each with its own state or effect.

    tensors: flat list of tf.Tensor.
    feed_dict: tensor, sparse or ragged tensor, or nested tuple of these -> value of the same
        structure: NumPy arrays, Python values, tf.Tensor, SparseTensorValue, RaggedTensorValue.
    Returns: flat list; tensors that depend on no key are returned as they are.
    Errors: StagedArgumentError for a key that `tensors` do not depend on, a value that does not
        fit, or v1 control flow on the way; FeedGeneratorError for callables and generators.
    """
    values = _flat_values(feed_dict)
    order = _between(tensors, values)
    _check_used(feed_dict, values, order, tensors)
    copies = dict(values)  # tensor ref -> tensor that stands for it
    ops = {}  # original op -> copy
    for op in order:
        ops[op] = _copy(op, copies, ops)
        for old, new in zip(op.outputs, ops[op].outputs):
            copies.setdefault(old.ref(), new)
    return [copies.get(t.ref(), t) for t in tensors]


def _flat_values(feed_dict):
    if not isinstance(feed_dict, dict):
        raise StagedArgumentError(
            f"feed_dict must be a dict from tensors to values, not a {type(feed_dict).__name__}"
        )
    values = {}
    for key, value in feed_dict.items():
        _refuse_python(key, value)
        for tensor, given in _pairs(key, value):
            if tensor.ref() in values:
                raise StagedArgumentError(f"feed_dict gives '{tensor.name}' two values")
            values[tensor.ref()] = _convert(tensor, given)
    return values


def _refuse_python(key, value):
    leaves = value if isinstance(value, (list, tuple)) else [value]
    for leaf in leaves:
        python = (
            callable(leaf)
            or inspect.isgenerator(leaf)
            or isinstance(leaf, types.AsyncGeneratorType)
        )
        iterator = hasattr(leaf, "__next__")
        if (python or iterator) and not isinstance(leaf, tf.Tensor):
            raise FeedGeneratorError(
                f"feed_dict[{key!r}] is a {type(leaf).__name__}, but {_WAY_OUT}"
            )


def _pairs(key, value):
    """(tensor, value of that tensor) for a key and its value."""
    if isinstance(key, tuple):
        if not isinstance(value, (tuple, list)) or len(value) != len(key):
            raise StagedArgumentError(f"feed_dict[{key!r}] needs a tuple of {len(key)} values")
        return [pair for k, v in zip(key, value) for pair in _pairs(k, v)]
    if isinstance(key, tf.SparseTensor):
        parts = ("indices", "values", "dense_shape")
        if not all(hasattr(value, part) for part in parts):
            raise StagedArgumentError(f"feed_dict[{key!r}] needs a SparseTensorValue")
        return [(getattr(key, part), getattr(value, part)) for part in parts]
    if isinstance(key, tf.RaggedTensor):
        if not (hasattr(value, "values") and hasattr(value, "row_splits")):
            raise StagedArgumentError(f"feed_dict[{key!r}] needs a RaggedTensorValue")
        return [(key.row_splits, value.row_splits)] + _pairs(key.values, value.values)
    if isinstance(key, tf.Tensor) and hasattr(key, "graph"):
        return [(key, value)]
    raise StagedArgumentError(f"a key of feed_dict is {key!r}, but must be a tensor of the graph")


def _convert(tensor, value):
    try:
        with tf.name_scope(tensor.op.name.rsplit("/", 1)[-1]):
            converted = tf.convert_to_tensor(value, dtype=tensor.dtype)
    except (TypeError, ValueError) as error:
        raise StagedArgumentError(f"the value for '{tensor.name}' does not fit: {error}") from error
    if not tensor.shape.is_compatible_with(converted.shape):
        raise StagedArgumentError(
            f"the value for '{tensor.name}' has shape {converted.shape}, which does not fit "
            f"{tensor.shape}"
        )
    return converted


def _between(tensors, values):
    """Ops on the way from a fed tensor to `tensors`, inputs first; none above a fed tensor."""
    above = _reach([t.op for t in tensors if t.ref() not in values], lambda op: _inputs(op, values))
    below = _reach([op for ref in values for op in ref.deref().consumers()], _outputs)
    way = above & below
    for op in way:
        _check_copyable(op)
    order, done = [], set()
    for first in sorted(way, key=lambda op: op.name):
        stack = [first]
        while stack:
            waiting = [o for o in _inputs(stack[-1], values) if o in way and o not in done]
            if waiting:
                stack.extend(waiting)
                continue
            op = stack.pop()
            if op not in done:
                done.add(op)
                order.append(op)
    return order


def _inputs(op, values):
    return [t.op for t in op.inputs if t.ref() not in values] + list(op.control_inputs)


def _outputs(op):
    return [o for t in op.outputs for o in t.consumers()] + list(op._control_outputs)


def _reach(start, following):
    seen, stack = set(start), list(start)
    while stack:
        for op in following(stack.pop()):
            if op not in seen:
                seen.add(op)
                stack.append(op)
    return seen


def _check_copyable(op):
    if op.type in _V1_CONTROL_FLOW or op._get_control_flow_context() is not None:
        raise StagedArgumentError(
            f"'{op.name}' ({op.type}) depends on a fed tensor and is v1 control flow, which "
            "feed_dict cannot rebuild: use tf.compat.v1.enable_control_flow_v2()"
        )


def _check_used(feed_dict, values, order, tensors):
    used = {t.ref() for op in order for t in op.inputs} | {t.ref() for t in tensors}
    for key in feed_dict:
        parts = tf.nest.flatten(key, expand_composites=True)
        if not any(part.ref() in used for part in parts):
            raise StagedArgumentError(
                f"feed_dict gives {key!r} a value, but the features do not depend on it"
            )


def _copy(op, copies, ops):
    controls = [ops.get(o, o) for o in op.control_inputs]
    attributes = {name: value for name, value in op.node_def.attr.items() if name != "_class"}
    graph = op.graph
    with graph.control_dependencies(None), graph.control_dependencies(controls):
        with graph.device(None), graph.device(op.device or None):
            return graph.create_op(
                op.type,
                [copies.get(t.ref(), t) for t in op.inputs],
                [t.dtype for t in op.outputs],
                name=op.name.rsplit("/", 1)[-1],
                attrs=attributes,
                op_def=op.op_def,
            )


__all__ = ["with_values"]

"""tf.staged: a stage whose end the user chooses."""

import tensorflow as tf

from headrace import carrier, marks
from headrace.compat.v1 import feeds, names, smart_stage_options
from headrace.errors import FeedGeneratorError, StagedArgumentError
from headrace.options import OUT_OF_RANGE, check_codes, check_field

_KEYS = {
    "closed_exception_types": "closed_codes",
    "ignored_exception_types": "ignored_codes",
}


def staged(
    features,
    feed_dict=None,
    capacity=1,
    num_threads=1,
    num_clients=1,
    timeout_millis=300000,
    closed_exception_types=(OUT_OF_RANGE,),
    ignored_exception_types=(),
    use_stage_subgraph_thread_pool=False,
    stage_subgraph_thread_pool_id=0,
    stage_subgraph_stream_id=0,
    name=None,
    items=None,
    feed_generator=None,
):
    """Marks where a stage ends: what `features` are computed from runs ahead of the step.

    features: tensor, or nested structure (list, tuple, dict) of tensors, sparse and ragged tensors;
        None stays None. Types, shapes and structure of the result are the same.
    feed_dict: tensors (placeholders) that `features` depend on -> the values with which the stage
        computes
        them: constants or tensors; see feeds.with_values. Outside the stage the tensors stay what
        they are.
    The other options are those of SmartStageOptions and win over the session's; pools and streams
        are set up on the session's ConfigProto.
    name: name scope of the marks, unique in the graph; also prefix of the stage's name.
    items, feed_generator: of another version of DeepRec, which called Python for each element: an
        error that says what to do.

    Returns: the same structure; each tensor is an Identity with attributes that only Headrace reads
        (docs/formats.md), so the graph also runs, unstaged, without Headrace.
    Errors: StagedArgumentError, FeedGeneratorError, OptionError, DuplicateNameError,
        EagerExecutionError.
    """
    if items is not None or feed_generator is not None:
        raise FeedGeneratorError(
            "staged() takes neither items nor feed_generator: a stage calls no Python code. Make a "
            "dataset with tf.data.Dataset.from_generator() and take the features from its iterator"
        )
    marks.require_graph_mode("staged")
    values = _options(
        capacity=capacity,
        num_threads=num_threads,
        num_clients=num_clients,
        timeout_millis=timeout_millis,
        closed_exception_types=closed_exception_types,
        ignored_exception_types=ignored_exception_types,
        use_stage_subgraph_thread_pool=use_stage_subgraph_thread_pool,
        stage_subgraph_thread_pool_id=stage_subgraph_thread_pool_id,
        stage_subgraph_stream_id=stage_subgraph_stream_id,
    )
    flat = tf.nest.flatten(features, expand_composites=True)
    graph = _graph_of(flat)
    if name is not None:
        values["name"] = check_field("name", name)
    message = carrier.encode_values(values)

    with graph.as_default(), tf.compat.v1.name_scope(name or "prefetch"):
        there = [t for t in flat if t is not None]
        if feed_dict:
            with tf.compat.v1.name_scope("fed"):
                there = feeds.with_values(there, feed_dict)
        if name:
            names.claim(graph, name)
        group = marks.next_group(graph)
        ends = iter([_end(t, group, message) for t in there])
        flat = [None if t is None else next(ends) for t in flat]
    return tf.nest.pack_sequence_as(features, flat, expand_composites=True)


def _options(**values):
    checked = {field: check_field(field, value) for field, value in values.items()}
    smart_stage_options.capacity("capacity", values["capacity"])
    check_codes(checked["closed_exception_types"], checked["ignored_exception_types"])
    encoded = {_KEYS.get(field, field): value for field, value in checked.items()}
    return {"version": carrier.VERSION, **encoded}


def _graph_of(flat):
    graphs = set()
    for leaf in flat:
        if leaf is None:
            continue
        if not isinstance(leaf, tf.Tensor) or not hasattr(leaf, "graph"):
            raise StagedArgumentError(f"features hold {leaf!r}, which is no tensor of a graph")
        graphs.add(leaf.graph)
    if not graphs:
        raise StagedArgumentError("features hold no tensor")
    if len(graphs) > 1:
        raise StagedArgumentError("features hold tensors of several graphs")
    return graphs.pop()


def _end(tensor, group, message):
    # Not tf.identity: it returns composites and, under a tape, records.
    end = tf.raw_ops.Identity(input=tensor)
    end.set_shape(tensor.shape)
    marks.mark_staged(end.op, group, message)
    return end

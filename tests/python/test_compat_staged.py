"""tf.staged, keep and mark_target_node: the marks they leave, and what feed_dict computes."""

import numpy as np
import pytest
import tensorflow
from tensorflow.core.protobuf import rewriter_config_pb2
from tensorflow.python.eager import context

import compat_module
import headrace
from headrace import marks
from headrace.errors import (
    DuplicateNameError,
    EagerExecutionError,
    FeedGeneratorError,
    GraphFinalizedError,
    OptionError,
    StagedArgumentError,
)

tf = compat_module.load()


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


def options_of(tensor):
    serialized = tensor.op.get_attr(marks.OPTIONS)
    return rewriter_config_pb2.RewriterConfig.CustomGraphOptimizer.FromString(
        serialized
    ).parameter_map


def evaluate(fetches, feed_dict=None):
    """In a session that knows nothing of Headrace."""
    with tensorflow.compat.v1.Session() as session:
        return session.run(fetches, feed_dict)


def test_structure_types_and_shapes_stay():
    features = {
        "dense": tf.zeros([2, 3]),
        "list": [tf.constant("a"), (tf.ones([4], tf.int64), None)],
        "sparse": tf.SparseTensor([[0, 1]], [5.0], [2, 2]),
        "ragged": tf.ragged.constant([[1, 2], [3]]),
        "unknown": tf.placeholder_with_default([1.0], [None]),
    }
    out = tf.staged(features)
    tf.nest.assert_same_structure(features, out, expand_composites=True)
    assert out["list"][1][1] is None
    for before, after in zip(
        *(tf.nest.flatten(x, expand_composites=True) for x in (features, out))
    ):
        if before is None:
            continue
        assert after.op.type == "Identity" and after.op.get_attr(marks.STAGED) == 0
        assert after.dtype == before.dtype and after.shape.as_list() == before.shape.as_list()
        np.testing.assert_array_equal(*evaluate([before, after]))


def test_single_tensor_and_list():
    assert tf.staged(tf.constant(1)).op.type == "Identity"
    out = tf.staged([tf.constant(1), tf.constant(2)])
    assert isinstance(out, list)
    out[0] = None  # as the seed's example does


def test_groups_count_from_zero_also_past_imported_marks(graph):
    assert tf.staged(tf.constant(1)).op.get_attr(marks.STAGED) == 0
    assert tf.staged(tf.constant(1)).op.get_attr(marks.STAGED) == 1
    saved = graph.as_graph_def()
    with tf.Graph().as_default():
        tf.import_graph_def(saved, name="again")
        assert tf.staged(tf.constant(1)).op.get_attr(marks.STAGED) == 2


def test_options_are_the_calls_own():
    out = tf.staged(
        tf.constant(1),
        capacity=3,
        num_threads=2,
        num_clients=4,
        timeout_millis=0,
        closed_exception_types=(tf.errors.CancelledError,),
        stage_subgraph_thread_pool_id=1,
        use_stage_subgraph_thread_pool=True,
        name="input",
    )
    found = options_of(out)
    assert out.op.name.startswith("input/")
    assert (found["capacity"].i, found["num_threads"].i, found["num_clients"].i) == (3, 2, 4)
    assert found["timeout_millis"].i == 0 and list(found["closed_codes"].list.i) == [1]
    assert found["use_stage_subgraph_thread_pool"].b and found["name"].s == b"input"
    # What only the session can say is not there, so that the session's value holds.
    assert not {"pool_names", "streams", "tag", "smart", "exclude", "cut"} & set(found)
    assert "name" not in options_of(tf.staged(tf.constant(1)))
    assert options_of(tf.staged(tf.constant(1)))["capacity"].i == 1


def test_marks_do_not_change_saved_graphs(graph):
    tf.staged(tf.constant(1.0))
    assert all("Headrace" not in node.op for node in graph.as_graph_def().node)


@pytest.mark.parametrize(
    "field,value",
    [
        ("capacity", 0),
        ("num_threads", 4097),
        ("num_clients", 0),
        ("timeout_millis", -1),
        ("closed_exception_types", 3),
        ("ignored_exception_types", (11,)),
        ("use_stage_subgraph_thread_pool", 1),
        ("stage_subgraph_thread_pool_id", -1),
        ("stage_subgraph_stream_id", -1),
        ("name", "a b"),
    ],
)
def test_bad_options(field, value, graph):
    one = tf.constant(1)
    before = len(graph.get_operations())
    with pytest.raises(OptionError, match=field):
        tf.staged(one, **{field: value})
    assert len(graph.get_operations()) == before


def test_duplicate_name():
    tf.SmartStageOptions(name="a")
    tf.staged(tf.constant(1), name="b")
    for name in ("a", "b"):
        with pytest.raises(DuplicateNameError, match=f"'{name}'"):
            tf.staged(tf.constant(1), name=name)


@pytest.mark.parametrize("features", [[], {"a": None}, [1], "x", np.zeros(3)])
def test_features_that_are_no_tensors(features):
    with pytest.raises(StagedArgumentError, match="features"):
        tf.staged(features)


def test_features_of_two_graphs():
    with tf.Graph().as_default():
        other = tf.constant(1)
    with pytest.raises(StagedArgumentError, match="several graphs"):
        tf.staged([tf.constant(1), other])


def test_feed_dict_replaces_inside_the_stage_only():
    scale = tf.placeholder(tf.float32, [], name="scale")
    shared = tf.constant([1.0, 2.0]) + 1.0
    with tf.device("/cpu:0"), tf.control_dependencies([tf.check_numerics(scale, "scale")]):
        features = tf.multiply(shared, scale, name="scaled")
    out = tf.staged([features, shared], feed_dict={scale: 10.0}, name="in")
    np.testing.assert_array_equal(evaluate(out[0]), [20.0, 30.0])
    np.testing.assert_array_equal(evaluate(features, {scale: 3.0}), [6.0, 9.0])
    copied = out[0].op.inputs[0].op
    assert copied.name.startswith("in/fed/") and copied.device == features.op.device
    assert [op.type for op in copied.control_inputs] == ["CheckNumerics"]
    assert copied.control_inputs[0] is not features.op.control_inputs[0]
    assert out[1].op.inputs[0] is shared, "what does not depend on the fed tensor is shared"


def test_feed_dict_with_tensors_and_inner_tensors():
    a = tf.placeholder(tf.int32, [])
    b = a * 2
    c = b + 1
    assert evaluate(tf.staged(c, {a: tf.constant(3) + 1})) == 9
    assert evaluate(tf.staged(c, {b: 5})) == 6
    assert evaluate(tf.staged(a, {a: 7})) == 7


def test_feed_dict_with_sparse_ragged_and_tuples():
    sparse = tf.sparse_placeholder(tf.float32, [2, 2])
    ragged = tf.ragged.placeholder(tf.int64, 1)
    pair = (tf.placeholder(tf.float32, []), tf.placeholder(tf.float32, []))
    dense = tf.sparse.to_dense(sparse)
    total = tf.reduce_sum(ragged.values)
    out = tf.staged(
        [dense, total, pair[0] - pair[1]],
        {
            sparse: tf.SparseTensorValue([[1, 0]], [4.0], [2, 2]),
            ragged: tf.ragged.constant_value([[1, 2], [], [5]], dtype=np.int64),
            pair: (5.0, 3.0),
        },
    )
    values = evaluate(out)
    np.testing.assert_array_equal(values[0], [[0, 0], [4, 0]])
    assert values[1] == 8 and values[2] == 2


def test_feed_dict_of_an_iterator_handle():
    dataset = tf.data.Dataset.range(5)
    handle = tf.placeholder(tf.string, [])
    iterator = tf.data.Iterator.from_string_handle(
        handle, tf.data.get_output_types(dataset), tf.data.get_output_shapes(dataset)
    )
    chosen = tf.data.make_one_shot_iterator(dataset)
    value = tf.staged(iterator.get_next(), {handle: chosen.string_handle()})
    with tensorflow.compat.v1.Session() as session:
        assert [session.run(value) for _ in range(3)] == [0, 1, 2]


def test_feed_dict_through_functions_and_conditionals():
    x = tf.placeholder(tf.float32, [])
    y = tensorflow.cond(x > 0.0, lambda: x * 2.0, lambda: x - 1.0)
    staged = tf.staged([y, y + 1.0], {x: -3.0})
    assert evaluate(staged) == [-4.0, -3.0]


def test_feed_dict_and_v1_control_flow():
    x = tf.placeholder(tf.int32, [])
    tf.disable_control_flow_v2()
    try:
        y = tf.while_loop(lambda i: i < 10, lambda i: i + x, [0])
    finally:
        tf.enable_control_flow_v2()
    with pytest.raises(StagedArgumentError, match="v1 control flow"):
        tf.staged(y, {x: 3})


def test_feed_dict_that_does_not_fit():
    x = tf.placeholder(tf.float32, [2], name="x")
    unused = tf.placeholder(tf.float32, [], name="unused")
    for feed_dict, text in [
        ({x: "text"}, "x:0"),
        ({x: [1.0, 2.0, 3.0]}, "shape"),
        ({x: [1.0, 2.0], unused: 1.0}, "unused"),
        ({"x:0": [1.0, 2.0]}, "must be a tensor"),
        ({(x, unused): 1.0}, "tuple of 2"),
        ([x], "must be a dict"),
        (4, "must be a dict"),
    ]:
        with pytest.raises(StagedArgumentError, match=text):
            tf.staged(x * 2.0, feed_dict)


def test_python_in_a_stage_is_refused_with_the_way_out():
    x = tf.placeholder(tf.float32, [])

    def generator():
        yield 1.0

    for call in (
        lambda: tf.staged(x, {x: generator}),
        lambda: tf.staged(x, {x: generator()}),
        lambda: tf.staged(x, {x: iter([1.0])}),
        lambda: tf.staged(x, items=[x], feed_generator=generator()),
        lambda: tf.staged(x, feed_generator=generator),
    ):
        with pytest.raises(FeedGeneratorError, match="from_generator"):
            call()


def marked(graph, attribute):
    return [op.name for op in graph.get_operations() if marks._has(op, attribute)]


def test_keep_and_target_marks(graph):
    a, b = tf.constant(1, name="a"), tf.constant(2, name="b")
    sparse = tf.SparseTensor([[0]], [1.0], [1])
    tf.train.mark_target_node([a])
    tf.mark_target_node(b.op)
    assert marked(graph, marks.TARGET) == ["a", "b"]
    tf.keep([a, {"s": sparse}])
    tf.keep("b:0")
    headrace.keep("b")
    assert (
        set(tf.kept())
        == set(headrace.kept(graph))
        == {"a", "b", *(t.op.name for t in (sparse.indices, sparse.values, sparse.dense_shape))}
    )


@pytest.mark.parametrize("function", ["keep", "mark_target_node"])
def test_marks_refuse(function, graph):
    mark = getattr(headrace, function)
    for wrong in (3, ["nothing"], "nothing:0", [np.zeros(1)]):
        with pytest.raises(StagedArgumentError, match=function):
            mark(wrong)
    one = tf.constant(1)
    graph.finalize()
    with pytest.raises(GraphFinalizedError, match="before the session"):
        mark(one)


def test_marks_in_eager_mode():
    with context.eager_mode():
        for call in (tf.keep, tf.mark_target_node, tf.staged):
            with pytest.raises(EagerExecutionError, match="as_default"):
                call(tensorflow.constant(1))

"""Kinds of tensors: sparse, ragged, string, variant, every width, empty, partial batches."""

import numpy as np
import tensorflow as tf

from corpus.case import Dataset, case, iterate, program, train

tf1 = tf.compat.v1

ROWS = ["the quick", "brown", "fox jumps over the", "", "lazy dog", "a b c", "end"]


def _sparse_rows():
    indices = [[0, 0], [0, 3], [1, 1], [2, 0], [2, 1], [2, 4], [4, 2], [5, 0]]
    return tf.SparseTensor(indices, tf.range(1, 9, dtype=tf.float32), [6, 5])


@case([{"next", "DeserializeSparse", "unstack", "stack", "dense", "sum"}], crossing={"sum:0"})
def sparse_element_made_dense():
    iterator, rows = iterate(Dataset.from_tensor_slices(_sparse_rows()).batch(4))
    dense = tf.sparse.to_dense(rows, name="dense")
    return program([iterator], [train(tf.reduce_sum(dense, axis=[0], name="sum"))])


@case(
    [{"next", "DeserializeSparse", "unstack", "stack", "rows", "shape", "indices", "values"}],
    crossing={"DeserializeSparse:0", "DeserializeSparse:1", "indices:0", "values:0", "shape:0"},
)
def sparse_element_crosses():
    """Indices, values and shape of a sparse batch are fetched and multiplied with a variable."""
    iterator, rows = iterate(Dataset.from_tensor_slices(_sparse_rows()).batch(4))
    size = tf.strided_slice(rows.dense_shape, [0], [1], shrink_axis_mask=1, name="rows")
    rows = tf.SparseTensor(rows.indices, rows.values, tf.stack([size, 5], name="shape"))
    table = tf1.get_variable("table", initializer=tf.ones([5, 2]), use_resource=True)
    product = tf1.sparse_tensor_dense_matmul(rows, table.read_value())
    indices, values = tf.identity(rows.indices, "indices"), tf.identity(rows.values, "values")
    return program([iterator], [tf.SparseTensor(indices, values, rows.dense_shape), product])


@case([{"next", "tokens/*", "hash"}])
def ragged_tokens():
    iterator, lines = iterate(Dataset.from_tensor_slices(ROWS).batch(3))
    with tf1.name_scope("tokens"):
        tokens = tf.strings.split(lines)
    ids = tf.strings.to_hash_bucket_fast(tokens.values, 50, name="hash")
    table = tf1.get_variable(
        "table",
        shape=[50, 3],
        use_resource=True,
        initializer=tf1.constant_initializer(np.arange(150.0).reshape(50, 3)),
    )
    summed = tf.math.segment_sum(tf.gather(table, ids), tokens.value_rowids())
    return program([iterator], [summed, tokens.row_splits, ids])


@case([{"next", "RaggedFromVariant/RaggedTensorFromVariant", "parts/*", "shape"}])
def ragged_element():
    """The iterator yields ragged tensors, as variants."""
    rows = tf.ragged.constant([[1, 2], [], [3], [4, 5, 6], [7], [8, 9]], dtype=tf.int64)
    iterator = tf1.data.make_initializable_iterator(Dataset.from_tensor_slices(rows).batch(2))
    raw = iterator.get_next(name="next")
    with tf1.name_scope("parts"):
        means = tf.reduce_max(raw * 2, axis=1)
    return program([iterator], [train(tf.shape(means, name="shape"))])


@case([{"next", "upper", "joined", "sub", "length", "replaced", "code"}])
def strings():
    iterator, line = iterate(Dataset.from_tensor_slices(ROWS))
    upper = tf.strings.upper(line, name="upper")
    joined = tf.strings.join([upper, line], separator="-", name="joined")
    replaced = tf.strings.regex_replace(joined, "[aeiou]+", "*", name="replaced")
    sub = tf.strings.substr(replaced, 0, 1, name="sub")
    code = tf.io.encode_base64(sub, name="code")
    return program([iterator], [train(tf.strings.length(joined, name="length")), code])


@case([{"next", "list", "TensorListStack"}], crossing={"list:0", "TensorListStack:0"})
def variant_crosses():
    """A tensor list crosses and the training step writes into its copy."""
    iterator, x = iterate(Dataset.range(24).batch(4))
    shape = tf.constant([], tf.int32)
    listed = tf.raw_ops.TensorListFromTensor(tensor=x, element_shape=shape, name="list")
    step = train(tf.constant(1000, tf.int64))
    written = tf.raw_ops.TensorListSetItem(input_handle=listed, index=1, item=step)
    return program(
        [iterator],
        [
            tf.raw_ops.TensorListStack(
                input_handle=listed, element_shape=shape, element_dtype=tf.int64
            ),
            tf.raw_ops.TensorListStack(
                input_handle=written, element_shape=shape, element_dtype=tf.int64
            ),
        ],
    )


@case([{"next", "after", "splits", "values", "slices"}], crossing={"slices:0"})
def ragged_variant_crosses():
    iterator, x = iterate(Dataset.range(1, 6))
    after = tf.add(x, 1, name="after")
    splits = tf.stack([tf.constant(0, tf.int64), x, after], name="splits")
    values = tf.raw_ops.Range(
        start=tf.constant(0, tf.int64), limit=after, delta=tf.constant(1, tf.int64), name="values"
    )
    variant = tf.raw_ops.RaggedTensorToVariant(
        rt_nested_splits=[splits], rt_dense_values=values, batched_input=True, name="slices"
    )
    picked = tf.gather(variant, train(tf.constant(0, tf.int64)))
    return program(
        [iterator],
        [
            tf.raw_ops.RaggedTensorFromVariant(
                encoded_ragged=picked,
                input_ragged_rank=0,
                output_ragged_rank=0,
                Tvalues=tf.int64,
                Tsplits=tf.int64,
            )
        ],
    )


_WIDTHS = (
    tf.int8,
    tf.uint8,
    tf.int16,
    tf.uint16,
    tf.int32,
    tf.uint32,
    tf.uint64,
    tf.float16,
    tf.bfloat16,
    tf.float32,
    tf.float64,
    tf.complex64,
    tf.complex128,
    tf.bool,
)


@case([{"next"} | {f"to_{t.name}" for t in _WIDTHS}])
def every_width():
    iterator, x = iterate(Dataset.range(300, 306))
    cast = [tf.cast(x, dtype, name=f"to_{dtype.name}") for dtype in _WIDTHS]
    return program([iterator], cast + [train(x)])


@case([{"next", "column", "even", "few", "kept/*", "doubled", "rows"}])
def empty_batches():
    """boolean_mask leaves nothing of every second batch."""
    rows = np.arange(30, dtype=np.int64).reshape(10, 3)
    iterator, x = iterate(Dataset.from_tensor_slices(rows).batch(2))
    column = tf.gather(x, 0, axis=1, name="column")
    few = tf.less(tf.math.floormod(column, 12, name="even"), 6, name="few")
    kept = tf.boolean_mask(x, few, name="kept")
    doubled = tf.multiply(kept, 2, name="doubled")
    size = tf.raw_ops.Size(input=kept, out_type=tf.int64, name="rows")
    return program([iterator], [doubled, train(size)])


@case([{"next", "mean", "neg"}])
def partial_last_batch():
    iterator, x = iterate(Dataset.range(11).map(lambda i: tf.cast(i, tf.float32)).batch(4))
    mean = tf.reduce_mean(x, axis=[0], name="mean")
    return program([iterator], [tf.negative(x, name="neg"), train(mean)])


@case([{"next", "shape", "rank", "flat", "tiled", "like", "size", "wide"}])
def ops_that_depend_on_the_shape():
    iterator, x = iterate(Dataset.range(22).batch(2).batch(4))
    shape = tf.shape(x, name="shape")
    rank = tf.raw_ops.Rank(input=x, name="rank")
    flat = tf.reshape(x, [-1], name="flat")
    tiled = tf.tile(flat, [2], name="tiled")
    like = tf.raw_ops.OnesLike(x=tiled, name="like")
    size = tf.raw_ops.Size(input=like, out_type=tf.int64, name="size")
    wide = tf.expand_dims(x, 1, name="wide")
    return program([iterator], [shape, rank, train(size), wide])


@case([{"next", "unique", "large", "which", "parts", "twos", "where", "narrow", "top"}])
def shapes_known_only_when_run():
    iterator, x = iterate(Dataset.range(30).map(lambda i: i * i % 7).batch(7))
    unique, _ = tf.unique(x, name="unique")
    parts = tf.dynamic_partition(
        x, tf.cast(tf.greater(x, 3, name="large"), tf.int32, name="which"), 2, name="parts"
    )
    where = tf.where(tf.equal(x, 2, name="twos"), name="where")
    top = tf.nn.top_k(tf.cast(x, tf.int32, name="narrow"), 2, name="top")
    return program([iterator], [unique, parts, where, top.values])


@case([{"next"} | {f"plus_{i}" for i in range(40)}])
def forty_tensors_cross():
    iterator, x = iterate(Dataset.range(6))
    return program([iterator], [tf.add(x, i, name=f"plus_{i}") for i in range(40)])


@case([{"next"} | {f"link_{i}" for i in range(100)}], crossing={"link_99:0"})
def long_chain():
    iterator, x = iterate(Dataset.range(9))
    for i in range(100):
        x = tf.add(x, i, name=f"link_{i}")
    return program([iterator], [train(x)])

"""What training graphs hold: gradients, summaries, savers, metrics, ref variables."""

import os
import tempfile

import numpy as np
import tensorflow as tf

from corpus.case import Dataset, case, iterate, program, times, to_the_end, train

tf1 = tf.compat.v1


def _embedding(rows=20, columns=3, name="table", **kwargs):
    values = np.arange(rows * columns, dtype=np.float32).reshape(rows, columns) / 10
    return tf1.get_variable(
        name, shape=[rows, columns], initializer=tf1.constant_initializer(values), **kwargs
    )


def _words():
    words = ["a", "bb", "c", "a", "dd", "eee", "f", "a", "bb", "g"]
    return iterate(Dataset.from_tensor_slices(words).batch(4))


_OF_IDS = "gradients/model/Gather_grad/"


@case(
    [
        {
            "next",
            "ids",
            _OF_IDS + "Size",
            _OF_IDS + "ExpandDims",
            _OF_IDS + "concat",
            _OF_IDS + "Reshape_1",
            "Adagrad/update_table/Unique",
            "Adagrad/update_table/Shape",
            "Adagrad/update_table/strided_slice",
        }
    ],
    left_out={"model/Gather": "variable_read"},
)
def gradients_through_a_gather():
    """What the gradient needs of the ids alone (their number, their shape) is staged with them."""
    iterator, words = _words()
    ids = tf.strings.to_hash_bucket_fast(words, 20, name="ids")
    table = _embedding(use_resource=True)
    with tf1.name_scope("model"):
        loss = tf.reduce_sum(tf.square(tf.gather(table, ids)))
    step = tf1.train.AdagradOptimizer(0.1).minimize(loss)
    return program([iterator], [loss, step], final=[table.read_value()])


@case(
    [
        {
            "next",
            "csv",
            "dense",
            "log",
            "ids_0",
            "ids_1",
            "gradients/model/logistic_loss/mul_grad/Shape_1",
        }
        | {
            f"gradients/model/embedding_lookup{i}_grad/{n}"
            for i in ("", "_1")
            for n in ("Size", "ExpandDims", "concat", "Reshape_1")
        }
    ]
)
def small_dlrm():
    """Dense and categorical features, two towers, gradients to all variables."""
    rows = [f"{i % 2},{i * 0.5},{i * i * 0.25},k{i % 5},v{i % 3}" for i in range(14)]
    iterator, lines = iterate(Dataset.from_tensor_slices(rows).batch(4))
    label, one, two, first, second = tf1.decode_csv(
        lines, [[0.0], [0.0], [0.0], [""], [""]], name="csv"
    )
    dense = tf.math.log1p(tf.stack([one, two], axis=1, name="dense"), name="log")
    ids = [
        tf.strings.to_hash_bucket_fast(c, 7, name=f"ids_{i}") for i, c in enumerate((first, second))
    ]
    tables = [_embedding(7, 2, f"table_{i}", use_resource=True) for i in range(2)]
    weight = _embedding(2, 2, "weight", use_resource=True)
    with tf1.name_scope("model"):
        bottom = tf.nn.relu(tf.matmul(dense, weight))
        features = tf.concat(
            [bottom] + [tf.nn.embedding_lookup(t, i) for t, i in zip(tables, ids, strict=True)], 1
        )
        logit = tf.reduce_sum(features, axis=1)
        loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=label, logits=logit))
    step = tf1.train.GradientDescentOptimizer(0.05).minimize(loss)
    return program(
        [iterator], [loss, step], final=[t.read_value() for t in tables] + [weight.read_value()]
    )


@case([{"next", "ids"}], crossing={"ids:0"})
def ref_variables():
    """VariableV2 and ref edges: none of it is staged, none of it stops the rest."""
    iterator, words = _words()
    ids = tf.strings.to_hash_bucket_fast(words, 20, name="ids")
    table = _embedding(use_resource=False)
    picked = tf.gather(table, ids)
    with tf.control_dependencies([picked]):
        update = tf1.scatter_add(table, ids, tf.ones([tf.size(ids, name="count"), 3]))
    with tf.control_dependencies([update]):
        total = tf.reduce_sum(table.read_value())
    return program([iterator], [tf.identity(picked), total], final=[table])


@case([{"next", "x", "neg"}], left_out={"loss": "summary", "values": "summary"})
def summaries():
    iterator, x = iterate(Dataset.range(12).batch(3, drop_remainder=True))
    x = tf.cast(x, tf.float32, name="x")
    neg = tf.negative(x, name="neg")
    tf1.summary.histogram("values", neg)
    loss = train(neg)
    tf1.summary.scalar("loss", tf.reduce_sum(loss))
    merged = tf1.summary.merge_all()

    def script(steps):
        for fetch in (loss, [loss, merged], merged, loss, merged):
            steps.run(fetch)

    return program([iterator], None, script=script)


@case([{"next", "neg"}])
def saver():
    """Checkpoints are written and restored between steps, and hold the same values."""
    iterator, x = iterate(Dataset.range(1, 10))
    total = train(tf.negative(x, name="neg"))
    saving = tf1.train.Saver(tf1.global_variables())

    def script(steps):
        times(total, 3)(steps)
        with tempfile.TemporaryDirectory() as folder:
            path = saving.save(steps.session, os.path.join(folder, "model"), write_meta_graph=False)
            reader = tf1.train.NewCheckpointReader(path)
            steps.note({n: reader.get_tensor(n) for n in reader.get_variable_to_shape_map()})
            times(total, 2)(steps)
            saving.restore(steps.session, path)
        to_the_end(total)(steps)

    return program([iterator], None, script=script)


@case([{"next", "x", "mean/Size", "mean/Cast", "mean/Sum"}])
def streaming_metrics():
    iterator, x = iterate(Dataset.range(9).batch(2))
    x = tf.cast(x, tf.float32, name="x")
    mean, update = tf1.metrics.mean(x)

    def script(steps):
        steps.run(update)
        steps.run(mean)
        to_the_end([update], beyond=0)(steps)
        steps.run(mean)

    return program([iterator], None, script=script)


@case([{"next", "neg"}])
def global_step():
    iterator, x = iterate(Dataset.range(6))
    total = train(tf.cast(tf.negative(x, name="neg"), tf.int64))
    step = tf1.train.create_global_step()
    with tf.control_dependencies([total]):
        count = tf.identity(tf1.assign_add(step, 1))
    return program([iterator], [total, count], final=[step])


@case([{"next", "both", "product"}])
def matrix_products():
    """The same kernels give the same bits on the stage's threads."""
    rows = np.linspace(-1, 1, 6 * 8 * 8, dtype=np.float32).reshape(6, 8, 8)
    iterator, x = iterate(Dataset.from_tensor_slices(rows))
    both = tf.nn.softmax(x, name="both")
    product = tf.matmul(both, x, name="product")
    return program([iterator], [train(product)])


@case([{"next", "neg", "neg_float"}])
def two_optimizers_on_one_input():
    iterator, x = iterate(Dataset.range(1, 8))
    x = tf.cast(tf.negative(x, name="neg"), tf.float32, name="neg_float")
    a, b = (tf1.get_variable(n, initializer=1.0, use_resource=True) for n in ("a", "b"))
    loss = tf.square(a * x) + tf.abs(b * x)
    fast = tf1.train.GradientDescentOptimizer(0.01).minimize(loss, var_list=[a])
    slow = tf1.train.MomentumOptimizer(0.001, 0.9).minimize(loss, var_list=[b])

    def script(steps):
        for fetch in (fast, [loss, slow], slow, [loss, fast], loss, [fast, slow], loss, loss):
            steps.run(fetch)

    return program([iterator], None, script=script, final=[a.read_value(), b.read_value()])

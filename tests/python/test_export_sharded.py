"""Exports for parameter servers: what is marked, what comes apart, and what is refused."""

import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

import jobs
from headrace.elastic import export, model_module, sparse
from headrace.errors import ExportError

# Three ids and a label to a number: a table, and everything that keeps state or adds a loss on the way.
RANKER = """
    import keras
    import tensorflow as tf

    class Penalty(keras.layers.Layer):
        def call(self, inputs):
            self.add_loss(0.01 * tf.reduce_sum(tf.square(inputs)))
            return inputs

    def custom_model():
        ids = keras.Input((3,), dtype="int64")
        table = keras.layers.Embedding(ROWS, 4, name="table", embeddings_initializer=uniform(1))
        x = keras.layers.Flatten()(table(ids))
        x = keras.layers.Dense(8, kernel_initializer=uniform(2), kernel_regularizer="l2")(x)
        x = keras.layers.BatchNormalization()(Penalty()(x))
        x = keras.layers.Dropout(0.5, seed=3)(x)
        return keras.Model(ids, keras.layers.Dense(1, kernel_initializer=uniform(4))(x)[:, 0])

    def uniform(seed):
        return keras.initializers.RandomUniform(-1.0, 1.0, seed=seed)

    def loss(labels, predictions):
        return tf.square(labels - predictions)

    def optimizer():
        return keras.optimizers.OPTIMIZER

    def dataset_fn(dataset):
        def parse(record):
            numbers = tf.ensure_shape(tf.strings.to_number(tf.strings.split(record, ","), tf.int64), [4])
            return numbers[:3], tf.cast(numbers[3], tf.float32)
        return dataset.map(parse)
"""
# The same with TensorFlow's own variables. `spare` is used by nothing.
MODULE = """
    import keras
    import tensorflow as tf

    class Sum(tf.Module):
        def __init__(self):
            super().__init__()
            self.spare = tf.Variable([0.0], name="spare")
            self.table = tf.Variable(tf.ones([ROWS, 4]), name="table")
            self.bias = tf.Variable(0.5, name="bias")

        def __call__(self, ids):
            return tf.reduce_sum(LOOKUP, [1, 2]) + self.bias
    def custom_model():
        return Sum()
""" + RANKER[RANKER.index("\n    def loss") :]
LOOKUP = "tf.nn.embedding_lookup(self.table, ids)"


def _text(text, rows=50, optimizer="SGD(0.1)", lookup=LOOKUP):
    return text.replace("ROWS", str(rows)).replace("OPTIMIZER", optimizer).replace("LOOKUP", lookup)


@pytest.fixture
def made(tmp_path):
    """Exports a module's text; gives (description, folder)."""

    def make(text, sharded=True):
        folder = tmp_path / f"export-{len(list(tmp_path.glob('export-*')))}"
        path = tmp_path / f"{folder.name}.py"
        keras.utils.clear_session()  # names are those of a new process
        path.write_text(textwrap.dedent(text))
        return export.export(model_module.load(str(path)), str(folder), 8, sharded=sharded), folder

    return make


def _batches(count, rows=50, distinct=False):
    random = np.random.default_rng(5)
    for _ in range(count):
        ids = random.permutation(rows)[:24] if distinct else random.integers(0, rows, 24)
        yield {
            "features": tf.constant(ids.reshape(8, 3)),
            "labels": tf.constant(random.normal(size=8), tf.float32),
        }


def _values(job):
    return {name: v.numpy() for name, v in job.variables_by_name.items()}


def _parts(job, batch):
    """One step in parts; gives the loss."""
    found = job.signatures["gradients"](**batch)
    job.signatures["apply"](**{k: v for k, v in found.items() if k.startswith("gradient_")})
    state = {k: v for k, v in found.items() if k.startswith("state_")}
    job.signatures["update_state"](**state)
    return found["loss"]


@pytest.mark.parametrize("optimizer", ["Adam(0.05)", "SGD(0.1, momentum=0.9, clipnorm=0.1)"])
def test_the_parts_do_what_the_whole_does(made, optimizer):
    _, folder = made(_text(RANKER, optimizer=optimizer))
    whole, parts = tf.saved_model.load(str(folder)), tf.saved_model.load(str(folder))
    first = _values(whole)
    for batch in _batches(4):
        loss = _parts(parts, batch)
        np.testing.assert_allclose(loss, whole.signatures["train"](**batch)["loss"], rtol=1e-6)
        for name, value in _values(whole).items():
            np.testing.assert_allclose(_values(parts)[name], value, rtol=1e-6, atol=1e-7, err_msg=name)
    assert _values(parts)["headrace_step"] == 4
    for name in ("table/embeddings", "batch_normalization/moving_mean", "seed_generator/seed_generator_state"):
        assert np.any(_values(parts)[name] != first[name]), name


def test_gradients_write_nothing(made):
    description, folder = made(_text(RANKER))
    job = tf.saved_model.load(str(folder))
    before = _values(job)
    for batch in _batches(2):
        job.signatures["gradients"](**batch)
    for name, value in _values(job).items():
        np.testing.assert_array_equal(value, before[name])
    gradients = description["gradients"]
    assert gradients["signature"] == "gradients" and gradients["inputs"] == ["features", "labels"]
    assert gradients["gradients"][0] == {
        "name": "gradient_0", "variable": "table/embeddings", "place": 0, "sparse": True,
        "dtype": "float32", "shape": [50, 4],
    }
    assert [g["sparse"] for g in gradients["gradients"][1:]] == [False] * 6
    assert {(s["variable"], s["dtype"], *s["shape"]) for s in gradients["state"]} == {
        ("batch_normalization/moving_mean", "float32", 8),
        ("batch_normalization/moving_variance", "float32", 8),
        ("seed_generator/seed_generator_state", "int64", 2),
    }
    assert description["apply"]["inputs"][:3] == ["gradient_0_indices", "gradient_0_values", "gradient_1"]
    assert description["update_state"]["inputs"] == ["state_0", "state_1", "state_2"]
    found = job.signatures["gradients"](features=[[7, 7, 2]] * 8, labels=[0.0] * 8)
    assert found["gradient_0_indices"].dtype == tf.int64
    assert sorted(found["gradient_0_indices"].numpy()) == [2, 7]
    assert found["gradient_0_values"].shape == [2, 4]


@pytest.mark.parametrize("optimizer", ["SGD(0.1)", "Adagrad(0.1)", "SGD(0.1, clipnorm=0.2)", "RMSprop(0.01)"])
@pytest.mark.parametrize("text", [RANKER, MODULE], ids=["keras", "module"])
def test_trains_as_the_local_export_does(made, text, optimizer):
    # Keras squares, and takes the norm of, each slice of a row that a batch has twice; see guarantees.md.
    distinct = optimizer != "SGD(0.1)"
    text = _text(text, optimizer=optimizer)
    (description, folder), (local, local_folder) = made(text), made(text, sharded=False)
    assert description["sharded"] is True and local["sharded"] is False and "gradients" not in local
    one, other = tf.saved_model.load(str(folder)), tf.saved_model.load(str(local_folder))
    for batch in _batches(3, distinct=distinct):
        loss = one.signatures["train"](**batch)["loss"]
        np.testing.assert_allclose(loss, other.signatures["train"](**batch)["loss"], rtol=1e-5)
    for name, value in _values(other).items():
        np.testing.assert_allclose(_values(one)[name], value, rtol=1e-4, atol=1e-6, err_msg=name)
    features = next(_batches(1))["features"]
    expected = other.signatures["predict"](features=features)["output_0"]
    np.testing.assert_allclose(one.signatures["predict"](features=features)["output_0"], expected, rtol=1e-4)
    served = tf.saved_model.load(str(folder / "serving")).signatures["serving_default"]
    assert served(features=features)["output_0"].shape == [8]


# --- marks ------------------------------------------------------------------------------------


def _functions(folder):
    """{signature: nodes of its function}, {name: any function}."""
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    library = saved.meta_graphs[0].graph_def.library.function
    by_name = {f.signature.name: f for f in library}
    found = {}
    for name in ("train", "gradients", "apply", "evaluate", "predict"):
        (function,) = [f for n, f in by_name.items() if n.startswith(f"__inference_{name}_")]
        found[name] = list(function.node_def)
    return found, by_name


def test_gradients_and_updates_are_marked(made):
    _, folder = made(_text(RANKER, optimizer="Adam(0.1)"))
    found, library = _functions(folder)
    for name in ("train", "apply"):
        marks = [n for n in found[name] if "_headrace_gradient" in n.attr]
        assert {n.op for n in marks} == {"Identity"}
        places = sorted(n.attr["_headrace_gradient"].i for n in marks)
        assert places == [0, 0, 1, 2, 3, 4, 5, 6], "indices and values of the table's"
        (update,) = [n for n in found[name] if "_headrace_sparse_update" in n.attr]
        assert update.op == "StatefulPartitionedCall"
        assert update.attr["_headrace_sparse_update"].s == b"table/embeddings"
        assert not [i for i in update.attr["_class"].list.s], "where the rows are decides where it runs"
        marked = {n.name: n for n in marks}
        for place, dtype in ((0, tf.int64), (1, tf.float32)):
            node = marked[update.input[place].split(":")[0]]
            assert node.attr["_headrace_gradient"].i == 0 and node.attr["T"].type == dtype
        _check_update(library[update.attr["f"].func.name])
    assert not [n for n in found["gradients"] if "_headrace_sparse_update" in n.attr]


def _check_update(function):
    arguments = function.signature.input_arg
    types = [a.type for a in arguments]
    assert types[0] == tf.int64 and not function.signature.output_arg
    resources = [a.name for a in arguments if a.type == tf.resource]
    assert types[-len(resources) :] == [tf.resource] * len(resources) and len(resources) == 3
    for node in function.node_def:
        uses = [i for i in node.input if i in resources]
        if uses:
            assert node.op in ("ResourceGather", "ResourceScatterAdd", "ResourceScatterSub"), node.op
            assert list(node.input[:2]) == [uses[0], "indices"]
        else:
            assert node.op in ("Sub", "Mul", "Square", "AddV2", "Sqrt", "RealDiv"), node.op


def test_local_exports_carry_no_marks(made):
    _, folder = made(_text(RANKER), sharded=False)
    saved = (folder / "saved_model.pb").read_bytes()
    assert b"_headrace_gradient" not in saved and b"_headrace_sparse_update" not in saved


def test_tables_are_read_by_rows_everywhere(made):
    _, folder = made(_text(RANKER))
    found, _ = _functions(folder)
    for name in ("train", "gradients", "evaluate", "predict"):
        assert len([n for n in found[name] if n.op == "ResourceGather"]) == 1, name


def test_variables_without_a_gradient_are_left_out(made):
    description, folder = made(_text(MODULE))
    gradients = description["gradients"]["gradients"]
    entries = {g["variable"]: (g["name"], g["place"], g["sparse"]) for g in gradients}
    # tf.Module sorts by attribute: bias, spare, table.
    assert entries == {"bias": ("gradient_0", 0, False), "table": ("gradient_1", 2, True)}
    job = tf.saved_model.load(str(folder))
    _parts(job, next(_batches(1)))
    assert _values(job)["bias"] != 0.5 and "spare" not in _values(job)


def _dense(optimizer):
    return jobs.CLASSIFIER.replace("Adam(0.05)", optimizer)


def test_loss_scaling_is_undone(made):
    made_with = [
        made(_text(MODULE)),
        made(_text(MODULE, optimizer="SGD(0.1, loss_scale_factor=8.0)")),
        made(_text(MODULE, optimizer="LossScaleOptimizer(keras.optimizers.SGD(0.1))")),
    ]
    plain, *scaled = [tf.saved_model.load(str(folder)) for _, folder in made_with]
    for batch in _batches(2):
        for job in (plain, *scaled):
            job.signatures["train"](**batch)
    for job in scaled:
        np.testing.assert_allclose(_values(job)["table"], _values(plain)["table"], rtol=1e-5)


def test_loss_scaling_is_undone_locally_too(made):
    optimizers = ("SGD(0.1)", "SGD(0.1, loss_scale_factor=8.0)")
    plain, scaled = [
        tf.saved_model.load(str(made(_dense(optimizer), sharded=False)[1])) for optimizer in optimizers
    ]
    for job in (plain, scaled):
        job.signatures["train"](features=tf.ones([8, 4]), labels=tf.zeros([8], tf.int64))
    for name, value in _values(plain).items():
        np.testing.assert_allclose(_values(scaled)[name], value, rtol=1e-5, atol=1e-7, err_msg=name)


# --- refusals ---------------------------------------------------------------------------------

LARGE = sparse.LARGE_ROWS


@pytest.mark.parametrize(
    "text, says",
    [
        (_text(RANKER, LARGE, "RMSprop()"), "table 'table/embeddings' .*RMSprop has no update by rows: use one"),
        (_text(RANKER, LARGE, "SGD(global_clipnorm=1.0)"), "table 'table/embeddings' .*global_clipnorm"),
        (
            _text(RANKER, LARGE).replace('name="table"', 'name="table", embeddings_regularizer="l2"'),
            "table 'table/embeddings' .*its gradient is dense, for its regularizer",
        ),
        (
            _text(RANKER, LARGE).replace('name="table"', 'name="table", embeddings_constraint="non_neg"'),
            "table 'table/embeddings' .*its constraint is applied to every row",
        ),
        (
            _text(MODULE, LARGE, lookup="tf.gather(self.table * 2.0, ids)"),
            r"table 'table' .*its gradient is dense, for the model uses it otherwise than by looking rows up",
        ),
        # Its gradient is sparse, but all of it is read.
        (
            _text(MODULE, LARGE, lookup="tf.gather(tf.convert_to_tensor(self.table), ids)"),
            r"train uses all 100000 rows of table 'table' each time \(ReadVariableOp.*export-0.py:\d+",
        ),
        (
            _text(MODULE, LARGE, lookup="tf.gather(tf.stop_gradient(self.table), ids)"),
            "uses all 100000 rows of table 'table'",
        ),
    ],
)
def test_large_tables_are_not_sent_as_a_whole(made, text, says):
    with pytest.raises(ExportError, match=says):
        made(text)
    if "sharded" not in says:
        made(text, sharded=False)


def test_also_what_only_a_called_function_reads_is_found(made):
    lookup = "tf.cond(ids[0, 0] > 3, lambda: tf.gather(self.table + 0.0, ids), lambda: tf.zeros([8, 3, 4]))"
    with pytest.raises(ExportError, match="table 'table'"):
        made(_text(MODULE, LARGE, lookup=lookup))


@pytest.mark.parametrize("text", [RANKER, MODULE], ids=["keras", "module"])
@pytest.mark.parametrize("optimizer", ["Adam(0.1, amsgrad=True)", "SGD(0.1, momentum=0.5, clipvalue=1.0)"])
def test_large_tables_used_by_rows(made, text, optimizer):
    _, folder = made(_text(text, LARGE, optimizer))
    job = tf.saved_model.load(str(folder))
    name = "table" if text is MODULE else "table/embeddings"
    before = _values(job)[name]
    batch = next(_batches(1, LARGE))
    job.signatures["train"](**batch)
    changed = np.flatnonzero(np.any(_values(job)[name] != before, 1))
    np.testing.assert_array_equal(changed, np.unique(batch["features"]))


def test_models_that_write_by_themselves_train_only_asynchronously(made):
    description, folder = made(jobs.WITNESS)
    assert "gradients" not in description and "apply" not in description
    assert "synchronous training (--use_async=false) is not possible: the model itself writes" in (
        description["not_synchronous"]
    )
    assert "ResourceScatterAdd" in description["not_synchronous"]
    assert "gradients" not in tf.saved_model.load(str(folder)).signatures


def test_gradients_that_accumulators_do_not_take_train_only_asynchronously(made):
    text = jobs.CLASSIFIER.replace(
        "def custom_model():", "def custom_model():\n        keras.config.set_dtype_policy('bfloat16')"
    )
    assert text != jobs.CLASSIFIER
    try:
        description, folder = made(text)
    finally:
        keras.config.set_dtype_policy("float32")
    assert "TensorFlow adds up no gradients of bfloat16" in description["not_synchronous"]
    assert "gradients" not in tf.saved_model.load(str(folder)).signatures

"""Lookups and updates by rows do what Keras does with whole tables."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.elastic import sparse, sparse_optimizers
from headrace.errors import ExportError

ROWS, WIDTH = 12, 5
SCHEDULE = keras.optimizers.schedules.ExponentialDecay(0.5, 2, 0.7)
# Same semantics as the dense update. Adagrad's division by a root becomes a product with TensorFlow's
# reciprocal root, whose last bit depends on how many numbers it is given at a time.
EXACT = {
    "sgd": lambda: keras.optimizers.SGD(0.1),
    "sgd-schedule": lambda: keras.optimizers.SGD(SCHEDULE),
    "sgd-clipvalue": lambda: keras.optimizers.SGD(0.1, clipvalue=0.5),
    "adagrad": lambda: keras.optimizers.Adagrad(0.1),
    "adagrad-epsilon": lambda: keras.optimizers.Adagrad(0.1, initial_accumulator_value=0.0, epsilon=0.01),
}
# The same for the rows that a step touches.
LAZY = {
    "momentum": lambda: keras.optimizers.SGD(0.1, momentum=0.9),
    "nesterov": lambda: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "adam": lambda: keras.optimizers.Adam(0.1),
    "adam-schedule": lambda: keras.optimizers.Adam(SCHEDULE, beta_1=0.8, beta_2=0.95, epsilon=0.01),
    "amsgrad": lambda: keras.optimizers.Adam(0.1, amsgrad=True),
}


class Pair:
    """One table updated by rows, and its twin updated as a whole."""

    def __init__(self, make, shape=(ROWS, WIDTH)):
        self.tables, self.optimizers = [], []
        for _ in range(2):
            self.tables.append(keras.Variable(np.zeros(shape, np.float32), name="table"))
            self.optimizers.append(make())
            self.optimizers[-1].build([self.tables[-1]])
        spec = [tf.TensorSpec([None], tf.int32), tf.TensorSpec([None, *shape[1:]])]
        self.by_rows = tf.function(self._by_rows, input_signature=spec, autograph=False)
        self.whole = tf.function(self._whole, input_signature=spec, autograph=False)

    def _slices(self, ids, values):
        return tf.IndexedSlices(values, ids, tf.constant(self.tables[0].shape.as_list(), tf.int64))

    def _by_rows(self, ids, values):
        gradient = sparse.distinct(self._slices(ids, values), self.tables[0])
        with sparse_optimizers.updates(self.optimizers[0], lambda variable: "table"):
            self.optimizers[0].apply([gradient], [self.tables[0]])

    def _whole(self, ids, values):
        gradient = tf.convert_to_tensor(self._slices(ids, values))
        self.optimizers[1].apply([gradient], [self.tables[1]])

    def state(self, which):
        """The table and its slots."""
        slots = [v for v in self.optimizers[which].variables if v.shape == self.tables[0].shape]
        return [self.tables[which], *slots]

    def begin(self, random):
        for mine, its in zip(self.state(0), self.state(1), strict=True):
            value = random.uniform(0.1, 1.0, mine.shape).astype(np.float32)
            mine.assign(value)
            its.assign(value)
        step = int(random.integers(0, 4))
        for optimizer in self.optimizers:
            optimizer.iterations.assign(step)


PAIRS = {}


def _pair(name):
    if name not in PAIRS:
        PAIRS[name] = Pair({**EXACT, **LAZY}[name])
    return PAIRS[name]


batches = st.lists(st.integers(0, ROWS - 1), max_size=20)


@pytest.mark.parametrize("name", EXACT)
@settings(max_examples=40, deadline=None)
@given(steps=st.lists(batches, min_size=1, max_size=4), seed=st.integers(0, 2**32 - 1))
def test_equal_to_the_dense_update(name, steps, seed):
    pair, random = _pair(name), np.random.default_rng(seed)
    pair.begin(random)
    for ids in steps:
        values = random.normal(size=(len(ids), WIDTH)).astype(np.float32)
        pair.by_rows(np.array(ids, np.int32), values)
        pair.whole(np.array(ids, np.int32), values)
        for mine, its in zip(pair.state(0), pair.state(1), strict=True):
            tolerance = 1e-6 if name.startswith("adagrad") and mine is pair.tables[0] else 0
            np.testing.assert_allclose(mine, its, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", LAZY)
@settings(max_examples=40, deadline=None)
@given(steps=st.lists(batches, min_size=1, max_size=4), seed=st.integers(0, 2**32 - 1))
def test_lazy_updates_equal_the_dense_one_where_they_touch(name, steps, seed):
    pair, random = _pair(name), np.random.default_rng(seed)
    pair.begin(random)
    for ids in steps:
        values = random.normal(size=(len(ids), WIDTH)).astype(np.float32)
        before = [v.numpy() for v in pair.state(0)]
        pair.by_rows(np.array(ids, np.int32), values)
        pair.whole(np.array(ids, np.int32), values)
        touched = np.isin(np.arange(ROWS), ids)
        for mine, its, was in zip(pair.state(0), pair.state(1), before, strict=True):
            np.testing.assert_array_equal(mine.numpy()[touched], its.numpy()[touched])
            np.testing.assert_array_equal(mine.numpy()[~touched], was[~touched])
            its.assign(mine)


def test_clipnorm_is_of_the_whole_gradient():
    pair = Pair(lambda: keras.optimizers.SGD(0.1, clipnorm=0.5))
    random = np.random.default_rng(1)
    pair.begin(random)
    ids = np.array([3, 3, 7, 3], np.int32)  # a norm of slices with repeated rows would be another
    values = random.normal(size=(4, WIDTH)).astype(np.float32)
    pair.by_rows(ids, values)
    pair.whole(ids, values)
    np.testing.assert_allclose(pair.tables[0], pair.tables[1], rtol=1e-6)


@pytest.mark.parametrize("shape", [(ROWS,), (ROWS, 2, 3)])
def test_other_ranks(shape):
    pair, random = Pair(EXACT["adagrad"], shape), np.random.default_rng(2)
    pair.begin(random)
    ids, values = np.array([1, 1, 9], np.int32), random.normal(size=(3, *shape[1:])).astype(np.float32)
    pair.by_rows(ids, values)
    pair.whole(ids, values)
    np.testing.assert_allclose(pair.tables[0], pair.tables[1], rtol=1e-6)


def test_the_optimizer_is_as_before_afterwards():
    optimizer = keras.optimizers.SGD(0.1)
    with sparse_optimizers.updates(optimizer, str):
        assert "update_step" in vars(optimizer)
    assert "update_step" not in vars(optimizer)
    with pytest.raises(RuntimeError), sparse_optimizers.updates(optimizer, str):
        raise RuntimeError
    assert "update_step" not in vars(optimizer)


def _decayed(**more):
    optimizer = keras.optimizers.SGD(0.1, weight_decay=0.1)
    optimizer.exclude_from_weight_decay(**more)
    return optimizer


class Other(keras.optimizers.SGD):
    pass


@pytest.mark.parametrize(
    "optimizer, says",
    [
        (keras.optimizers.RMSprop(), "RMSprop has no update by rows: use one of SGD, Adagrad, Adam"),
        (keras.optimizers.AdamW(), "AdamW has no update by rows"),
        (Other(), "Other has no update by rows"),
        (keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD()), "LossScaleOptimizer has no update"),
        (keras.optimizers.Adam(use_ema=True), "use_ema"),
        (keras.optimizers.Adam(gradient_accumulation_steps=2), "gradient_accumulation_steps"),
        (keras.optimizers.SGD(loss_scale_factor=8.0), "loss_scale_factor"),
        (keras.optimizers.SGD(global_clipnorm=1.0), "global_clipnorm .* use clipnorm or clipvalue"),
        (keras.optimizers.SGD(weight_decay=0.1), "weight_decay .* exclude_from_weight_decay"),
        (_decayed(var_names=["other"]), "weight_decay"),
        (_decayed(var_names=["table"]), ""),
        (keras.optimizers.SGD(clipnorm=1.0), ""),
    ],
)
def test_what_has_no_update_by_rows(optimizer, says):
    table = keras.Variable(np.zeros((3, 2)), name="table")
    found = sparse_optimizers.refusal(optimizer, table)
    assert bool(found) == bool(says)
    if says:
        with pytest.raises(AssertionError, match=says):
            raise AssertionError(found)


def test_a_constraint_has_no_update_by_rows():
    layer = keras.layers.Embedding(3, 2, embeddings_constraint="non_neg")
    layer.build()
    assert "its constraint" in sparse_optimizers.refusal(keras.optimizers.SGD(), layer.embeddings)


# --- lookups ----------------------------------------------------------------------------------


def _embedding(**more):
    initializer = keras.initializers.RandomUniform(seed=1)
    return keras.layers.Embedding(ROWS, WIDTH, embeddings_initializer=initializer, **more)


def _looked_up(layer, ids, by_rows):
    """(output, mask, gradients by variable as whole arrays, kinds of gradients)."""

    @tf.function(autograph=False)
    def look_up(ids):
        with tf.GradientTape() as tape:
            output = layer(ids)
            flat = output.flat_values if isinstance(output, tf.RaggedTensor) else output
            loss = tf.reduce_sum(tf.square(tf.cast(flat, tf.float32)))
        gradients = tape.gradient(loss, layer.trainable_variables)
        kinds[:] = [type(g).__name__ for g in gradients]
        mask = layer.compute_mask(ids)
        return output, tf.zeros([]) if mask is None else mask, [tf.convert_to_tensor(g) for g in gradients]

    kinds = []
    layer.build()
    if by_rows:
        with sparse.lookups():
            concrete = look_up.get_concrete_function(ids)
    else:
        concrete = look_up.get_concrete_function(ids)
    return *concrete(ids), kinds, {op.type for op in concrete.graph.get_operations()}


IDS = {
    "int64": tf.constant([[1, 5, 1], [0, 11, 5]], tf.int64),
    "int32": tf.constant([4, 4, 0], tf.int32),
    "uint8": tf.constant([[3]], tf.uint8),
    "float": tf.constant([[1.0, 2.0]], tf.float32),
    "negative": tf.constant([-1, 0, -12], tf.int32),
    "none": tf.zeros([0, 4], tf.int64),
    "ragged": tf.ragged.constant([[1, 2, 1], [], [11]], dtype=tf.int64),
}


@pytest.mark.parametrize("kind", IDS)
@pytest.mark.parametrize("more", [{}, {"mask_zero": True}, {"dtype": "mixed_float16"}], ids=str)
def test_lookups_are_keras_own(kind, more):
    ids = IDS[kind]
    if kind == "ragged" and more.get("mask_zero"):
        pytest.skip("Keras itself has no mask for ragged ids")
    layer = _embedding(**more)
    output, mask, gradients, kinds, ops = _looked_up(layer, ids, True)
    expected, expected_mask, expected_gradients, _, _ = _looked_up(layer, ids, False)
    assert output.shape == expected.shape and output.dtype == expected.dtype
    flat = (output.flat_values, expected.flat_values) if kind == "ragged" else (output, expected)
    np.testing.assert_array_equal(*flat)
    np.testing.assert_array_equal(mask, expected_mask)
    np.testing.assert_allclose(gradients[0], expected_gradients[0], rtol=1e-3)
    assert kinds == ["IndexedSlices"]
    assert "ResourceGather" in ops and "ReadVariableOp" not in ops


def test_lora_is_looked_up_by_rows():
    layer = _embedding(lora_rank=2)
    layer.build()
    layer.lora_embeddings_b.assign(np.full((2, WIDTH), 0.5))
    ids = tf.constant([[1, 1, 7]])
    output, _, gradients, kinds, _ = _looked_up(layer, ids, True)
    expected, _, expected_gradients, _, _ = _looked_up(layer, ids, False)
    np.testing.assert_allclose(output, expected, rtol=1e-5)
    assert kinds[0] == "IndexedSlices", "of the table's part of the two"
    for mine, its in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-4, atol=1e-6)


def test_ids_beyond_the_table_are_an_error():
    layer = _embedding()
    with pytest.raises(tf.errors.InvalidArgumentError, match="not in"):
        _looked_up(layer, tf.constant([ROWS], tf.int64), True)


def test_sparse_ids_are_refused_by_name():
    layer = _embedding(name="words")
    with pytest.raises(ExportError, match="layer 'words' are a SparseTensor"):
        _looked_up(layer, tf.sparse.from_dense([[0, 1]]), True)


def test_keras_is_as_before_afterwards():
    before = keras.layers.Embedding.call
    with pytest.raises(RuntimeError), sparse.lookups():
        assert keras.layers.Embedding.call is not before
        raise RuntimeError
    assert keras.layers.Embedding.call is before


def test_rows_that_are_distinct_already_are_not_made_so_again():
    table = tf.Variable(tf.zeros([ROWS, WIDTH]))

    @tf.function(autograph=False)
    def gradient(ids, twice):
        with tf.GradientTape() as tape:
            rows = tf.gather(table, tf.unique(ids)[0])
            loss = tf.reduce_sum(rows)
            if twice:
                loss += tf.reduce_sum(tf.gather(table, ids))
        slices = sparse.distinct(tape.gradient(loss, table), table)
        return slices.indices, slices.values

    spec = tf.TensorSpec([None], tf.int64)
    for twice, uniques in ((False, 1), (True, 2)):
        concrete = gradient.get_concrete_function(spec, twice)
        assert sum(op.type == "Unique" for op in concrete.graph.get_operations()) == uniques
        indices, values = concrete(tf.constant([4, 2, 4], tf.int64))
        np.testing.assert_array_equal(indices, [4, 2])
        np.testing.assert_array_equal(values[:, 0], [3, 2] if twice else [1, 1])

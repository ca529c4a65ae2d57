"""The model zoo in graphs and in Keras: what is staged, that staging changes nothing, and that all of them
learn."""

import math
import subprocess
import sys

import headrace
import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from data_cli import environment
from headrace.elastic import sparse

import train as train_command
from common import criteo, graph, layers, records, recurrent, taobao

tf1 = tf.compat.v1
BATCH = 256
# Of the held-out loss to that of the constant predictor; the best that can be is 0.76 (criteo) and 0.70
# (taobao).
LEARNT = 0.9


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    """{data set: (training file, test file)}."""
    folder = tmp_path_factory.mktemp("lines")
    return {"criteo": zoo.write_lines(folder, "criteo", 60_000, 4_000),
            "taobao": zoo.write_lines(folder, "taobao", 40_000, 4_000)}


def config(staged):
    made = tf1.ConfigProto()
    if staged:
        headrace.configure(made, headrace.StageOptions(capacity=2, num_threads=2))
    return made


def train(module, file, steps, staged, batch=BATCH, after=None):
    """Losses of the steps; and what after(graph, model) builds, summed over all of its elements."""
    with tf.Graph().as_default():
        model = module.custom_model()
        text, initializer = graph.next_lines([file], batch)
        step = graph.train_step(module, text, model)
        more, more_initializer = after(model) if after else (None, tf.no_op())
        with tf1.Session(config=config(staged)) as session:
            session.run([initializer, more_initializer, tf1.global_variables_initializer()])
            losses = [session.run(step) for _ in range(steps)]
            total = 0.0
            try:
                while more is not None:
                    total = total + session.run(more)
            except tf.errors.OutOfRangeError:
                pass
    return losses, total


# --- staging ------------------------------------------------------------------------------------

STAGED = {
    "criteo": {"IteratorGetNext", "DecodeCSV", "StringToHashBucketFast", "Log1p"},
    "taobao": {"IteratorGetNext", "DecodeCSV", "StringToHashBucketFast", "StringSplitV2",
        "RaggedTensorToTensor"},
}


@pytest.mark.parametrize("name", zoo.SMALL)
def test_reading_parsing_hashing_and_padding_run_ahead(name, lines):
    data = zoo.SMALL[name].data
    with tf.Graph().as_default() as built:
        text, _ = graph.next_lines([lines[data][0]], BATCH)
        graph.train_step(zoo.module(name), text)
        explained = headrace.explain(built, config(staged=True))
        (stage,) = explained.stages
        ahead = explained.staged_nodes()
        types = {op.type for op in built.get_operations() if op.name in ahead}
        left = {op.type for op in built.get_operations() if op.name not in ahead}
    assert types >= STAGED[data]
    # Cross entropy has a Log1p of its own.
    assert not left & STAGED[data] - {"Log1p"}, "nothing of them is left to the training step"
    assert "String" not in {output["dtype"] for output in stage["outputs"]}


@pytest.mark.parametrize("name", zoo.SMALL)
def test_staged_losses_are_the_unstaged_ones_bit_for_bit(name, lines):
    file = lines[zoo.SMALL[name].data][0]
    unstaged, _ = train(zoo.module(name), file, 6, staged=False, batch=64)
    staged, _ = train(zoo.module(name), file, 6, staged=True, batch=64)
    assert unstaged == staged
    assert len(set(unstaged)) == 6, "it trains"


# --- learning -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", zoo.SMALL)
def test_learns(name, lines):
    module = zoo.module(name)
    train_file, test_file = lines[zoo.SMALL[name].data]

    def evaluation(model):
        text, initializer = graph.next_lines([test_file], 1000, repeat=False)
        return graph.evaluate_step(module, text, model), initializer

    steps = 230 if zoo.SMALL[name].data == "criteo" else 150  # each line once
    _, (examples, loss, clicks) = train(module, train_file, steps, staged=True, after=evaluation)
    assert examples == 4000
    rate = clicks / examples
    constant = -rate * math.log(rate) - (1 - rate) * math.log(1 - rate)
    assert loss / examples < LEARNT * constant


# --- one definition -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", zoo.SMALL)
def test_keras_trains_as_the_graph_does(name, lines):
    """Same first weights, same losses. SGD, for Keras's Adagrad squares each of the slices of a row by
    itself."""
    module = zoo.module(name, optimizer=lambda: keras.optimizers.SGD(0.1))
    file = lines[zoo.SMALL[name].data][0]
    expected, _ = train(module, file, 3, staged=False, batch=64)
    model = module.custom_model()
    model.compile(optimizer=module.optimizer(), loss=module.loss, run_eagerly=True)
    dataset = tf.data.TextLineDataset(str(file)).batch(64).map(module.parse).take(3)
    for loss, (features, labels) in zip(expected, dataset, strict=True):
        assert model.train_on_batch(features, labels) == pytest.approx(loss, rel=2e-4)


# --- the command --------------------------------------------------------------------------------


def test_the_command_trains_in_a_session_of_compat_v1(lines):
    command = [sys.executable, str(zoo.MODELS / "train.py"), "dlrm", "--data", str(lines["criteo"][0])]
    command += ["--batch_size", "32", "--steps", "3", "--explain"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=200)
    assert done.returncode == 0, done.stderr
    said = done.stdout
    assert "1 stage, " in said and "step 3: loss " in said and "steps/s" in said


@pytest.mark.parametrize("way, says", [("graph", "step 3: loss "), ("keras", "auc: ")])
def test_the_command_trains_without_staging(way, says, lines, capsys):
    arguments = ["dssm", "--data", str(lines["taobao"][0]), "--way", way, "--batch_size", "32", "--steps",
        "3"]
    assert train_command.main(arguments + ["--unstaged"] * (way == "graph")) == 0
    assert says in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["--data", "NONE"], "no such file: NONE"),
        (["--steps", "0"], "--steps must be at least 1"),
        (["--way", "keras", "--unstaged"], "Keras's fit is not staged"),
        (["--explain", "--unstaged"], "leave --unstaged out"),
    ],
)
def test_wrong_usage_of_the_command(arguments, says, capsys):
    with pytest.raises(SystemExit) as ended:
        train_command.main(["din", "--data", __file__, *arguments])
    assert ended.value.code == 2 and says in capsys.readouterr().err


def test_bad_lines_fail_the_command(tmp_path, capsys):
    (tmp_path / "bad.tsv").write_text("1\t2\n")
    arguments = ["din", "--data", str(tmp_path / "bad.tsv"), "--batch_size", "1", "--unstaged"]
    assert train_command.main(arguments) == 1
    assert "Expect 8 fields but have 2" in capsys.readouterr().err


# --- their parts --------------------------------------------------------------------------------


def test_criteo_lines():
    values = ["68fd1e64", "", *["a\"b"] * 24]
    line = "\t".join(["1", "5", "-3", "", *["7"] * 10, *values])
    features, label = criteo.parse(tf.constant([line, line]))
    assert label.numpy().tolist() == [1.0, 1.0]
    assert features["integers"].numpy()[0].tolist() == [5, -3, 0, *[7] * 10]
    assert [v.decode() for v in features["categories"].numpy()[1]] == values
    alone, _ = criteo.parse(tf.constant(line))
    assert alone["integers"].shape == [13] and alone["categories"].shape == [26]
    numbers = layers.LogOfPositive()(features["integers"])
    np.testing.assert_allclose(numbers[0, :3], [math.log(6), 0, 0], rtol=1e-6)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Expect 40 fields but have 2 in record 1"):
        criteo.parse(tf.constant([line, "1\t2"]))


def test_columns_have_rows_of_their_own_in_one_table():
    columns = [tf.constant([0, 4], tf.int64), tf.constant([1, 0], tf.int64), tf.constant([2, 2], tf.int64)]
    assert criteo.OneAfterTheOther(5)(columns).numpy().tolist() == [[0, 6, 12], [4, 5, 12]]


def history(count):
    return ",".join(f"i{i}" for i in range(count))


@pytest.mark.parametrize("count", [0, 1, 3, 4, 9])
def test_histories_are_cut_and_padded(count):
    ids, present = taobao.HashList(1000, 4)(tf.constant([history(count), history(2)]))
    kept = [f"i{i}" for i in range(count)][-4:]
    expected = [int(tf.strings.to_hash_bucket_fast(i, 1000)) for i in kept]
    assert ids.numpy()[0].tolist() == expected + [0] * (4 - len(kept))
    assert present.numpy().tolist() == [[i < len(kept) for i in range(4)], [True, True, False, False]]


def test_taobao_lines():
    line = "0\tu\ti\tc\ta,b\tx,y\td,e\tz,w"
    features, label = taobao.parse(tf.constant([line]))
    assert label.numpy().tolist() == [0.0]
    assert {name: value.numpy()[0].decode() for name, value in features.items()} == {
        "user": "u", "item": "i", "category": "c", "clicked_items": "a,b", "clicked_categories": "x,y"}
    assert set(taobao.parse_all(tf.constant([line]))[0]) == set(taobao.IDS + taobao.CLICKED + taobao.NOT_CLICKED)


def test_attention_looks_at_what_is_there():
    random = np.random.default_rng(1)
    query, elements = random.normal(size=(3, 6)), random.normal(size=(3, 4, 6))
    present = np.array([[True, True, False, False], [True] * 4, [False] * 4])
    weights = layers.Attention((5,))(*(tf.constant(a, tf.float32) for a in (query, elements)),
        tf.constant(present))
    np.testing.assert_allclose(np.sum(weights, 1), [1, 1, 0], atol=1e-6)
    assert np.all(np.asarray(weights)[~present] == 0)


def test_a_gru_is_kerass_own():
    """With the same weights. Keras keeps z h + (1 - z) c, this one (1 - u) h + u c: the gate is the other
    way."""
    x = tf.constant(np.random.default_rng(2).normal(size=(3, 5, 4)), tf.float32)
    present = tf.sequence_mask([5, 2, 0], 5)
    layer = recurrent.Gru(6, name="gru")
    got = layer(x, present)
    own = keras.layers.GRU(6, reset_after=False, return_sequences=True, use_cudnn=False)
    own.build(x.shape)
    for ours, theirs in ((layer.kernel, own.cell.kernel), (layer.recurrent, own.cell.recurrent_kernel)):
        reset, update, candidate = np.split(ours.numpy(), 3, axis=1)
        theirs.assign(np.concatenate([-update, reset, candidate], axis=1))
    np.testing.assert_allclose(got, own(x, mask=present), atol=1e-6)
    last = recurrent.Gru(6, last=True, name="gru")(x, present)
    np.testing.assert_array_equal(last, got[:, -1])


def test_attention_holds_the_state_of_an_augru():
    x = tf.constant(np.random.default_rng(4).normal(size=(1, 3, 4)), tf.float32)
    present, attention = tf.ones([1, 3], tf.bool), tf.constant([[1.0, 0.0, 0.5]])
    states = recurrent.Gru(6, name="augru")(x, present, attention)[0].numpy()
    assert np.all(states[1] == states[0]) and np.any(states[2] != states[1])
    whole = recurrent.Gru(6, name="augru")(x, present)[0].numpy()
    np.testing.assert_allclose(states[0], whole[0], rtol=1e-6)


def test_the_auxiliary_loss_is_of_training_alone():
    x = tf.constant(np.random.default_rng(3).normal(size=(2, 3, 4)), tf.float32)
    layer = recurrent.AuxiliaryLoss((5,), name="auxiliary")
    present = tf.constant([[True, True, False], [True, False, False]])
    layer(x, x, -x, present)
    assert not layer.losses
    layer(x, x, -x, present, training=True)
    (loss,) = layer.losses
    yes, no = layer._logits(x[:, :-1], x[:, 1:]), layer._logits(x[:, :-1], -x[:, 1:])
    # One step alone has a next element that is present.
    assert float(loss) == pytest.approx(float(tf.nn.softplus(-yes)[0, 0] + tf.nn.softplus(no)[0, 0]),
        rel=1e-5)


def test_a_table_gives_what_kerass_embedding_gives():
    table = layers.table("some", 10, 3)
    ids = tf.constant([[1, 9], [1, 0]], tf.int64)
    np.testing.assert_array_equal(table(ids), keras.layers.Embedding.call(table, ids))


def test_a_table_is_looked_up_by_distinct_rows_for_parameter_servers():
    table = layers.table("other", 10, 3)
    ids = tf.constant([[1, 9], [1, 0]], tf.int64)
    expected = table(ids)

    def ops():
        return {op.type for op in tf.function(table).get_concrete_function(ids).graph.get_operations()}

    assert "ResourceGather" in ops() and not {"Unique", "ReadVariableOp"} & ops()
    with sparse.lookups():
        assert {"ResourceGather", "Unique"} <= ops()
        np.testing.assert_array_equal(table(ids), expected)


def test_v1_optimizers_are_those_of_keras():
    made = graph.optimizer_like(lambda: keras.optimizers.Adagrad(0.25, initial_accumulator_value=0.5))
    assert isinstance(made, tf1.train.AdagradOptimizer)
    assert made._learning_rate == 0.25 and made._initial_accumulator_value == 0.5
    assert isinstance(graph.optimizer_like(lambda: keras.optimizers.Adam(0.1)), tf1.train.AdamOptimizer)
    for make in (lambda: keras.optimizers.RMSprop(), lambda: keras.optimizers.SGD(0.1, clipnorm=1.0)):
        with pytest.raises(ValueError, match="no equal in tf.compat.v1"):
            graph.optimizer_like(make)


def test_metadata_of_data_sets():
    lines = tf.data.Dataset.from_tensor_slices(["a", "b", "c"])
    whole = records.parsed(lines, "training", {"batch_size": 2, "shuffle": 0}, lambda text: text + "!")
    assert [batch.numpy().tolist() for batch in whole] == [[b"a!", b"b!"], [b"c!"]]
    each = records.parsed(lines, "evaluation", None, lambda text: text + "!")
    assert [text.numpy() for text in each] == [b"a!", b"b!", b"c!"]
    for metadata, says in (({"batch": 2}, "batch: there are"), ({"batch_size": 0}, "at least 1")):
        with pytest.raises(ValueError, match=says):
            records.parsed(lines, "training", metadata, tf.identity)

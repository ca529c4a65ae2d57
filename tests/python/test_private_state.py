"""Variables that only the stage uses, such as a Keras seed: made ahead, written when a step takes them."""

import json

import pytest

from corpus.sessions import in_process, tf1

_HEAD = """
    import json, sys
    import numpy as np
    import tensorflow as tf
    import headrace
    tf1 = tf.compat.v1
    config = tf1.ConfigProto()
    if sys.argv[1] == "staged":
        headrace.configure(config, headrace.StageOptions(
            cut="largest", capacity=int(sys.argv[2]), num_threads=2, dump_graph=sys.argv[3]))
    tf1.disable_eager_execution()  # else TensorFlow 2 takes no options for its eager context
    tf1.enable_eager_execution(config=config)
"""


def _run(program, tmp_path, capacity):
    """What the program prints, unstaged and staged, and the kinds of what the stages of its functions read."""
    unstaged = in_process(_HEAD + program, "unstaged")
    staged = in_process(_HEAD + program, "staged", str(capacity), str(tmp_path / "graph.pb"))
    kinds = []
    for path in tmp_path.glob("graph*.pb"):
        graph = tf1.GraphDef.FromString(path.read_bytes())
        kinds += [
            [kind.decode() for kind in node.attr["source_kinds"].list.s]
            for node in graph.node
            if node.op == "Headrace>StagedCall"
        ]
    return [json.loads(done.stdout.splitlines()[-1]) for done in (unstaged, staged)], kinds


# The state, what is made of it, and what else happens to the variable between steps.
_STEPS = """
    seed = tf.Variable([7, 0], dtype=tf.int32)
    weight = tf.Variable(1, dtype=tf.int64)
    STATE

    @tf.function
    def step(it):
        x = next(it)
        text = tf.strings.as_string(x)
        noise = tf.random.stateless_uniform([3], draw(), 0, 1000, tf.int64)
        return tf.strings.to_number(text, tf.int64) + noise + weight.read_value()

    it = iter(tf.data.Dataset.range(1000))
    seen = []
    for k in range(30):
        if k == 10:
            seed.assign([100, 5])
        if k in (15, 16, 17):
            seed.assign_add([1, 1])
        if k == 20:
            it = iter(tf.data.Dataset.range(3))
        if k in (23, 24):
            try:
                step(it)
            except tf.errors.OutOfRangeError:
                seen.append("end")
            continue
        if k == 25:
            seed.assign([0, 0])
            it = iter(tf.data.Dataset.range(1000))
        seen += [step(it).numpy().tolist(), seed.numpy().tolist()]
    print(json.dumps(seen))
    """

_STATES = {
    "read and assign": """
    def draw():
        before = seed.read_value()
        seed.assign(before + [0, 1])
        return before
    """,
    "add": """
    def draw():
        seed.assign_add([0, 1])
        return seed.read_value()
    """,
    "twice in a step": """
    def draw():
        seed.assign_add([0, 1])
        first = seed.read_value()
        seed.assign(first * [1, 3])
        return first + seed.read_value()
    """,
}


@pytest.mark.parametrize("state, capacity", [*((state, 4) for state in _STATES), ("add", 1)])
def test_state_of_every_step(tmp_path, state, capacity):
    program = _STEPS.replace("    STATE\n", _STATES[state])
    (unstaged, staged), kinds = _run(program, tmp_path, capacity)
    assert kinds == [["iterator", "state"]]
    assert staged == unstaged


_AUGMENTED = """
    import keras
    keras.utils.set_random_seed(3)
    augmented = keras.Sequential([keras.layers.RandomFlip(seed=1), keras.layers.RandomBrightness(0.3, seed=2)])
    layer = keras.layers.Dense(1)
    optimizer = keras.optimizers.Adam(0.01)
    layer.build((None, 8 * 8 * 3))
    optimizer.build(layer.trainable_variables)
    augmented.build((None, 8, 8, 3))

    @tf.function
    def step(it):
        images, labels = next(it)
        images = tf.reshape(tf.cast(tf.io.decode_raw(images, tf.uint8), tf.float32), [4, 8, 8, 3])
        images = augmented(images, training=True)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(layer(tf.reshape(images, [4, -1])) - labels))
        gradients = tape.gradient(loss, layer.trainable_variables)
        optimizer.apply_gradients(zip(gradients, layer.trainable_variables))
        return loss

    random = np.random.default_rng(1)
    images = [random.integers(0, 256, 192, np.uint8).tobytes() for _ in range(40)]
    labels = random.normal(size=(40, 1)).astype(np.float32)
    data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(4)
    losses = []
    for _ in range(2):
        it = iter(data)
        losses += [float(step(it)) for _ in range(10)]
    seeds = [v.numpy().tolist() for v in augmented.non_trainable_variables]
    print(json.dumps([losses, seeds]))
    """


def test_layers_of_keras_that_augment(tmp_path):
    """Each of them has a seed; the optimizer's counter stays with the training part."""
    (unstaged, staged), kinds = _run(_AUGMENTED, tmp_path, 3)
    assert kinds == [["iterator", "state", "state"]]
    assert staged == unstaged


_FIT = """
    import keras
    keras.utils.set_random_seed(3)
    model = keras.Sequential([
        keras.Input((8, 8, 3)),
        keras.layers.RandomFlip(seed=1),
        keras.layers.RandomBrightness(0.3, seed=2),
        keras.layers.Flatten(),
        keras.layers.Dense(8, activation="relu"),
        keras.layers.Dropout(0.5, seed=5),
        keras.layers.Dense(1),
    ])
    model.compile("adam", "mse", jit_compile=False)
    random = np.random.default_rng(1)
    images = random.integers(0, 256, (64, 8, 8, 3)).astype(np.float32)
    data = tf.data.Dataset.from_tensor_slices((images, random.normal(size=(64, 1)).astype(np.float32)))
    history = model.fit(data.batch(4), epochs=3, verbose=0)
    print(json.dumps([history.history["loss"], [w.tolist() for w in model.get_weights()]]))
    """


def test_fit(tmp_path):
    """Keras's own loop, over several epochs. The seed of the dropout is the training part's."""
    (unstaged, staged), kinds = _run(_FIT, tmp_path, 3)
    assert kinds == [["iterator", "state", "state"]]
    assert staged == unstaged

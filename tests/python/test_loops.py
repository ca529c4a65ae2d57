"""Variables that a loop reads in each of its turns, which on parameter servers is a fetch each time."""

import textwrap

import pytest

from headrace.elastic import export, model_module

MODULE = """
    import keras
    import tensorflow as tf

    def custom_model():
        inputs = keras.Input((5, 3))
        x = LAYER(inputs)
        return keras.Model(inputs, keras.layers.Dense(1)(x)[:, 0])

    class Reading(keras.layers.Layer):
        def build(self, shape):
            self.weight = self.add_weight(shape=(3, 3), name="weight")

        def call(self, inputs):
            weight = tf.convert_to_tensor(self.weight)
            return tf.while_loop(
                lambda i, x: i < 4, lambda i, x: (i + 1, tf.matmul(x, weight)), (0, inputs[:, 0])
            )[1]

    def loss(labels, predictions):
        return tf.square(labels - predictions)

    def optimizer():
        return keras.optimizers.SGD(0.1)

    def dataset_fn(dataset):
        def parse(record):
            return tf.zeros([5, 3]) + tf.strings.to_number(record), 1.0
        return dataset.map(parse)
"""


@pytest.mark.parametrize(
    "layer, sharded, variables",
    [
        ("keras.layers.GRU(4, name='cell')", True, ["cell/gru_cell/kernel", "gru_cell/recurrent_kernel"]),
        ("keras.layers.SimpleRNN(4, name='cell')", True, ["cell/simple_rnn_cell/recurrent_kernel"]),
        ("keras.layers.GRU(4, name='cell')", False, []),
        ("Reading(name='before')", True, []),
    ],
)
def test_weights_that_loops_read(tmp_path, layer, sharded, variables):
    (tmp_path / "m.py").write_text(textwrap.dedent(MODULE).replace("LAYER", layer))
    module = model_module.load(str(tmp_path / "m.py"))
    warnings = []
    export.export(module, str(tmp_path / "job"), minibatch_size=4, sharded=sharded, warnings=warnings)
    assert len(warnings) == bool(variables), warnings
    for name in variables:
        assert name in warnings[0]

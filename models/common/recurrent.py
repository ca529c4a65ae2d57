"""DIEN's recurrent layers: a GRU, the same with attention as its update gate (AUGRU), and the auxiliary
loss."""

import keras
import tensorflow as tf

from common import layers


class Gru(keras.layers.Layer):
    """A GRU over x [B, n, w], from a state of zeros: all states [B, n, size], or with last=True the last [B,
    size].

    present: bool [B, n]; a step that is not leaves the state as it is. With attention [B, n] the update gate
    is multiplied by it (AUGRU): so does a step that does not matter.
    Weights are read before the loop, once: on parameter servers each step of it would fetch them.
    """

    def __init__(self, size, last=False, **kwargs):
        super().__init__(**kwargs)
        self.size, self.last = size, last
        self.supports_masking = True  # it is given `present`

    def build(self, x_shape, present_shape, attention_shape=None):
        # Columns: reset gate, update gate, candidate.
        glorot = keras.initializers.GlorotUniform
        self.kernel = self.add_weight(
            shape=(x_shape[-1], 3 * self.size), initializer=glorot(layers.seed(f"{self.name}_kernel")),
                name="kernel")
        self.recurrent = self.add_weight(
            shape=(self.size, 3 * self.size), initializer=glorot(layers.seed(f"{self.name}_recurrent")),
            name="recurrent")
        self.bias = self.add_weight(shape=(3 * self.size,), initializer="zeros", name="bias")
        self.built = True

    def call(self, x, present, attention=None):
        recurrent = tf.convert_to_tensor(self.recurrent)
        of_gates, of_candidate = recurrent[:, : 2 * self.size], recurrent[:, 2 * self.size :]
        inputs = tf.einsum("bnw,wh->nbh", x,
            tf.convert_to_tensor(self.kernel)) + tf.convert_to_tensor(self.bias)
        weights = tf.cast(present, inputs.dtype)
        weights = tf.transpose(weights if attention is None else weights * attention)[:, :, tf.newaxis]

        def step(state, element):
            given, weight = element
            gates = tf.sigmoid(given[:, : 2 * self.size] + tf.matmul(state, of_gates))
            reset, update = tf.split(gates, 2, axis=1)
            candidate = tf.tanh(given[:, 2 * self.size :] + tf.matmul(reset * state, of_candidate))
            return state + weight * update * (candidate - state)

        states = tf.scan(step, (inputs, weights), initializer=tf.zeros_like(inputs[0, :, : self.size]))
        return states[-1] if self.last else tf.transpose(states, [1, 0, 2])

    def compute_output_spec(self, x, present, attention=None):
        shape = (x.shape[0], self.size) if self.last else (*x.shape[:2], self.size)
        return keras.KerasTensor(shape, x.dtype)


class AuxiliaryLoss(keras.layers.Layer):
    """Gives the states as they are; in training adds the loss of telling by each state what was clicked next.

    states, clicked, not_clicked [B, n, w], present bool [B, n]. A small network on a state and the next
    element says whether that was clicked; the loss is its cross entropy on elements that were and on those
    that were not, the mean over the steps that are present.
    """

    def __init__(self, sizes, **kwargs):
        super().__init__(**kwargs)
        self.sizes = sizes
        self.supports_masking = True  # it is given `present`

    def build(self, states_shape, clicked_shape, not_clicked_shape, present_shape):
        width = states_shape[-1] + clicked_shape[-1]
        self.layers = []
        for i, size in enumerate((*self.sizes, 1)):
            layer = layers.dense(f"{self.name}{i}", size, "sigmoid" if i < len(self.sizes) else None)
            layer.build((None, None, width))
            self.layers.append(layer)
            width = size
        self.built = True

    def call(self, states, clicked, not_clicked, present, training=False):
        if training:
            weights = tf.cast(present[:, 1:], states.dtype)
            yes = self._logits(states[:, :-1], clicked[:, 1:])
            no = self._logits(states[:, :-1], not_clicked[:, 1:])
            losses = tf.nn.softplus(-yes) + tf.nn.softplus(no)
            self.add_loss(tf.reduce_sum(losses * weights) / tf.maximum(tf.reduce_sum(weights), 1.0))
        return states

    def _logits(self, states, elements):
        x = tf.concat([states, elements], -1)
        for layer in self.layers:
            x = layer(x)
        return x[:, :, 0]

    def compute_output_spec(self, states, clicked, not_clicked, present, training=False):
        return keras.KerasTensor(states.shape, states.dtype)

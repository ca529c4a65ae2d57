"""DIEN's recurrent layers: a GRU, the same with attention as its update gate (AUGRU), and the auxiliary loss."""

import keras
import tensorflow as tf

from common import layers


class GruCell(keras.layers.Layer):
    """A GRU's cell, for keras.layers.RNN: state [B, size].

    attended: the last number of each input is the step's attention, which the update gate is multiplied by (AUGRU):
    what does not matter leaves the state as it is.
    """

    def __init__(self, size, attended=False, **kwargs):
        super().__init__(**kwargs)
        self.size, self.attended = size, attended
        self.state_size = self.output_size = size

    def build(self, shape):
        width = shape[-1] - self.attended + self.size
        self.gates = layers.dense(f"{self.name}_gates", 2 * self.size, "sigmoid")
        self.candidate = layers.dense(f"{self.name}_candidate", self.size, "tanh")
        self.gates.build((None, width))
        self.candidate.build((None, width))
        self.built = True

    def call(self, inputs, states):
        (state,) = states
        x = inputs[:, :-1] if self.attended else inputs
        reset, update = tf.split(self.gates(tf.concat([x, state], 1)), 2, axis=1)
        if self.attended:
            update *= inputs[:, -1:]
        state = (1.0 - update) * state + update * self.candidate(tf.concat([x, reset * state], 1))
        return state, [state]


class AuxiliaryLoss(keras.layers.Layer):
    """Gives the states as they are; in training adds the loss of telling by each state what was clicked next.

    states, clicked, not_clicked [B, n, w], present bool [B, n]. A small network on a state and the next element says
    whether that was clicked; the loss is its cross entropy on elements that were and on those that were not, the
    mean over the steps that are present.
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

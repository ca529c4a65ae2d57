"""A model module as a plain tf.compat.v1 graph: records are read by tf.data, all else stands in the graph.

    lines, initializer = graph.next_lines(["rows.tsv"], 512)
    step = graph.train_step(dlrm, lines)
    with tf.compat.v1.Session(config=config) as session:
        session.run([initializer, tf.compat.v1.global_variables_initializer()])
        print(session.run(step))

Nothing here knows of staging: a session whose config asks for it runs reading, parsing, hashing and padding
ahead.
"""

from typing import NamedTuple

import keras
import tensorflow as tf

tf1 = tf.compat.v1


class Training(NamedTuple):
    """Ends of a training graph: the batch's loss (float, scalar), logits [B], and the op that trains."""

    loss: tf.Tensor
    logits: tf.Tensor
    train_op: tf.Operation


def lines_dataset(files, batch_size, repeat=True):
    """A dataset of lines [batch_size]: the files over and over; or once, and the last batch may be smaller.

    files: of text, all of them .gz, or all of them .tfrecord, whose records take the place of lines.
    """
    names = [str(path) for path in files]
    kinds = {next((kind for kind in (".gz", ".tfrecord") if name.endswith(kind)), "") for name in names}
    if len(kinds) != 1:
        raise ValueError("files: name at least one, and do not mix plain ones, .gz and .tfrecord")
    kind = kinds.pop()
    dataset = (tf.data.TFRecordDataset(names) if kind == ".tfrecord" else
               tf.data.TextLineDataset(names, "GZIP" if kind else ""))
    return (dataset.repeat() if repeat else dataset).batch(batch_size, drop_remainder=repeat)


def next_lines(files, batch_size, repeat=True):
    """(lines [batch_size], op that starts the input) of such a dataset."""
    iterator = tf1.data.make_initializable_iterator(lines_dataset(files, batch_size, repeat))
    return iterator.get_next(), iterator.initializer


def training(module, features, labels, model=None):
    """Builds forward pass, loss and updates in the default graph.

    module: a model module of this zoo. features, labels: as its parse() gives them.
    model: what its custom_model() made in this graph; default: makes it.
    """
    model = model or module.custom_model()
    # Keras writes moving averages with ops that nothing in a v1 graph waits for: collect and run them here.
    with keras.StatelessScope(collect_losses=True) as forward:
        logits = model(features, training=True)
    loss = tf.add_n([tf.reduce_mean(module.loss(labels, logits)), *forward.losses])
    moved = []
    for variable in model.non_trainable_variables:
        value = forward.get_current_value(variable)
        if value is not None:
            moved.append(tf1.assign(variable.value, value))
    weights = [variable.value for variable in model.trainable_variables]
    trained = optimizer_like(module.optimizer).minimize(loss, var_list=weights)
    return Training(loss, logits, tf.group(trained, *moved))


def train_step(module, lines, model=None):
    """The loss of one training step on lines [B]; fetching this one tensor trains."""
    built = training(module, *module.parse(lines), model)
    with tf.control_dependencies([built.train_op]):
        return tf.identity(built.loss)


def evaluate_step(module, lines, model):
    """Of lines [B] one tensor, float [3]: examples, sum of their losses, sum of their labels."""
    features, labels = module.parse(lines)
    losses = module.loss(labels, model(features, training=False))
    # One tensor: labels alone would have moved into the stage with all that they depend on.
    return tf.stack([tf.cast(tf.size(labels), tf.float32), tf.reduce_sum(losses), tf.reduce_sum(labels)])


def optimizer_like(make):
    """tf.compat.v1's optimizer with the numbers of the Keras one that make() gives: Adagrad, Adam, or SGD.

    Adagrad there has no epsilon, and Adam adds its epsilon elsewhere: steps differ in the last digits.
    Errors: ValueError for other optimizers, and for options that the v1 one has not.
    """
    with tf.Graph().as_default():  # Keras keeps the rate in a variable, which is not this graph's
        optimizer = make()
        rate = tf.get_static_value(optimizer._learning_rate.value.initial_value)
    kind = type(optimizer)
    options = ("weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "use_ema", "loss_scale_factor",
               "gradient_accumulation_steps", "amsgrad", "nesterov")
    used = [name for name in options if getattr(optimizer, name, None)]
    if used or rate is None:
        what = ", ".join(used) or "a schedule"
        raise ValueError(f"{kind.__name__} with {what} has no equal in tf.compat.v1")
    rate = float(rate)
    if kind is keras.optimizers.Adagrad:
        return tf1.train.AdagradOptimizer(rate, optimizer.initial_accumulator_value)
    if kind is keras.optimizers.Adam:
        return tf1.train.AdamOptimizer(rate, optimizer.beta_1, optimizer.beta_2, optimizer.epsilon)
    if kind is keras.optimizers.SGD and optimizer.momentum:
        return tf1.train.MomentumOptimizer(rate, optimizer.momentum)
    if kind is keras.optimizers.SGD:
        return tf1.train.GradientDescentOptimizer(rate)
    raise ValueError(f"{kind.__name__} has no equal in tf.compat.v1: use SGD, Adagrad or Adam")

"""A graph with its session and one callable, run some steps at a time."""

import time
from typing import NamedTuple

import tensorflow as tf
from tensorflow.core.protobuf import rewriter_config_pb2

tf1 = tf.compat.v1


class Segment(NamedTuple):
    """Steps run one after the other: wall and processor time of all of them, and what each
    fetched."""

    steps: int
    seconds: float
    cpu_seconds: float
    values: list


class Stepper:
    """Builds a graph, starts a session on it and steps it through a callable.

    A callable costs about a tenth of Session.run per step and the same for every contender, so that
    what is compared is the graph. Owns graph and session until close(). Not thread-safe.

    build: called once with the new graph as default; returns (fetches, initializers): what a step
    runs, and the ops that start the input.
    """

    def __init__(self, name, build, config=None):
        self.name = name
        self.config = config
        self.graph = tf.Graph()
        with self.graph.as_default():
            fetches, initializers = build()
            init = tf1.global_variables_initializer()
        self.session = tf1.Session(graph=self.graph, config=config)
        self.session.run(init)
        self.session.run(initializers)
        self._step = self.session.make_callable(fetches)

    def replace_step(self, step):
        """From now on a step is a call of `step`: for steps of several runs."""
        self._step = step

    def advance(self, steps):
        """Runs `steps` steps. Errors of the graph are raised as they are."""
        step, values = self._step, []
        cpu = time.process_time()
        start = time.perf_counter()
        for _ in range(steps):
            values.append(step())
        seconds = time.perf_counter() - start
        return Segment(steps, seconds, time.process_time() - cpu, values)

    def close(self):
        """Ends the session."""
        self.session.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def evaluate(build):
    """The value of what `build()` returns as (fetches, initializers), in a session of its own."""
    with Stepper("evaluate", build) as stepper:
        return stepper.advance(1).values[0]


def frozen(structure):
    """Tensors that hold the arrays of `structure`: a batch that is already there.

    They are read from variables, which the graph's optimizer does not fold into constants.
    """
    def variable(index_and_array):
        index, array = index_and_array
        return tf1.get_variable(f"frozen{index}", initializer=tf.constant(array), trainable=False,
                                use_resource=True).read_value()

    flat = tf.nest.flatten(structure)
    return tf.nest.pack_sequence_as(structure, [variable(item) for item in enumerate(flat)])


def quiet_config():
    """A session that spends no processor time on idle spinning: for measuring what a step needs."""
    config = tf1.ConfigProto(use_per_session_threads=True)
    config.gpu_options.allow_growth = True
    config.experimental.disable_thread_spinning = True
    return config


def keeping_config():
    """A session that computes what only control edges ask for.

    TensorFlow's dependency optimizer makes such ops no-ops, if they are pure: a part of a graph
    that is run for its time alone would cost nothing.
    """
    config = tf1.ConfigProto()
    config.gpu_options.allow_growth = True
    config.graph_options.rewrite_options.dependency_optimization = (
        rewriter_config_pb2.RewriterConfig.OFF)
    return config

"""Sessions that take this package's ConfigProto and explain TensorFlow's refusals."""

import contextlib
import functools
import re
import weakref

import tensorflow as tf

from headrace import carrier, library
from headrace.compat.v1.config import to_stock
from headrace.errors import StagedTensorError

_REFUSALS = (
    # Local sessions say the same of feeds and fetches.
    (
        re.compile(
            r"Tensor (\S+), specified in either feed_devices or fetch_devices was not found"
        ),
        None,
    ),
    (re.compile(r"FetchOutputs node (\S+): not found"), "fetched"),
    (re.compile(r"FeedInputs: unable to find feed output (\S+)"), "fed"),
    (re.compile(r"PruneForTargets: Some target nodes not found: (.+?)\s*(?:\n|$)"), "run"),
)


@contextlib.contextmanager
def explained(graph):
    """Turns "not found" about something that `graph` does hold into StagedTensorError.

    The session has taken the same graph, so what it does not find is what staging has removed.
    """
    try:
        yield
    except (tf.errors.NotFoundError, tf.errors.InvalidArgumentError) as error:
        translated = _translate(error, graph)
        if translated is None:
            raise
        raise translated from error


def _translate(error, graph):
    for pattern, action in _REFUSALS:
        match = pattern.search(error.message or "")
        if match:
            names = match.group(1).split()
            if all(_holds(graph, name) for name in names):
                return StagedTensorError(names, action or "fed or fetched")
    return None


def _holds(graph, name):
    try:
        graph.as_graph_element(name)
        return True
    except (KeyError, ValueError):
        return False


def explain_refusals(session):
    """Makes a session that TensorFlow created itself raise StagedTensorError as Session does."""
    if isinstance(session, _Explaining) or carrier.find_carrier(session._config) is None:
        return session
    # Looked up through the class, so that the session holds no reference to itself.
    reference, kind = weakref.ref(session), type(session)
    for method in ("run", "partial_run_setup", "partial_run"):
        setattr(session, method, _explaining_method(reference, getattr(kind, method)))
    session.make_callable = functools.partial(_make_callable, reference, kind.make_callable)
    return session


def _explaining_method(reference, method):
    @functools.wraps(method)
    def call(*args, **kwargs):
        session = reference()
        with explained(session.graph):
            return method(session, *args, **kwargs)

    return call


def _make_callable(reference, method, *args, **kwargs):
    session = reference()
    graph = session.graph
    with explained(graph):
        inner = method(session, *args, **kwargs)

    @functools.wraps(inner)
    def call(*call_args, **call_kwargs):
        with explained(graph):
            return inner(*call_args, **call_kwargs)

    return call


class _Explaining:
    """Mixed into TensorFlow's session classes."""

    _session = None  # read by TensorFlow's __del__ also where __init__ failed

    def run(self, fetches, feed_dict=None, options=None, run_metadata=None):
        with explained(self.graph):
            return super().run(fetches, feed_dict, options, run_metadata)

    def partial_run_setup(self, fetches, feeds=None):
        with explained(self.graph):
            return super().partial_run_setup(fetches, feeds)

    def partial_run(self, handle, fetches, feed_dict=None):
        with explained(self.graph):
            return super().partial_run(handle, fetches, feed_dict)

    def make_callable(self, fetches, feed_list=None, accept_options=False):
        return _make_callable(
            lambda: self, super().make_callable.__func__, fetches, feed_list, accept_options
        )


class Session(_Explaining, tf.compat.v1.Session):
    """tf.compat.v1.Session; `config` may be this package's ConfigProto.

    Errors beside TensorFlow's: OptionError and GraphMismatchError when it is made;
    StagedTensorError when a step feeds or fetches what has moved into a stage; library.load()'s.
    """

    def __init__(self, target="", graph=None, config=None):
        library.load()
        super().__init__(target, graph, to_stock(config, graph or tf.compat.v1.get_default_graph()))


class InteractiveSession(_Explaining, tf.compat.v1.InteractiveSession):
    """tf.compat.v1.InteractiveSession; as Session."""

    def __init__(self, target="", graph=None, config=None):
        library.load()
        if config is None:  # TensorFlow's own choice for this class
            config = tf.compat.v1.ConfigProto()
            config.gpu_options.allow_growth = True
        super().__init__(target, graph, to_stock(config, graph or tf.compat.v1.get_default_graph()))

"""tf.compat.v1.train, with the classes and functions that make sessions taking this ConfigProto."""

import inspect

import tensorflow as tf

from headrace import library
from headrace._log import logger
from headrace.compat.v1 import sessions
from headrace.compat.v1.config import ConfigProto, to_stock
from headrace.marks import mark_target_node

_stock = tf.compat.v1.train


class _ExplainHook(_stock.SessionRunHook):
    """Reaches the sessions that TensorFlow makes, also again after a failure."""

    def after_create_session(self, session, coord):
        sessions.explain_refusals(session)


def _config(config, graph=None):
    library.load()
    return to_stock(config, graph or tf.compat.v1.get_default_graph())


def _bound(function, args, kwargs, graph=None):
    """The arguments of a stock function by name, with `config` turned into a stock message."""
    arguments = inspect.signature(function).bind(*args, **kwargs).arguments
    arguments.update(arguments.pop("kwargs", {}))
    return {**arguments, "config": _config(arguments.get("config"), graph)}


def MonitoredTrainingSession(*args, **kwargs):
    """tf.compat.v1.train.MonitoredTrainingSession; `config` may be this package's ConfigProto."""
    arguments = _bound(_stock.MonitoredTrainingSession, args, kwargs)
    arguments["hooks"] = [*(arguments.get("hooks") or ()), _ExplainHook()]
    return _stock.MonitoredTrainingSession(**arguments)


class ChiefSessionCreator(_stock.ChiefSessionCreator):
    """tf.compat.v1.train.ChiefSessionCreator; `config` may be this package's ConfigProto."""

    def __init__(
        self,
        scaffold=None,
        master="",
        config=None,
        checkpoint_dir=None,
        checkpoint_filename_with_path=None,
    ):
        super().__init__(
            scaffold, master, _config(config), checkpoint_dir, checkpoint_filename_with_path
        )


class WorkerSessionCreator(_stock.WorkerSessionCreator):
    """tf.compat.v1.train.WorkerSessionCreator; `config` may be this package's ConfigProto."""

    def __init__(self, scaffold=None, master="", config=None, max_wait_secs=30 * 60):
        super().__init__(scaffold, master, _config(config), max_wait_secs)


class MonitoredSession(_stock.MonitoredSession):
    """tf.compat.v1.train.MonitoredSession, for the session creators of this package."""

    def __init__(self, session_creator=None, hooks=None, stop_grace_period_secs=120):
        super().__init__(
            session_creator or ChiefSessionCreator(),
            [*(hooks or ()), _ExplainHook()],
            stop_grace_period_secs,
        )


class SingularMonitoredSession(_stock.SingularMonitoredSession):
    """tf.compat.v1.train.SingularMonitoredSession; `config` may be this package's ConfigProto."""

    def __init__(
        self,
        hooks=None,
        scaffold=None,
        master="",
        config=None,
        checkpoint_dir=None,
        stop_grace_period_secs=120,
        checkpoint_filename_with_path=None,
    ):
        super().__init__(
            [*(hooks or ()), _ExplainHook()],
            scaffold,
            master,
            _config(config),
            checkpoint_dir,
            stop_grace_period_secs,
            checkpoint_filename_with_path,
        )


class SessionManager(_stock.SessionManager):
    """tf.compat.v1.train.SessionManager; `config` may be this package's ConfigProto."""

    def prepare_session(self, *args, **kwargs):
        arguments = _bound(super().prepare_session, args, kwargs, self._graph)
        return sessions.explain_refusals(super().prepare_session(**arguments))

    def recover_session(self, *args, **kwargs):
        arguments = _bound(super().recover_session, args, kwargs, self._graph)
        session, restored = super().recover_session(**arguments)
        return sessions.explain_refusals(session), restored

    def wait_for_session(self, *args, **kwargs):
        arguments = _bound(super().wait_for_session, args, kwargs, self._graph)
        session = super().wait_for_session(**arguments)
        return session and sessions.explain_refusals(session)


class Supervisor(_stock.Supervisor):
    """tf.compat.v1.train.Supervisor; `config` may be this package's ConfigProto."""

    def prepare_or_wait_for_session(self, *args, **kwargs):
        arguments = _bound(super().prepare_or_wait_for_session, args, kwargs, self._graph)
        session = super().prepare_or_wait_for_session(**arguments)
        return sessions.explain_refusals(session)

    PrepareSession = prepare_or_wait_for_session


class Server(_stock.Server):
    """tf.compat.v1.train.Server; `config` may be this package's ConfigProto.

    Loads Headrace's library, so that staged graphs that reach this server find their ops. What is
    staged is said by each session's own config: of the server's, only the stock fields count.
    """

    def __init__(
        self,
        server_or_cluster_def,
        job_name=None,
        task_index=None,
        protocol=None,
        config=None,
        start=True,
    ):
        library.load()
        super().__init__(
            server_or_cluster_def, job_name, task_index, protocol, _server_config(config), start
        )

    @staticmethod
    def create_local_server(config=None, start=True):
        return Server({"localhost": ["localhost:0"]}, protocol="grpc", config=config, start=start)


def _server_config(config):
    if not isinstance(config, ConfigProto):
        return config
    optimizer = config.graph_options.optimizer_options
    if optimizer.do_smart_stage or optimizer.do_smart_stage_gpu:
        logger().info("do_smart_stage on a Server has no effect: set it on the sessions' config")
    return config.stock_fields()


__all__ = sorted(
    {name for name in dir(_stock) if not name.startswith("_")}
    | {name for name, value in globals().items() if getattr(value, "__module__", "") == __name__}
    | {"mark_target_node"}
)


def __getattr__(name):
    return getattr(_stock, name)


def __dir__():
    return __all__

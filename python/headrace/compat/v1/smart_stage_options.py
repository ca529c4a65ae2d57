"""tf.SmartStageOptions: DeepRec's options of an automatic stage."""

import tensorflow as tf

from headrace import options as first_class
from headrace.compat.v1 import names
from headrace.compat.v1.plain import Plain
from headrace.errors import OptionError, OptionTypeError


def _graph(field, value):
    if value is not None and not isinstance(value, tf.Graph):
        raise OptionTypeError(field, value, "a tf.Graph or None")
    return value


def _name(field, value):
    return None if value is None else first_class.check_field("name", value)


def _clients(field, value):
    return first_class.check_field("num_clients", value)


def capacity(field, value):
    """DeepRec has no stage without room."""
    if value == 0 and not isinstance(value, bool):
        raise OptionError(field, value, ">= 1")
    return first_class.check_field("capacity", value)


def _field(default):
    return default, first_class.check_field


# The eleven of DeepRec's table first, then Headrace's own.
_DEEPREC = {
    "capacity": (1, capacity),
    "num_threads": _field(1),
    "num_client": (1, _clients),
    "timeout_millis": _field(300000),
    "closed_exception_types": _field((first_class.OUT_OF_RANGE,)),
    "ignored_exception_types": _field(()),
    "use_stage_subgraph_thread_pool": _field(False),
    "stage_subgraph_thread_pool_id": _field(0),
    "stage_subgraph_stream_id": _field(0),
    "graph": (None, _graph),
    "name": (None, _name),
}
_HEADRACE = {
    "ignored_limit": _field(1000),
    "cut": _field("auto"),
    "exclude": _field(()),
    "budget_bytes": _field(0),
    "dump_graph": _field(""),
}


class SmartStageOptions(Plain):
    """Options of the stage that do_smart_stage makes; assign with smart_stage_options.CopyFrom().

    The first eleven parameters, their order and defaults are DeepRec's.

    capacity: finished results that may wait, >= 1, or headrace.AUTOTUNE.
    num_threads: threads that run the stage's body, in [1, 4096], or headrace.AUTOTUNE.
    num_client: consumers that take at the same time, >= 1; `num_clients` is the same.
    timeout_millis: longest wait of a take on a stage that makes no progress, in milliseconds; 0 =
        never. The element stays for the next take (DeepRec drops it).
    closed_exception_types: errors that mean end of data: tf.errors codes or classes.
    ignored_exception_types: errors whose element is skipped and counted.
    use_stage_subgraph_thread_pool: run the stage's ops on a pool set up with
        ConfigProto.session_stage_subgraph_thread_pool.add().
    stage_subgraph_thread_pool_id: which one, from 0.
    stage_subgraph_stream_id: which GPU stream the stage uses; 0 = the main graph's.
    graph: the session's graph, to have a mix-up found; None = whichever graph the session has.
    name: prefix of the stages' names, unique in the graph; None = made from the sources' names.
    ignored_limit, cut, exclude, budget_bytes, dump_graph: as in headrace.StageOptions.

    Errors: OptionError, OptionTypeError, DuplicateNameError.
    """

    _FIELDS = {**_DEEPREC, **_HEADRACE}

    def __init__(
        self,
        capacity=1,
        num_threads=1,
        num_client=None,
        timeout_millis=300000,
        closed_exception_types=(first_class.OUT_OF_RANGE,),
        ignored_exception_types=(),
        use_stage_subgraph_thread_pool=False,
        stage_subgraph_thread_pool_id=0,
        stage_subgraph_stream_id=0,
        graph=None,
        name=None,
        *,
        num_clients=None,
        **headrace,
    ):
        if num_client is not None and num_clients is not None and num_client != num_clients:
            raise OptionError(
                "num_clients", num_clients, f"num_client ({num_client}): they are one option"
            )
        clients = num_client if num_clients is None else num_clients
        super().__init__(
            capacity=capacity,
            num_threads=num_threads,
            num_client=1 if clients is None else clients,
            timeout_millis=timeout_millis,
            closed_exception_types=closed_exception_types,
            ignored_exception_types=ignored_exception_types,
            use_stage_subgraph_thread_pool=use_stage_subgraph_thread_pool,
            stage_subgraph_thread_pool_id=stage_subgraph_thread_pool_id,
            stage_subgraph_stream_id=stage_subgraph_stream_id,
            graph=graph,
            name=name,
            **headrace,
        )
        first_class.check_codes(self.closed_exception_types, self.ignored_exception_types)
        if self.name:
            names.claim(graph or tf.compat.v1.get_default_graph(), self.name)

    def __getattr__(self, name):
        return super().__getattr__("num_client" if name == "num_clients" else name)

    def __setattr__(self, name, value):
        super().__setattr__("num_client" if name == "num_clients" else name, value)

    def stage_options(self, **session) -> first_class.StageOptions:
        """With the session's own fields, as headrace.StageOptions."""
        own = {name: getattr(self, name) for name in self._FIELDS}
        del own["graph"]
        own["num_clients"] = own.pop("num_client")
        own["name"] = own["name"] or ""
        return first_class.StageOptions(**own, **session)

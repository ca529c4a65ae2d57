"""What a user may ask of a stage; the same table is in docs/formats.md (options)."""

import dataclasses
import difflib
import os

from headrace import _checks
from headrace.errors import OptionError, OptionNameError, OptionTypeError

OUT_OF_RANGE = 11  # tf.errors.OUT_OF_RANGE, known without importing TensorFlow


@dataclasses.dataclass(frozen=True)
class ThreadPool:
    """A pool of threads that stages may run on.

    inter_op_threads_num: threads that start ops, in [0, 4096]; 0 = one per core.
    intra_op_threads_num: threads inside one op, in [0, 4096]; 0 = one per core.
    global_name: the threads' name; pools of equal name in a process are one pool.
    """

    inter_op_threads_num: int = 0
    intra_op_threads_num: int = 0
    global_name: str = ""

    def __post_init__(self):
        for field in ("inter_op_threads_num", "intra_op_threads_num"):
            checked = _checks.integer(field, getattr(self, field), 0, _checks.MAX_THREADS)
            object.__setattr__(self, field, checked)
        object.__setattr__(self, "global_name", _checks.text("global_name", self.global_name))


@dataclasses.dataclass(frozen=True)
class StageOptions:
    """Options of the stages of one graph. Immutable; dataclasses.replace() makes a changed copy.

    smart: grow the stage as far as is legal. False: only up to the marks that tf.staged made, and
        without marks nothing is staged.
    capacity: finished results that may wait; more cost memory and are read further ahead. 0: nothing
        runs ahead, reads and body run in the step. AUTOTUNE: chosen from measured steps, within 100
        steps or 3 s, whichever ends later, and again from time to time: as few as keep steps from
        waiting, or 0 where running ahead does not pay; the log and stats() say so. The stage's
        threads then have the lowest priority: the training part comes first.
    num_threads: threads that run the stage's body, in [1, 4096]; each may hold one more element.
        Without a body (explain() says so) more than one has no effect. AUTOTUNE: as many as the
        body needs to keep up with the rest, at most one a core.
    num_clients: consumers that take at the same time, >= 1; each element goes to exactly one.
    timeout_millis: longest wait, in milliseconds, of a take on a stage that makes no progress; then
        DEADLINE_EXCEEDED, and the element stays for the next take. 0 = never.
    closed_exception_types: errors that mean end of data: tf.errors classes or status codes in
        [1, 16].
    ignored_exception_types: errors whose element is skipped and counted, in the same form. None may
        be in both lists.
    ignored_limit: skips in a row after which the error is delivered all the same; 0 = no bound.
    use_stage_subgraph_thread_pool: run the stage's ops on a pool of `thread_pools`.
    stage_subgraph_thread_pool_id: which one, in [0, len(thread_pools) - 1].
    thread_pools: sequence of ThreadPool.
    stage_subgraph_on_cpu: pin the stage to the host.
    stage_subgraph_stream_id: which GPU stream the stage uses, in [0, max(streams, 1) - 1]; 0 is the
        main graph's.
    streams: GPU streams asked for; 0 = multi-stream off.
    cut: "auto" chooses by cost which tensors cross; "largest" stages all that may be staged.
    exclude: names of operations that stay out of the stage.
    budget_bytes: bytes that may be held ahead, raw and staged; 0 = no bound, and 64 MiB for what
        AUTOTUNE adds to the first two results.
    name: prefix of the stages' names.
    dump_graph: path to which the rewritten graph is written (GraphDef; text if it ends in .pbtxt).

    Errors: OptionError or OptionTypeError, naming field, value and range.
    """

    smart: bool = True
    capacity: int = _checks.AUTOTUNE
    num_threads: int = _checks.AUTOTUNE
    num_clients: int = 1
    timeout_millis: int = 300000
    closed_exception_types: tuple = (OUT_OF_RANGE,)
    ignored_exception_types: tuple = ()
    ignored_limit: int = 1000
    use_stage_subgraph_thread_pool: bool = False
    stage_subgraph_thread_pool_id: int = 0
    thread_pools: tuple = ()
    stage_subgraph_on_cpu: bool = False
    stage_subgraph_stream_id: int = 0
    streams: int = 0
    cut: str = "auto"
    exclude: tuple = ()
    budget_bytes: int = 0
    name: str = ""
    dump_graph: str = ""

    def __new__(cls, *_, **options):
        names = [field.name for field in dataclasses.fields(cls)]
        for name in options:
            if name not in names:
                close = difflib.get_close_matches(name, names, n=1)
                raise OptionNameError(name, close[0] if close else "")
        return super().__new__(cls)

    def __post_init__(self):
        for field in dataclasses.fields(self):
            checked = check_field(field.name, getattr(self, field.name))
            object.__setattr__(self, field.name, checked)
        check_codes(self.closed_exception_types, self.ignored_exception_types)
        check_pool(self)
        last_stream = max(self.streams, 1) - 1
        if self.stage_subgraph_stream_id > last_stream:
            raise OptionError(
                "stage_subgraph_stream_id",
                self.stage_subgraph_stream_id,
                f"in [0, {last_stream}], as streams is {self.streams}",
            )


def check_field(field: str, value):
    """`value` in the plain form that StageOptions keeps for `field`, checked on its own."""
    return _CHECKS[field](field, value)


def check_codes(closed, ignored):
    both = [code for code in ignored if code in closed]
    if both:
        raise OptionError(
            "ignored_exception_types",
            tuple(ignored),
            f"without {both[0]}, which closed_exception_types holds: an error either means end of "
            "data or is skipped",
        )


def check_pool(options):
    """The pool that is asked for must be there."""
    if not options.use_stage_subgraph_thread_pool:
        return
    pools = len(options.thread_pools)
    if pools == 0:
        raise OptionError(
            "use_stage_subgraph_thread_pool",
            True,
            "False where no pool is set up (thread_pools, or "
            "session_stage_subgraph_thread_pool.add() on the ConfigProto)",
        )
    if options.stage_subgraph_thread_pool_id >= pools:
        raise OptionError(
            "stage_subgraph_thread_pool_id",
            options.stage_subgraph_thread_pool_id,
            f"in [0, {pools - 1}], as {pools} pool{'s are' if pools > 1 else ' is'} set up",
        )


def _integer(low, high):
    return lambda field, value: _checks.integer(field, value, low, high)


def _integer_or_autotune(low, high):
    return lambda field, value: _checks.integer_or_autotune(field, value, low, high)


def _pools(field, value):
    if not isinstance(value, (list, tuple)):
        raise OptionTypeError(field, value, "a list of headrace.ThreadPool")
    for i, pool in enumerate(value):
        if not isinstance(pool, ThreadPool):
            raise OptionTypeError(f"{field}[{i}]", pool, "a headrace.ThreadPool")
    return tuple(value)


def _path(field, value):
    return _checks.text(field, os.fspath(value) if isinstance(value, os.PathLike) else value)


def _cut(field, value):
    if not isinstance(value, str):
        raise OptionTypeError(field, value, "'auto' or 'largest'")
    if value not in ("auto", "largest"):
        raise OptionError(field, value, "'auto' or 'largest'")
    return value


_CHECKS = {
    "smart": _checks.boolean,
    "capacity": _integer_or_autotune(0, _checks.INT32_MAX),
    "num_threads": _integer_or_autotune(1, _checks.MAX_THREADS),
    "num_clients": _integer(1, _checks.INT32_MAX),
    "timeout_millis": _integer(0, _checks.INT64_MAX),
    "closed_exception_types": _checks.status_codes,
    "ignored_exception_types": _checks.status_codes,
    "ignored_limit": _integer(0, _checks.INT64_MAX),
    "use_stage_subgraph_thread_pool": _checks.boolean,
    "stage_subgraph_thread_pool_id": _integer(0, _checks.INT32_MAX),
    "thread_pools": _pools,
    "stage_subgraph_on_cpu": _checks.boolean,
    "stage_subgraph_stream_id": _integer(0, _checks.INT32_MAX),
    "streams": _integer(0, _checks.INT32_MAX),
    "cut": _cut,
    "exclude": _checks.texts,
    "budget_bytes": _integer(0, _checks.INT64_MAX),
    "name": _checks.stage_name,
    "dump_graph": _path,
}

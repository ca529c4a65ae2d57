"""Finds what a traced function cannot take along into a process without Python."""

from headrace.errors import ExportError, HeadraceError

_PYTHON_OPS = {
    "PyFunc": "tf.numpy_function",
    "PyFuncStateless": "tf.numpy_function",
    "EagerPyFunc": "tf.py_function",
}


def traced(function, *arguments):
    """The concrete function of a tf.function.

    Errors: Headrace's own come as they are, and not in what AutoGraph wraps them.
    """
    try:
        return function.get_concrete_function(*arguments)
    except Exception as error:
        found = own_error(error)
        if found is None:
            raise
        raise found from None


def own_error(error):
    """Headrace's own error that `error` is, or comes from; None if there is none."""
    while error is not None and not isinstance(error, HeadraceError):
        error = error.__cause__ or error.__context__
    return error


def check(concrete_function, name):
    """Refuses Python inside the graph, also inside functions that datasets and control flow call.

    Errors: ExportError with file and line of the call where TensorFlow kept it.
    """
    for op in _ops(concrete_function.graph, set()):
        if op.type in _PYTHON_OPS:
            raise ExportError(
                f"{name} calls Python ({_PYTHON_OPS[op.type]}, op '{op.name}'){where(op)}: the trainer "
                "runs without Python. Write it with TensorFlow's ops, or run the program as it is "
                "under `headrace run`"
            )


def lines(concrete_function, path):
    """{op: line of the file `path` that made it}, for messages about ops that failed."""
    found = {}
    for op in _ops(concrete_function.graph, set()):
        frames = [f.lineno for f in _traceback(op) if f.filename == path]
        if frames:
            found[op.name] = frames[-1]
    return found


def _traceback(op):
    """Empty for ops that C++ made, such as those of a loop's gradient: they have none."""
    return op.traceback or ()


def _ops(graph, seen):
    """Of the graph and of every function that it calls."""
    for op in graph.get_operations():
        yield op
        for function in _functions_of(op):
            if function in seen:
                continue
            seen.add(function)
            if graph._is_function(function):
                yield from _ops(graph._get_function(function).graph, seen)


# Ops that take a variable's handle and leave the variable as it is.
READS = ("ReadVariableOp", "ResourceGather", "ResourceGatherNd", "VariableShape", "VarIsInitializedOp")
_BY_ROWS = ("ResourceGather", "ResourceGatherNd", "VariableShape", "VarIsInitializedOp")
# How many inputs an op has in front of those that it hands to its functions.
_CALLS = {
    "PartitionedCall": 0,
    "StatefulPartitionedCall": 0,
    "While": 0,
    "StatelessWhile": 0,
    "If": 1,
    "StatelessIf": 1,
    "Case": 1,
    "StatelessCase": 1,
}


def variable_uses(concrete_function):
    """(op, variable) of every op, but for calls, that takes a variable's handle, in all that is called."""
    return ((op, variable) for op, variable, _ in _all_uses(concrete_function))


def reads_in_loops(concrete_function) -> dict:
    """{id of a variable: (variable, op)} of those that each turn of a loop reads again, with one such op."""
    return {
        id(variable): (variable, op)
        for op, variable, looped in _all_uses(concrete_function)
        if looped and op.type in ("ReadVariableOp", "ResourceGather", "ResourceGatherNd")
    }


def _all_uses(concrete_function):
    handles = {id(variable.handle): variable for variable in concrete_function.variables}
    graph = concrete_function.graph
    captured = {id(i): handles[id(e)] for e, i in graph.captures if id(e) in handles}
    return _uses(graph, captured, False)


def _uses(graph, handles, looped):
    """(op, variable, whether it is in a loop).

    handles: {id of a tensor of this graph: the variable whose handle it is}.
    """
    for op in graph.get_operations():
        taken = [(i, handles[id(t)]) for i, t in enumerate(op.inputs) if id(t) in handles]
        if not taken:
            continue
        if op.type not in _CALLS:
            yield from ((op, variable, looped) for _, variable in taken)
            continue
        within = looped or op.type in ("While", "StatelessWhile")
        for name in _functions_of(op):
            inner = graph._get_function(name).graph
            places = [(i - _CALLS[op.type], variable) for i, variable in taken]
            yield from _uses(inner, {id(inner.inputs[i]): v for i, v in places if i >= 0}, within)


def check_by_rows(concrete_function, name, is_large, name_of):
    """Refuses whole reads and writes of large tables.

    Errors: ExportError with the table's name, the op, and file and line of the call.
    """
    for op, variable in variable_uses(concrete_function):
        if op.type in _BY_ROWS or op.type.startswith("ResourceScatter") or not is_large(variable):
            continue
        raise ExportError(
            f"{name} uses all {int(variable.shape[0])} rows of table '{name_of(variable)}' each time "
            f"({op.type}, op '{op.name}'){where(op)}: too many to send. Use it by rows: "
            "keras.layers.Embedding (not quantized), tf.gather or tf.nn.embedding_lookup"
        )


def _functions_of(op):
    for attribute in op.node_def.attr.values():
        if attribute.HasField("func"):
            yield attribute.func.name
        for function in attribute.list.func:
            yield function.name


def where(op):
    """" at FILE:LINE" of the user's call that made an op; "" if that is not known."""
    frames = [f for f in _traceback(op) if "/tensorflow/" not in f.filename]
    frames = [f for f in frames if "/headrace/" not in f.filename]
    return f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""

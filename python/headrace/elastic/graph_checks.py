"""Finds what a traced function cannot take along into a process without Python."""

from headrace.errors import ExportError

_PYTHON_OPS = {
    "PyFunc": "tf.numpy_function",
    "PyFuncStateless": "tf.numpy_function",
    "EagerPyFunc": "tf.py_function",
}


def check(concrete_function, name):
    """Refuses Python inside the graph, also inside functions that datasets and control flow call.

    Errors: ExportError with file and line of the call where TensorFlow kept it.
    """
    for op in _ops(concrete_function.graph, set()):
        if op.type in _PYTHON_OPS:
            raise ExportError(
                f"{name} calls Python ({_PYTHON_OPS[op.type]}, op '{op.name}'){_where(op)}: the trainer "
                "runs without Python. Write it with TensorFlow's ops, or run the program as it is "
                "under `headrace run`"
            )


def lines(concrete_function, path):
    """{op: line of the file `path` that made it}, for messages about ops that failed."""
    found = {}
    for op in _ops(concrete_function.graph, set()):
        frames = [f.lineno for f in op.traceback if f.filename == path]
        if frames:
            found[op.name] = frames[-1]
    return found


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


def _functions_of(op):
    for attribute in op.node_def.attr.values():
        if attribute.HasField("func"):
            yield attribute.func.name
        for function in attribute.list.func:
            yield function.name


def _where(op):
    frames = [f for f in op.traceback if "/tensorflow/" not in f.filename]
    frames = [f for f in frames if "/headrace/" not in f.filename]
    return f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""

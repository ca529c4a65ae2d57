"""Model modules: the Python file in which a user describes a job.

    custom_model()                 a Keras model or tf.Module, built on raw features
    loss(labels, predictions)      a scalar, or one value per example
    optimizer()                    a Keras optimizer
    dataset_fn(dataset)            records (serialized, tf.string) to (features, labels);
                                   or dataset_fn(dataset, mode, metadata)
    eval_metrics_fn()              {name: metric}, where evaluation is asked for
    prediction_outputs_processor   a class, where predictions are processed in Python
"""

import dataclasses
import functools
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable
from typing import Any

from headrace.errors import ModelModuleError

_ARGUMENTS = {"custom_model": 0, "loss": 2, "optimizer": 0, "eval_metrics_fn": 0}
_NEEDED = ("loss", "optimizer", "dataset_fn")


@dataclasses.dataclass(frozen=True)
class ModelModule:
    """The functions of a model module. `dataset_fn` takes (dataset, mode, metadata) always."""

    path: str
    custom_model: Callable[[], Any]
    loss: Callable[[Any, Any], Any]
    optimizer: Callable[[], Any]
    dataset_fn: Callable[[Any, str, Any], Any]
    eval_metrics_fn: Callable[[], dict] | None = None
    prediction_outputs_processor: Any = None

    def line(self, name: str) -> int | None:
        """Where a function begins in the module's file; None: it is not of that file."""
        code = _code(getattr(self, name))
        return code.co_firstlineno if code and code.co_filename == self.path else None

    def at(self, name: str) -> str:
        """FILE:LINE where a function of the module begins; the file alone where it is another's."""
        line = self.line(name)
        return f"{self.path}:{line}" if line else self.path


def load(model_def: str, model_zoo: str = "") -> ModelModule:
    """Imports the module that `model_def` names.

    model_def: a file ("zoo/mnist/mnist.py"), which defines custom_model; or a dotted name whose last
        part is the function that makes the model ("mnist.mnist.custom_model"). Both are looked for in
        `model_zoo`, and without it in the current directory.
    Errors: ModelModuleError, which names the file and what is wrong or missing; what the module itself
        raises while it is imported comes as its cause.
    """
    path, function = locate(model_def, model_zoo)
    return _read(_import(path), path, function)


def locate(model_def: str, model_zoo: str = ""):
    """(file, name of the model function), of a file that is there. Errors: ModelModuleError."""
    root = model_zoo or os.curdir
    if model_zoo and not os.path.isdir(model_zoo):
        raise ModelModuleError(f"--model_zoo {model_zoo} is not a directory")
    if model_def.endswith(".py") or os.sep in model_def:
        candidates = [os.path.join(root, model_def), model_def]
        function = "custom_model"
    else:
        *parts, function = model_def.split(".")
        if not parts:
            raise ModelModuleError(
                f"--model_def {model_def} names no module: give a file, or a dotted name that ends in "
                "the model function, such as mnist.mnist.custom_model"
            )
        candidates = [os.path.join(root, *parts) + ".py", os.path.join(root, *parts, "__init__.py")]
    for path in candidates:
        if os.path.isfile(path):
            return os.path.abspath(path), function
    looked = " nor ".join(dict.fromkeys(candidates))
    zoo = "" if model_zoo else "; --model_zoo names the folder in which modules lie"
    raise ModelModuleError(f"--model_def {model_def}: there is no {looked}{zoo}")


def _import(path):
    name = "headrace_model_" + os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    # Modules of a zoo import their neighbours, by themselves or through the zoo's packages.
    added = [p for p in (os.path.dirname(path), os.path.dirname(os.path.dirname(path)))]
    added = [p for p in added if p not in sys.path]
    sys.path[:0] = added
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ModelModuleError(
            f"{path}: importing it raised {type(error).__name__}: {error}{_where(error, path)}"
        ) from error
    finally:
        for p in added:
            sys.path.remove(p)
    return module


def _where(error, path):
    """" (line N)" of the last frame in the module itself."""
    if isinstance(error, SyntaxError) and error.filename == path:
        return f" (line {error.lineno})"
    line = None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == path:
            line = trace.tb_lineno
        trace = trace.tb_next
    return f" (line {line})" if line else ""


def _read(module, path, model_function):
    functions = {"custom_model": getattr(module, model_function, None)}
    if functions["custom_model"] is None:
        beside = os.path.join(os.path.dirname(path), model_function + ".py")
        hint = f"; {beside} is a module: add .custom_model to its name" if os.path.isfile(beside) else ""
        raise ModelModuleError(f"{path} does not define {model_function}(), which makes the model{hint}")
    for name in (*_NEEDED, "eval_metrics_fn", "prediction_outputs_processor"):
        functions[name] = getattr(module, name, None)
    missing = [name for name in _NEEDED if functions[name] is None]
    if missing:
        raise ModelModuleError(f"{path} does not define {', '.join(missing)}; see docs/model-modules.md")
    if callable(getattr(module, "callbacks", None)):
        raise ModelModuleError(
            f"{path}:{line_of(module.callbacks)}: callbacks() are Python, and the trainer runs without it: "
            "leave them out, or run the program as it is under `headrace run`"
        )
    for name, function in functions.items():
        if function is not None and not callable(function):
            raise ModelModuleError(f"{path}: {name} is {function!r}, and must be callable")
    for name, count in _ARGUMENTS.items():
        if functions[name] is not None:
            _check_arguments(functions[name], name, count, path)
    functions["dataset_fn"] = _with_mode(functions["dataset_fn"], path)
    return ModelModule(path=path, **functions)


def _takes(function, count):
    try:
        inspect.signature(function).bind(*[None] * count)
    except TypeError:
        return False
    return True


def _check_arguments(function, name, count, path):
    if _takes(function, count):
        return
    raise ModelModuleError(
        f"{path}:{line_of(function)}: {name}{inspect.signature(function)} must take {count} arguments"
    )


def _with_mode(function, path):
    if _takes(function, 3):
        return function
    if _takes(function, 1):
        return functools.wraps(function)(lambda dataset, mode, metadata: function(dataset))
    raise ModelModuleError(
        f"{path}:{line_of(function)}: dataset_fn{inspect.signature(function)} must take (dataset) or "
        "(dataset, mode, metadata)"
    )


def line_of(function):
    """Where a function of the module begins; "?": it is none that Python tells of."""
    code = _code(function)
    return code.co_firstlineno if code else "?"


def _code(function):
    return getattr(inspect.unwrap(function), "__code__", None)

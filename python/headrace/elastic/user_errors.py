"""What a model module's own functions raise, in a line for who wrote it."""

import os
import re

_NUMPY = re.compile(r"to a numpy array|has no attribute 'numpy'|numpy\(\) is only available")
_NO_PYTHON = (
    "; what is exported runs without Python: use TensorFlow's functions, or run the program as it is under "
    "`headrace run`"
)
_TOLD = re.compile(r'File "(.+?)", line (\d+), in')
_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def describe(error: BaseException, module) -> str:
    """FILE:LINE: TYPE: what it says.

    module: the ModelModule. The line is the last one in its file, or in what lies in and below its folder, on
    the way to the error. Where nothing of it is on that way, as in a layer that is called with what does not
    fit, it is that of custom_model, and the lines of all that has to fit are named.
    """
    words = _words(error)
    way_out = _NO_PYTHON if _NUMPY.search(words) else ""
    where = place(error, module.path) or _together(module)
    return f"{where}: {type(error).__name__}: {words}{way_out}"


def place(error: BaseException, path: str) -> str:
    """FILE:LINE of the last line of the module at `path`, or of its neighbours, on the way to the error; "" if
    there is none."""
    found = _place(error, os.path.dirname(path))
    return f"{found[0]}:{found[1]}" if found else ""


def _together(module):
    """Where the model is made, and that it does not fit."""
    lines = ((name, module.line(name)) for name in ("dataset_fn", "custom_model", "loss"))
    data, model, loss = (f"{name} (line {line})" if line else name for name, line in lines)
    return f"{module.at('custom_model')}: what {data}, {model} and {loss} give does not fit together"


def _place(error, folder):
    """(file, line) of the last frame in `folder`; of the error itself, else of what it came from."""
    while error is not None:
        # AutoGraph runs code of its own making, and tells of the user's in words.
        told = [(file, int(line)) for file, line in _TOLD.findall(str(error)) if _is_below(file, folder)]
        found, trace = told[-1] if told else None, error.__traceback__
        while trace is not None:
            file = trace.tb_frame.f_code.co_filename
            if _is_below(file, folder):
                found = file, trace.tb_lineno
            trace = trace.tb_next
        if found:
            return found
        error = error.__cause__ or error.__context__
    return None


def _is_below(file, folder):
    file = os.path.abspath(file)
    installed = "site-packages" in file or file.startswith(_OURS + os.sep)
    return file.startswith(folder.rstrip(os.sep) + os.sep) and not installed


def _words(error):
    """AutoGraph ends a list of places with what was raised, and its type."""
    text = str(error).strip()
    if not text.startswith("in user code:"):
        return " ".join(text.split())
    blocks = [" ".join(block.split()) for block in text.split("\n\n") if block.strip()]
    return blocks[-1].removeprefix(f"{type(error).__name__}: ")

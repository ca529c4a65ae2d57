"""Checks of single values, shared by everything that takes options.

Each returns the value in its plain Python form, or raises an error that names field, value and
range.
"""

import operator
import sys

from headrace.errors import OptionError, OptionTypeError

AUTOTUNE = -1  # equal to tf.data.AUTOTUNE
INT32_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1
# As in src/tensorflow/options.cc: more threads than this would take the process down.
MAX_THREADS = 4096


def boolean(field: str, value) -> bool:
    """True or False (also NumPy's); 0 and 1 are not."""
    if isinstance(value, bool):
        return value
    if type(value).__module__ == "numpy" and type(value).__name__ in ("bool", "bool_"):
        return bool(value)
    raise OptionTypeError(field, value, "True or False")


def integer(field: str, value, low: int, high: int) -> int:
    """An integer (also NumPy's, but no bool) in [low, high]."""
    wanted = f">= {low}" if high >= INT32_MAX else f"in [{low}, {high}]"
    if isinstance(value, bool):
        raise OptionTypeError(field, value, f"an integer {wanted}")
    try:
        number = operator.index(value)
    except TypeError:
        raise OptionTypeError(field, value, f"an integer {wanted}") from None
    if not low <= number <= high:
        # What is only bounded by the width of its field is still bounded.
        raise OptionError(field, value, wanted if number < low else f"in [{low}, {high}]")
    return number


def integer_or_autotune(field: str, value, low: int, high: int) -> int:
    """An integer in [low, high], or AUTOTUNE."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise OptionTypeError(field, value, f"an integer >= {low} or headrace.AUTOTUNE")
    if operator.index(value) == AUTOTUNE:
        return AUTOTUNE
    try:
        return integer(field, value, low, high)
    except OptionError as error:
        raise OptionError(field, value, f"{error.range}, or headrace.AUTOTUNE ({AUTOTUNE})") from None


def text(field: str, value) -> str:
    if not isinstance(value, str):
        raise OptionTypeError(field, value, "a string")
    return value


def texts(field: str, value) -> tuple:
    """A list or tuple of non-empty strings."""
    if not isinstance(value, (list, tuple)):
        raise OptionTypeError(field, value, "a list of names")
    for i, item in enumerate(value):
        if not isinstance(item, str):
            raise OptionTypeError(f"{field}[{i}]", item, "the name of an operation")
        if not item:
            raise OptionError(f"{field}[{i}]", item, "the name of an operation, not empty")
    return tuple(value)


def stage_name(field: str, value) -> str:
    """ "" or what may stand in an operation's name."""
    name = text(field, value)
    allowed = "letters, digits, '_', '.', '-' and '/', starting with a letter, a digit or '.'"
    plain = all(c.isascii() and (c.isalnum() or c in "_.-/") for c in name)
    if name and (not plain or not (name[0].isalnum() or name[0] == ".")):
        raise OptionError(field, value, allowed)
    return name


_CODE_RANGE = "a tf.errors class or a status code in [1, 16]"


def status_codes(field: str, value) -> tuple:
    """Status codes 1..16, from ints and tf.errors classes, in order and without repetition."""
    if isinstance(value, (int, type)):
        raise OptionTypeError(field, value, f"a list or tuple, each entry {_CODE_RANGE}")
    try:
        entries = list(value)
    except TypeError:
        raise OptionTypeError(field, value, f"a list or tuple, each entry {_CODE_RANGE}") from None
    codes = []
    for i, entry in enumerate(entries):
        code = _status_code(f"{field}[{i}]", entry)
        if code not in codes:
            codes.append(code)
    return tuple(codes)


def _tensorflow_errors():
    # A program that holds one of TensorFlow's classes has imported it; others need not.
    if "tensorflow" not in sys.modules:
        return []
    errors = sys.modules["tensorflow"].compat.v1.errors
    return [(code, errors.exception_type_from_error_code(code)) for code in range(1, 17)]


def _status_code(field: str, entry) -> int:
    if isinstance(entry, type) and issubclass(entry, BaseException):
        for code, kind in _tensorflow_errors():
            if kind is entry:
                return code
        raise OptionTypeError(field, entry, _CODE_RANGE)
    if isinstance(entry, bool):
        raise OptionTypeError(field, entry, _CODE_RANGE)
    try:
        number = operator.index(entry)
    except TypeError:
        raise OptionTypeError(field, entry, _CODE_RANGE) from None
    if not 1 <= number <= 16:
        raise OptionError(field, entry, _CODE_RANGE)
    return number

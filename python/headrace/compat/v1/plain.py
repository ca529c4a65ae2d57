"""Small protobuf-like messages without a stock counterpart.

Unknown names and wrong types are refused as protobuf refuses them (AttributeError, TypeError,
ValueError), as HR012, HR011 and HR010.
"""

import copy
import difflib

from headrace.errors import OptionTypeError, UnknownFieldError


class Plain:
    """A message without a stock counterpart.

    Subclasses set _FIELDS: name -> (default, check), where check(name, value) returns the value to
    keep or raises. A field is present once it was set.
    """

    _FIELDS = {}

    def __init__(self, **values):
        object.__setattr__(self, "_values", {})
        for name, value in values.items():
            check_known(self, name, self._FIELDS)
            setattr(self, name, value)

    @classmethod
    def blank(cls):
        """A message in which nothing is present."""
        message = cls.__new__(cls)
        object.__setattr__(message, "_values", {})
        return message

    def __getattr__(self, name):
        if name.startswith("_") or name not in self._FIELDS:
            raise unknown(self, name, self._FIELDS)
        return self._values.get(name, self._FIELDS[name][0])

    def __setattr__(self, name, value):
        if name not in self._FIELDS:
            raise unknown(self, name, self._FIELDS)
        self._values[name] = self._FIELDS[name][1](name, value)

    def __dir__(self):
        return sorted(set(super().__dir__()) | set(self._FIELDS))

    def HasField(self, name):
        check_known(self, name, self._FIELDS)
        return name in self._values

    def ClearField(self, name):
        check_known(self, name, self._FIELDS)
        self._values.pop(name, None)

    def Clear(self):
        self._values.clear()

    def CopyFrom(self, other):
        _same_type(self, other, "CopyFrom")
        object.__setattr__(self, "_values", dict(other._values))

    def MergeFrom(self, other):
        _same_type(self, other, "MergeFrom")
        self._values.update(other._values)

    def __eq__(self, other):
        return type(self) is type(other) and self._values == other._values

    __hash__ = None

    def __copy__(self):
        fresh = self.blank()
        fresh.MergeFrom(self)
        return fresh

    def __deepcopy__(self, memo):
        return copy.copy(self)

    def __str__(self):
        return "".join(f"{name}: {value!r}\n" for name, value in self._values.items())

    def __repr__(self):
        fields = ", ".join(f"{name}={value!r}" for name, value in self._values.items())
        return f"{type(self).__name__}({fields})"


class Repeated:
    """A repeated message field: add(), indexing, iteration, extend(), del."""

    def __init__(self, kind):
        self._kind = kind
        self._items = []

    def add(self, **values):
        """Appends a new entry with these fields and returns it."""
        self._items.append(self._kind(**values))
        return self._items[-1]

    def append(self, item):
        self.extend([item])

    def extend(self, items):
        for item in items:
            if isinstance(item, dict):
                item = self._kind(**item)
            if not isinstance(item, self._kind):
                raise OptionTypeError("entry", item, f"a {self._kind.__name__}")
            self._items.append(copy.copy(item))

    def __len__(self):
        return len(self._items)

    def __getitem__(self, index):
        return self._items[index]

    def __delitem__(self, index):
        del self._items[index]

    def __iter__(self):
        return iter(self._items)

    def __eq__(self, other):
        return isinstance(other, (Repeated, list)) and list(self) == list(other)

    __hash__ = None

    def __repr__(self):
        return repr(self._items)


def unknown(message, name, names):
    """The error for a field that `message` does not have."""
    return UnknownFieldError(_unknown_text(message, name, names))


def check_known(message, name, names):
    if name not in names:
        raise UnknownFieldValueError(_unknown_text(message, name, names))


def _unknown_text(message, name, names):
    close = difflib.get_close_matches(name, list(names), n=1)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    return f"{type(message).__name__} has no field '{name}'{hint}"


def _same_type(message, other, where):
    if type(other) is not type(message):
        raise OptionTypeError(where, type(other), f"a {type(message).__name__}")


class UnknownFieldValueError(UnknownFieldError, ValueError):
    """Where protobuf raises ValueError for a name: constructors, HasField, ClearField."""

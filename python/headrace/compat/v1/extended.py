"""Stock protobuf messages with fields added.

A stock message can be neither subclassed nor given fields, so `Extended` is a view: fields that the
stock message has go to the stock message, added ones are kept beside it.
"""

import copy

from headrace.compat.v1.plain import Repeated, check_known, unknown
from headrace.errors import OptionTypeError, UnknownFieldError


class _StockNames(type):
    """Lets enum values and nested types be read from the class, as in OptimizerOptions.L1."""

    def __getattr__(cls, name):
        if name.startswith("_") or cls._STOCK is None:
            raise AttributeError(name)
        return getattr(cls._STOCK, name)


class Extended(metaclass=_StockNames):
    """A stock message with fields added.

    Subclasses set _STOCK (the stock class), _CHILDREN (message field -> Extended subclass to see it
    through), _SCALARS (as Plain._FIELDS), _MESSAGES (name -> Plain subclass) and _REPEATED
    (name -> Plain subclass).

    A child view refers to its parent and field, not to a stock message of its own, so that it
    stays valid when the parent is cleared or copied over.
    """

    _STOCK = None
    _CHILDREN = {}
    _SCALARS = {}
    _MESSAGES = {}
    _REPEATED = {}

    def __init__(self, **values):
        self._bind(None, None)
        for name, value in values.items():
            self._construct(name, value)

    def _bind(self, parent, field):
        put = object.__setattr__.__get__(self)
        put("_parent", parent)
        put("_field", field)
        put("_root", None if parent else self._STOCK())
        put("_scalars", {})
        put("_messages", {name: None for name in self._MESSAGES})
        put("_repeated", {name: Repeated(kind) for name, kind in self._REPEATED.items()})
        children = {}
        for name, kind in self._CHILDREN.items():
            children[name] = kind.__new__(kind)
            children[name]._bind(self, name)
        put("_children", children)

    @property
    def _pb(self):
        """The stock message behind this view."""
        return self._root if self._parent is None else getattr(self._parent._pb, self._field)

    def _construct(self, name, value):
        """A constructor's keyword: messages are copied in, dicts stand for messages."""
        if value is None:
            return
        if name in self._CHILDREN:
            child = self._children[name]
            if isinstance(value, dict):
                value = type(child)(**value)
            child._check_like(value, name)
            child.CopyFrom(value)
        elif name in self._MESSAGES:
            if isinstance(value, dict):
                value = self._MESSAGES[name](**value)
            getattr(self, name).CopyFrom(value)
        elif name in self._REPEATED:
            self._repeated[name].extend(value)
        elif name in self._SCALARS:
            setattr(self, name, value)
        else:
            check_known(self, name, self._names())
            self._pb.MergeFrom(self._STOCK(**{name: value}))

    def _names(self):
        added = (self._SCALARS, self._MESSAGES, self._REPEATED)
        return [f.name for f in self._STOCK.DESCRIPTOR.fields] + [n for d in added for n in d]

    # Attributes.

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        if name in self._CHILDREN:
            return self._children[name]
        if name in self._SCALARS:
            return self._scalars.get(name, self._SCALARS[name][0])
        if name in self._MESSAGES:
            if self._messages[name] is None:
                # As in protobuf, a message that was only read is not present; see HasField.
                self._messages[name] = self._MESSAGES[name].blank()
            return self._messages[name]
        if name in self._REPEATED:
            return self._repeated[name]
        if not (hasattr(self._STOCK, name) or name in self._names()):
            raise unknown(self, name, self._names())
        return getattr(self._pb, name)

    def __setattr__(self, name, value):
        if name in self._SCALARS:
            self._scalars[name] = self._SCALARS[name][1](name, value)
        elif name in self._CHILDREN or name in self._MESSAGES or name in self._REPEATED:
            raise UnknownFieldError(
                f"{type(self).__name__}.{name} is a message: set its fields, or use CopyFrom()"
            )
        elif name not in self._names():
            raise unknown(self, name, self._names())
        else:
            setattr(self._pb, name, value)

    def __dir__(self):
        return sorted(set(super().__dir__()) | set(dir(self._STOCK)) | set(self._names()))

    # Presence and copying.

    def _has_added(self):
        return (
            bool(self._scalars)
            or any(m is not None and m._values for m in self._messages.values())
            or any(len(r) for r in self._repeated.values())
            or any(c._has_added() for c in self._children.values())
        )

    def HasField(self, name):
        check_known(self, name, self._names())
        if name in self._SCALARS:
            return name in self._scalars
        if name in self._MESSAGES:
            return self._messages[name] is not None and bool(self._messages[name]._values)
        if name in self._CHILDREN:
            return self._pb.HasField(name) or self._children[name]._has_added()
        return self._pb.HasField(name)

    def ClearField(self, name):
        check_known(self, name, self._names())
        if name in self._SCALARS:
            self._scalars.pop(name, None)
        elif name in self._MESSAGES:
            if self._messages[name] is not None:
                self._messages[name].Clear()
        elif name in self._REPEATED:
            del self._repeated[name][:]
        else:
            if name in self._CHILDREN:
                self._children[name]._clear_added()
            self._pb.ClearField(name)

    def _clear_added(self):
        for name in (*self._SCALARS, *self._MESSAGES, *self._REPEATED):
            self.ClearField(name)
        for child in self._children.values():
            child._clear_added()

    def Clear(self):
        self._clear_added()
        self._pb.Clear()

    def CopyFrom(self, other):
        """Takes over all of `other`: a stock message of the same kind, or one of these."""
        self._check_like(other, "CopyFrom()")
        if other is self:
            return
        self.Clear()
        self.MergeFrom(other)

    def MergeFrom(self, other):
        """Merges as protobuf does: scalars that are set win, repeated fields are appended."""
        self._check_like(other, "MergeFrom()")
        if isinstance(other, self._STOCK):
            self._pb.MergeFrom(other)
            return
        self._pb.MergeFrom(other._pb)
        self._merge_added(other)

    def _merge_added(self, other):
        self._scalars.update(other._scalars)
        for name, message in other._messages.items():
            if message is not None and message._values:
                getattr(self, name).MergeFrom(message)
        for name, items in other._repeated.items():
            self._repeated[name].extend(items)
        for name, child in other._children.items():
            self._children[name]._merge_added(child)

    def _check_like(self, other, where):
        if not isinstance(other, (self._STOCK, type(self))):
            raise OptionTypeError(
                where, type(other), f"a {type(self).__name__}, this one or the stock one"
            )

    def __eq__(self, other):
        if isinstance(other, self._STOCK):
            return self._pb == other and not self._has_added()
        same = type(self) is type(other) and self._pb == other._pb
        return same and self._added_text() == other._added_text()

    __hash__ = None

    def __copy__(self):
        fresh = type(self)()
        fresh.CopyFrom(self)
        return fresh

    def __deepcopy__(self, memo):
        return copy.copy(self)

    def _added_text(self, indent=""):
        lines = [f"{indent}{name}: {value!r}\n" for name, value in sorted(self._scalars.items())]
        for name, message in self._messages.items():
            if message is not None and message._values:
                lines.append(_block(name, str(message), indent))
        for name, items in self._repeated.items():
            lines.extend(_block(name, str(item), indent) for item in items)
        for name, child in self._children.items():
            added = child._added_text(indent + "  ")
            if added:
                lines.append(f"{indent}{name} {{\n{added}{indent}}}\n")
        return "".join(lines)

    def __str__(self):
        return str(self._pb) + self._added_text()

    __repr__ = __str__


def _block(name, text, indent):
    inner = "".join(f"{indent}  {line}\n" for line in text.splitlines())
    return f"{indent}{name} {{\n{inner}{indent}}}\n"

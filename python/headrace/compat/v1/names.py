"""Names that stages were given, graph by graph: two stages of a graph may not share one."""

import threading
import weakref

from headrace.errors import DuplicateNameError

_lock = threading.Lock()
_taken = weakref.WeakKeyDictionary()  # graph -> set of names; guarded by _lock


def claim(graph, name):
    """Errors: DuplicateNameError if a stage of `graph` has this name already."""
    with _lock:
        names = _taken.setdefault(graph, set())
        if name in names:
            raise DuplicateNameError(
                f"name is '{name}', but a stage of this graph has that name already: choose "
                "another, or leave it out"
            )
        names.add(name)

"""Live figures, closing and traces of the stages in this process."""

import contextlib
import os
import threading

from headrace import _checks, library
from headrace.errors import TraceError

_tracing = threading.Lock()


def stats(session=None) -> list:
    """Figures of the live stages, one dict each; docs/formats.md ("stats") has the keys and units.

    session: a session made with a configured ConfigProto (also a MonitoredSession): its stages.
        None: every stage of this process. A session with a remote target runs its stages in the
        server's process, which this call does not see.
    Errors: SessionOptionsError if the session carries no Headrace options.
    """
    tag = _tag(session)
    loaded = library.loaded()
    return loaded.stats(tag) if loaded else []


def close(session) -> int:
    """Stops the session's stages; returns how many.

    Sessions that were made from one configured ConfigProto are stopped together: configure() each its
    own. What they read ahead stays with its source; later takes fail with CANCELLED. Closing the session
    itself does this too.
    Errors: as stats().
    """
    tag = _tag(session)
    loaded = library.loaded()
    return loaded.close(tag) if loaded else 0


def _tag(session):
    if session is None:
        return ""
    from headrace import carrier

    # Without a tag the empty string would mean all stages of the process, other sessions' too.
    return carrier.tag_of(carrier.of_session(session)) or "(untagged)"


@contextlib.contextmanager
def trace(path, max_events: int = 1_000_000):
    """Records the stages of this process while the `with` block runs, and writes a Chrome trace
    file.

    Open the file in Perfetto or chrome://tracing: reads, bodies, steps (from one take to the next; the
    one that is open at the end is left out) and the waits of steps for a result.

    path: file to write; replaced as a whole at the end, also if the block raises.
    max_events: at most so many spans are kept, >= 1; later ones are counted, and the count is named
        in the trace.
    Errors: TraceError if a trace is being recorded already, or the file cannot be written.
    """
    max_events = _checks.integer("max_events", max_events, 1, _checks.INT64_MAX)
    path = os.fspath(path)
    if not os.path.isdir(os.path.dirname(os.path.abspath(path))):
        raise TraceError(f"cannot write {path}: its directory does not exist")
    loaded = library.load()
    if not _tracing.acquire(blocking=False):
        raise TraceError("a trace is being recorded already: one at a time in a process")
    try:
        loaded.trace_start(max_events)
        try:
            yield
        finally:
            _write(path, loaded.trace_stop())
    finally:
        _tracing.release()


def _write(path, data):
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except OSError as error:
        raise TraceError(f"cannot write {path}: {error.strerror}") from error

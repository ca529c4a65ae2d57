"""Finds libheadrace.so, checks that it fits the installed TensorFlow, and loads it once.

The check comes before the library: one built for another TensorFlow version would end the process
with a message about symbols, or worse. Versions are compared without importing TensorFlow.
"""

import ctypes
import importlib.metadata
import importlib.util
import json
import os
import sys
import threading

from headrace.errors import (
    LibraryLoadError,
    LibraryMissingError,
    TensorFlowMissingError,
    TensorFlowVersionError,
)

DIRECTORY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib")
LIBRARY = "libheadrace.so"
BUILD_INFO = "build.json"  # written by cmake/HeadraceInstall.cmake beside the library

# Distributions of TensorFlow that hold the package `tensorflow`, and what to name in a command.
_DISTRIBUTIONS = ("tensorflow-cpu", "tensorflow", "tensorflow-rocm", "tf-nightly", "tf-nightly-cpu")

_lock = threading.Lock()
_loaded = None


def library_path() -> str:
    return os.path.join(DIRECTORY, LIBRARY)


def build_info() -> dict:
    """{"headrace": version, "tensorflow": the version it was built for}.

    Errors: LibraryMissingError.
    """
    path = os.path.join(DIRECTORY, BUILD_INFO)
    if not os.path.exists(library_path()) or not os.path.exists(path):
        raise LibraryMissingError(
            f"there is no {LIBRARY} in {DIRECTORY}: in a checkout, run scripts/test.sh, which "
            f"builds it; else reinstall with: {sys.executable} -m pip install --force-reinstall --no-deps "
            "headrace"
        )
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def _tensorflow_is_there() -> bool:
    if sys.modules.get("tensorflow") is not None:
        return True
    spec = importlib.util.find_spec("tensorflow")
    # A directory that happens to be called tensorflow is a namespace package without an origin.
    return spec is not None and spec.origin is not None


def find_tensorflow():
    """(distribution, version) of the installed TensorFlow, or None. Does not import it."""
    if not _tensorflow_is_there():
        return None
    for name in _DISTRIBUTIONS:
        try:
            return name, importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    # Built from source, or put on the path by hand: only the module knows.
    import tensorflow

    return "tensorflow", tensorflow.__version__


def fits(built_for: str, found: str) -> bool:
    """TensorFlow promises no C++ binary interface across minor versions; patch releases keep it."""
    return built_for.split(".")[:2] == found.split(".")[:2]


def install_command(built_for: str, distribution: str = "tensorflow-cpu") -> str:
    return f"{sys.executable} -m pip install '{distribution}=={built_for}'"


def check_tensorflow():
    """(distribution, version) of a TensorFlow that fits the library, or a typed error."""
    found = find_tensorflow()
    if found is None:
        try:
            built_for = build_info()["tensorflow"]
        except LibraryMissingError:
            built_for = "2.21.0"
        raise TensorFlowMissingError(
            f"Headrace needs TensorFlow: run: {install_command(built_for)}"
        )
    built_for = build_info()["tensorflow"]
    distribution, version = found
    if not fits(built_for, version):
        name = (
            distribution if distribution in ("tensorflow", "tensorflow-cpu") else "tensorflow-cpu"
        )
        raise TensorFlowVersionError(built_for, version, install_command(built_for, name))
    return found


def import_tensorflow():
    """The module, or TensorFlowMissingError."""
    if not _tensorflow_is_there():
        check_tensorflow()
    import tensorflow

    return tensorflow


class Library:
    """libheadrace.so with the functions of src/tensorflow/c_api.h, as Python calls.

    Thread safety: every method may be called from any thread; the interpreter's lock is released
    while the library works.
    """

    def __init__(self, handle, ops):
        self._handle = handle
        self.ops = ops  # the wrappers that TensorFlow made for the library's ops
        text, size = ctypes.c_void_p, ctypes.c_size_t
        out = ctypes.POINTER(text)
        message = [ctypes.c_char_p, size]
        self._function("headrace_free", None, [text])
        self._function("headrace_version", ctypes.c_char_p, [])
        self._function("headrace_built_for", ctypes.c_char_p, [])
        self._function("headrace_explain", ctypes.c_int, message + message + [out, out, out])
        self._function(
            "headrace_rewrite", ctypes.c_int, message + message + [out, ctypes.POINTER(size), out]
        )
        self._function("headrace_check_options", ctypes.c_int, message + [out])
        self._function("headrace_stats", text, [ctypes.c_char_p])
        self._function("headrace_close", ctypes.c_int, [ctypes.c_char_p])
        self._function("headrace_trace_start", None, [size])
        self._function("headrace_trace_stop", text, [])
        self._function("headrace_account_open", ctypes.c_int, [ctypes.c_char_p, out])
        self._function("headrace_account_close", None, [ctypes.c_char_p])
        self._function(
            "headrace_account_applied",
            ctypes.c_int,
            [ctypes.c_char_p, ctypes.POINTER(ctypes.c_int64), size, out],
        )
        self._function(
            "headrace_account_end", ctypes.c_int, [ctypes.c_char_p, ctypes.c_char_p, out]
        )
        self._function("headrace_account_take", ctypes.c_int, [ctypes.c_char_p, out, out])
        number = ctypes.c_int64
        self._function("headrace_ranges_open", ctypes.c_int, [ctypes.c_char_p, out])
        self._function(
            "headrace_ranges_push",
            ctypes.c_int,
            [ctypes.c_char_p, ctypes.c_char_p, number, number, number, out],
        )
        self._function("headrace_ranges_flush", ctypes.c_int, [ctypes.c_char_p, out])
        self._function("headrace_ranges_finish", ctypes.c_int, [ctypes.c_char_p, out])
        self._function("headrace_ranges_close", None, [ctypes.c_char_p])
        self._function(
            "headrace_feed_connect",
            ctypes.c_int,
            [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int, out, out],
        )
        self._function(
            "headrace_feed_commit", ctypes.c_int, [ctypes.POINTER(ctypes.c_int64), size, out]
        )
        self._function("headrace_feed_commit_noted", ctypes.c_int, [number, out])
        self._function(
            "headrace_feed_iterator_failed", ctypes.c_int, [ctypes.c_int, ctypes.c_char_p, out]
        )
        self._function("headrace_feed_leave", ctypes.c_int, [ctypes.c_char_p, out])

    def _function(self, name, result, arguments):
        function = getattr(self._handle, name)
        function.restype, function.argtypes = result, arguments

    def _take(self, pointer, size=None):
        """Bytes of a string that the library gave away."""
        if not pointer:
            return b""
        try:
            return ctypes.string_at(pointer) if size is None else ctypes.string_at(pointer, size)
        finally:
            self._handle.headrace_free(pointer)

    def version(self) -> str:
        return self._handle.headrace_version().decode()

    def built_for(self) -> str:
        return self._handle.headrace_built_for().decode()

    def explain(self, graph: bytes, options: bytes):
        """(status code, plan as JSON, plan as text, error)."""
        plan, text, error = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
        status = self._handle.headrace_explain(
            graph,
            len(graph),
            options,
            len(options),
            ctypes.byref(plan),
            ctypes.byref(text),
            ctypes.byref(error),
        )
        return status, *(self._take(p.value).decode() for p in (plan, text, error))

    def rewrite(self, graph: bytes, options: bytes):
        """(status code, serialized GraphDef, error)."""
        result, size, error = ctypes.c_void_p(), ctypes.c_size_t(), ctypes.c_void_p()
        status = self._handle.headrace_rewrite(
            graph,
            len(graph),
            options,
            len(options),
            ctypes.byref(result),
            ctypes.byref(size),
            ctypes.byref(error),
        )
        return status, self._take(result.value, size.value), self._take(error.value).decode()

    def check_options(self, options: bytes):
        """(status code, error)."""
        error = ctypes.c_void_p()
        status = self._handle.headrace_check_options(options, len(options), ctypes.byref(error))
        return status, self._take(error.value).decode()

    def stats(self, tag: str) -> list:
        return json.loads(self._take(self._handle.headrace_stats(tag.encode())))["stages"]

    def close(self, tag: str) -> int:
        return self._handle.headrace_close(tag.encode())

    def trace_start(self, max_events: int):
        self._handle.headrace_trace_start(max_events)

    def trace_stop(self) -> bytes:
        return self._take(self._handle.headrace_trace_stop())

    def account_open(self, name: str):
        """(status code, error)."""
        error = ctypes.c_void_p()
        status = self._handle.headrace_account_open(name.encode(), ctypes.byref(error))
        return status, self._take(error.value).decode()

    def account_close(self, name: str):
        self._handle.headrace_account_close(name.encode())

    def account_applied(self, name: str, identities):
        """(status code, error). identities: a contiguous NumPy array of int64."""
        error = ctypes.c_void_p()
        data = identities.ctypes.data_as(ctypes.POINTER(ctypes.c_int64))
        status = self._handle.headrace_account_applied(
            name.encode(), data, identities.size, ctypes.byref(error)
        )
        return status, self._take(error.value).decode()

    def account_end(self, name: str, by: str):
        """(status code, error)."""
        error = ctypes.c_void_p()
        status = self._handle.headrace_account_end(
            name.encode(), by.encode(), ctypes.byref(error)
        )
        return status, self._take(error.value).decode()

    def _ranges(self, what, name, *arguments):
        """(status code, error)."""
        error = ctypes.c_void_p()
        function = getattr(self._handle, f"headrace_ranges_{what}")
        status = function(name.encode(), *arguments, ctypes.byref(error))
        return status, self._take(error.value).decode()

    def ranges_open(self, name: str):
        return self._ranges("open", name)

    def ranges_push(self, name: str, path: str, file: int, begin: int, end: int):
        return self._ranges("push", name, os.fsencode(path), file, begin, end)

    def ranges_flush(self, name: str):
        return self._ranges("flush", name)

    def ranges_finish(self, name: str):
        return self._ranges("finish", name)

    def ranges_close(self, name: str):
        self._handle.headrace_ranges_close(name.encode())

    def feed_connect(self, socket: str, program: str, prefetch: int):
        """(status code, welcome as JSON, error)."""
        welcome, error = ctypes.c_void_p(), ctypes.c_void_p()
        status = self._handle.headrace_feed_connect(
            os.fsencode(socket), program.encode(), prefetch, ctypes.byref(welcome), ctypes.byref(error)
        )
        return status, self._take(welcome.value).decode(), self._take(error.value).decode()

    def _feed(self, what, *arguments):
        """(status code, error)."""
        error = ctypes.c_void_p()
        status = getattr(self._handle, f"headrace_feed_{what}")(*arguments, ctypes.byref(error))
        return status, self._take(error.value).decode()

    def feed_commit(self, identities):
        """identities: a contiguous NumPy array of int64."""
        data = identities.ctypes.data_as(ctypes.POINTER(ctypes.c_int64))
        return self._feed("commit", data, identities.size)

    def feed_commit_noted(self, count: int):
        return self._feed("commit_noted", count)

    def feed_iterator_failed(self, code: int, message: str):
        return self._feed("iterator_failed", code, message.encode())

    def feed_leave(self, why: str):
        return self._feed("leave", why.encode())

    def account_take(self, name: str):
        """(status code, what was settled as JSON, error)."""
        settled, error = ctypes.c_void_p(), ctypes.c_void_p()
        status = self._handle.headrace_account_take(
            name.encode(), ctypes.byref(settled), ctypes.byref(error)
        )
        return status, self._take(settled.value).decode(), self._take(error.value).decode()


def load() -> Library:
    """Loads the library into this process, once; later calls give the same object.

    Only processes that run other processes' graphs (TensorFlow servers) need to call it:
    configure() and headrace.compat.v1 do. Imports TensorFlow. Loading alone changes no graph.
    Errors: TensorFlowMissingError, TensorFlowVersionError, LibraryMissingError, LibraryLoadError.
    """
    global _loaded
    with _lock:
        if _loaded is None:
            _loaded = _load()
        return _loaded


def switched_off() -> bool:
    """Whether the operator's kill switch is set: sessions of this process then run unstaged."""
    return os.environ.get("HEADRACE_STAGING", "").lower() == "off"


def loaded():
    """The library if this process has loaded it, else None."""
    return _loaded


def _load() -> Library:
    check_tensorflow()
    import tensorflow as tf

    path = library_path()
    try:
        ops = tf.load_op_library(path)
        library = Library(ctypes.CDLL(path), ops)
    except (tf.errors.OpError, OSError, AttributeError) as error:
        raise LibraryLoadError(f"{path} could not be loaded: {error}") from error
    if not fits(library.built_for(), tf.__version__):
        raise TensorFlowVersionError(
            library.built_for(), tf.__version__, install_command(library.built_for())
        )
    return library

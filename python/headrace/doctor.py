"""What is installed, and whether it fits together: the checks behind `headrace doctor`."""

import dataclasses
import os
import platform
import sys

from headrace import _quiet, library
from headrace._version import __version__
from headrace.errors import HeadraceError

PYTHON = (3, 10)  # oldest supported; pyproject.toml says the same


@dataclasses.dataclass
class Check:
    """One finding. fix: the command or step that mends it, "" if ok."""

    name: str
    ok: bool
    found: str
    expected: str = ""
    fix: str = ""


def examine() -> list:
    """All checks in order; an earlier failure can make later ones pointless: they are left out."""
    checks = [_system(), _python(), Check("headrace", True, f"{__version__} in {_package()}")]
    built = _library_file()
    checks.append(built)
    tensorflow = _tensorflow(built.ok)
    checks.append(tensorflow)
    if built.ok and tensorflow.ok:
        checks += _load()
    return checks


def _package():
    return os.path.dirname(os.path.abspath(library.__file__))


def _system():
    found = f"{platform.system()} {platform.machine()}"
    ok = found == "Linux x86_64"
    return Check("system", ok, found, "Linux x86_64", "" if ok else "use a Linux x86_64 machine")


def _python():
    ok = sys.version_info >= PYTHON
    wanted = f">= {PYTHON[0]}.{PYTHON[1]}"
    found = f"{platform.python_version()} in {sys.prefix}"
    return Check("python", ok, found, wanted, "" if ok else f"use Python {wanted}")


def _library_file():
    try:
        info = library.build_info()
    except HeadraceError as error:
        return Check("library", False, "none", library.library_path(), error.message)
    found = f"{info['headrace']}, built for TensorFlow {info['tensorflow']}"
    if info["headrace"] != __version__:
        fix = "rebuild (scripts/test.sh), or reinstall headrace"
        return Check("library", False, found, __version__, fix)
    return Check("library", True, found, __version__)


def _tensorflow(library_is_there):
    built_for = library.build_info()["tensorflow"] if library_is_there else "2.21.0"
    wanted = ".".join(built_for.split(".")[:2]) + ".*"
    installed = library.find_tensorflow()
    if installed is None:
        return Check("tensorflow", False, "none", wanted, library.install_command(built_for))
    distribution, version = installed
    if not library.fits(built_for, version):
        fix = library.install_command(built_for)
        return Check("tensorflow", False, f"{distribution} {version}", wanted, fix)
    return Check("tensorflow", True, f"{distribution} {version}", wanted)


def _load():
    # TensorFlow writes its own log lines; the report should not drown in them.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        with _quiet.stderr():
            loaded = library.load()
    except HeadraceError as error:
        return [Check("load", False, "failed", "loads", error.message)]
    import tensorflow as tf

    checks = [
        Check("load", True, f"version {loaded.version()}, loads into TensorFlow {tf.__version__}")
    ]
    gpus = [device.name for device in tf.config.list_physical_devices("GPU")]
    checks.append(Check("gpu", True, ", ".join(gpus) or "none (stages run on the CPU)"))
    checks.append(_staging())
    return checks


def _staging():
    """The kill switch; a value that is neither on nor off was meant to do something."""
    value = os.environ.get("HEADRACE_STAGING", "")
    if library.switched_off():
        return Check("staging", True, "switched off by HEADRACE_STAGING=off")
    if value.lower() in ("", "on"):
        return Check("staging", True, "on")
    return Check(
        "staging", False, f"on, although HEADRACE_STAGING is '{value}'", "'off' or 'on'",
        "say HEADRACE_STAGING=off to switch staging off",
    )

"""The load guard, and `headrace doctor`, which reports it."""

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import headrace
from headrace import cli, doctor, errors, library

RUNNER = CliRunner()


@pytest.fixture
def fake_library(tmp_path, monkeypatch):
    """A package whose library the test says what it was built for, and is none."""
    monkeypatch.setattr(library, "DIRECTORY", str(tmp_path))
    monkeypatch.setattr(library, "_loaded", None)

    def build(built_for, version=headrace.__version__):
        (tmp_path / "libheadrace.so").write_bytes(b"not an ELF file")
        info = {"headrace": version, "tensorflow": built_for}
        (tmp_path / "build.json").write_text(json.dumps(info))

    return build


def report():
    result = RUNNER.invoke(cli.app, ["doctor", "--format", "json"])
    found = json.loads(result.stdout)
    assert found["version"] == 1 and found["ok"] == (result.exit_code == 0)
    return result.exit_code, {check["name"]: check for check in found["checks"]}


def test_another_tensorflow_is_refused_before_the_library_is_touched(fake_library):
    import tensorflow

    fake_library("2.99.1")
    with pytest.raises(errors.TensorFlowVersionError) as caught:
        library.load()
    error = caught.value
    assert (error.built_for, error.found) == ("2.99.1", tensorflow.__version__)
    assert error.command.startswith(sys.executable) and "tensorflow-cpu==2.99.1" in error.command
    assert all(
        part in str(error) for part in (error.built_for, error.found, error.command, "HR002")
    )
    code, checks = report()
    assert code == 1
    assert not checks["tensorflow"]["ok"] and "2.99.1" in checks["tensorflow"]["fix"]
    assert "load" not in checks, "a library that does not fit must not be loaded"


def test_patch_releases_fit():
    assert library.fits("2.21.0", "2.21.3") and not library.fits("2.21.0", "2.2.0")
    assert not library.fits("2.21.0", "3.21.0")


def test_library_that_cannot_be_loaded(fake_library):
    fake_library(library.find_tensorflow()[1])
    with pytest.raises(errors.LibraryLoadError, match="libheadrace.so"):
        library.load()
    code, checks = report()
    assert code == 1 and checks["tensorflow"]["ok"] and not checks["load"]["ok"]


def test_no_library(tmp_path, monkeypatch):
    monkeypatch.setattr(library, "DIRECTORY", str(tmp_path))
    monkeypatch.setattr(library, "_loaded", None)
    with pytest.raises(errors.LibraryMissingError, match="scripts/test.sh"):
        library.load()
    code, checks = report()
    assert code == 1 and "scripts/test.sh" in checks["library"]["fix"]


def test_library_of_another_headrace(fake_library):
    fake_library(library.find_tensorflow()[1], version="0.0.9")
    code, checks = report()
    assert code == 1 and not checks["library"]["ok"]


def test_no_tensorflow(fake_library, monkeypatch):
    fake_library("2.21.0")
    monkeypatch.setattr(library, "_tensorflow_is_there", lambda: False)
    with pytest.raises(errors.TensorFlowMissingError) as caught:
        library.load()
    assert "pip install 'tensorflow-cpu==2.21.0'" in str(caught.value)
    with pytest.raises(errors.TensorFlowMissingError):
        library.import_tensorflow()
    code, checks = report()
    assert code == 1 and "pip install" in checks["tensorflow"]["fix"]


def test_doctor_finds_that_this_installation_fits():
    code, checks = report()
    assert code == 0, checks
    assert set(checks) == {
        "system",
        "python",
        "headrace",
        "library",
        "tensorflow",
        "load",
        "gpu",
        "staging",
    }
    assert all(check["fix"] == "" for check in checks.values())


def test_doctor_names_the_kill_switch(monkeypatch):
    monkeypatch.setenv("HEADRACE_STAGING", "off")
    _, checks = report()
    assert "HEADRACE_STAGING" in checks["staging"]["found"]


def test_doctor_is_plain_lines_where_there_is_no_terminal():
    result = RUNNER.invoke(cli.app, ["doctor"])
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "Headrace and TensorFlow fit."
    assert not set(result.stdout) & set("│┃━\x1b")


def test_importing_headrace_and_help_need_no_tensorflow():
    script = (
        "import sys, headrace, headrace.cli\n"
        "headrace.StageOptions(capacity=2)\n"
        "assert headrace.errors.OptionError.code == 'HR010' and headrace.explain\n"
        "sys.argv = ['headrace', '--help']\n"
        "try: headrace.cli.main()\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "explain" in done.stdout


EAGER = """
import warnings
import tensorflow
if {used}:
    tensorflow.constant(1)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import headrace.compat.v1 as tf
texts = [str(w.message) for w in caught if "eager" in str(w.message)]
assert len(texts) == {used}, texts
assert not tf.executing_eagerly()
assert tf.get_default_graph() is tf.constant(1).graph
"""


@pytest.mark.parametrize("used", [0, 1])
def test_import_of_compat_turns_eager_off_and_warns_if_it_was_used(used):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", EAGER.format(used=used)],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr


def test_every_error_has_its_own_code_and_its_section():
    classes = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.HeadraceError)
    ]
    codes = [kind.code for kind in classes]
    assert len(set(codes)) == len(codes)
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    with open(os.path.join(root, "docs", "errors.md"), encoding="utf-8") as file:
        page = file.read()
    for kind in classes:
        if kind is not errors.HeadraceError:
            assert (
                f"### {kind.code}\n" in page and f"| [{kind.code}](#{kind.code.lower()}) " in page
            )
            assert f"`{kind.__name__}`" in page


def test_a_kill_switch_with_another_value_is_a_finding(monkeypatch):
    for value, ok in (("OFF", True), ("on", True), ("", True), ("0", False), ("junk", False)):
        monkeypatch.setenv("HEADRACE_STAGING", value)
        check = doctor._staging()
        assert check.ok == ok, value
        assert ("switched off" in check.found) == (value == "OFF")

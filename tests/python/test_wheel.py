"""The wheel, installed in a bare environment, runs the seed's first example."""

import pathlib
import subprocess
import sys
import sysconfig
import zipfile

import pytest

import headrace

PROJECT = pathlib.Path(__file__).resolve().parents[2]
BUILT = PROJECT / "build" / "release"


def run(command, **kwargs):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **kwargs)
    assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built by pip as a user would; from build/release, with that build's own settings, so that
    only what changed is compiled."""
    folder = tmp_path_factory.mktemp("wheel")
    flags = "-q --no-deps --no-build-isolation --disable-pip-version-check".split()
    settings = {}
    if BUILT.is_dir():
        settings = {
            "build-dir": BUILT,
            "build.targets": "headrace_python",
            "cmake.define.HEADRACE_BUILD_TESTS": "ON",
            "cmake.define.HEADRACE_BUILD_BENCHMARKS": "ON",
        }
    settings = [f"-C{key}={value}" for key, value in settings.items()]
    command = [sys.executable, "-m", "pip", "wheel", ".", *flags, "-w", folder, *settings]
    run(command, cwd=PROJECT)
    (path,) = folder.glob("*.whl")
    return path


def test_contents(wheel):
    assert wheel.name.startswith(f"headrace-{headrace.__version__}-py3-none-linux_")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        library = archive.read("headrace/lib/libheadrace.so")
        program = archive.getinfo("headrace/bin/headrace-records")
        metadata = archive.read(f"headrace-{headrace.__version__}.dist-info/METADATA").decode()
    assert library[:4] == b"\x7fELF"
    assert program.external_attr >> 16 & 0o111  # executable
    assert len([n for n in names if n.endswith(".so")]) == 1
    assert "headrace/lib/build.json" in names and "headrace/compat/v1/__init__.py" in names
    assert all(n.startswith(("headrace/", "headrace-")) for n in names)
    assert 'Requires-Dist: tensorflow-cpu==2.21.*; extra == "cpu"' in metadata.replace("'", '"')
    # The run path: not that of the machine that built it.
    assert b"\0$ORIGIN/../../tensorflow\0" in library
    assert f"{sysconfig.get_path('purelib')}/tensorflow\0".encode() not in library


def test_runs_in_a_bare_environment(wheel, tmp_path):
    environment = tmp_path / "venv"
    run([sys.executable, "-m", "venv", environment])
    python = environment / "bin" / "python"
    run([python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", wheel])
    # TensorFlow and what it needs: all packages of this environment, but no Headrace of this
    # checkout.
    packages = tmp_path / "packages"
    packages.mkdir()
    for entry in pathlib.Path(sysconfig.get_path("purelib")).iterdir():
        if "headrace" not in entry.name and entry.suffix != ".pth":
            (packages / entry.name).symlink_to(entry)
    site = run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    ).stdout.strip()
    (pathlib.Path(site) / "outer.pth").write_text(f"{packages}\n")

    work = tmp_path / "work"
    work.mkdir()
    (work / "test_data.csv").write_text("".join(f"key{i},value{i}\n" for i in range(10)))
    example = (PROJECT / "examples" / "seed" / "smart_stage_auto.py").read_text(encoding="utf-8")
    (work / "example.py").write_text(example, encoding="utf-8")
    done = run([python, "example.py"], cwd=work)
    assert [f"value{i}" in done.stdout for i in range(10)] == [True] * 10
    assert "1 stage(s)" in done.stderr and "5 taken" in done.stderr

    where = run([python, "-c", "import headrace; print(headrace.__file__)"], cwd=work).stdout
    assert where.startswith(str(environment))
    counted = run([environment / "bin" / "headrace", "data", "count", "test_data.csv"], cwd=work)
    assert "10 records" in counted.stdout
    report = run([environment / "bin" / "headrace", "doctor"], cwd=work).stdout
    assert "Headrace and TensorFlow fit." in report


def test_versions_agree():
    cmake = (PROJECT / "CMakeLists.txt").read_text(encoding="utf-8")
    assert f"project(headrace VERSION {headrace.__version__} " in cmake

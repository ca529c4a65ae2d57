"""Runs each file of tests in a process of its own, several side by side: one that crashes or hangs takes no
other with it.

usage: run_python_tests.py RESULTS_DIRECTORY PROCESSES FILE ...

Writes RESULTS_DIRECTORY/python-NAME.xml (JUnit) for each file; for one whose process died, a report with one
failure. Prints a line for each file, and everything that a failing one said. Exit status: 0 if all passed, else 1.
"""

import concurrent.futures
import pathlib
import subprocess
import sys
import time
import xml.sax.saxutils

# Words in the names of those that take longest; they begin in this order.
LONGEST_FIRST = ("random", "jobs", "job_models", "parameter", "bad_records", "examples", "parity", "data_cli")
LONGEST_S = 2400  # for one file: tests end by themselves long before (conftest.py)
DIED = """<testsuites><testsuite name="python" tests="1" failures="1">
<testcase classname={name} name="its process"><failure message="it died">{said}</failure></testcase>
</testsuite></testsuites>
"""


def run(path: pathlib.Path, results: pathlib.Path):
    """(whether all passed, what it said, seconds)."""
    report = results / f"python-{path.stem}.xml"
    command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", str(path)]
    began = time.monotonic()
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LONGEST_S
        )
        said, passed = done.stdout, done.returncode == 0
    except subprocess.TimeoutExpired as error:
        said, passed = f"{error.stdout or ''}\nnot done after {LONGEST_S} s", False
    if not report.exists():
        escape = xml.sax.saxutils
        report.write_text(DIED.format(name=escape.quoteattr(path.stem), said=escape.escape(said[-10000:])))
    return passed, said, time.monotonic() - began


def _place(path: pathlib.Path):
    """Among all files: so that no core is idle at the end."""
    found = [place for place, word in enumerate(LONGEST_FIRST) if word in path.stem]
    return found[0] if found else len(LONGEST_FIRST), path.stem


def main(results: str, processes: str, *paths: str) -> int:
    ordered = sorted(map(pathlib.Path, paths), key=_place)
    all_passed = True
    with concurrent.futures.ThreadPoolExecutor(int(processes)) as pool:
        running = {pool.submit(run, path, pathlib.Path(results)): path for path in ordered}
        for future in concurrent.futures.as_completed(running):
            passed, said, seconds = future.result()
            all_passed &= passed
            if not passed:
                print(said)
            summary = said.strip().splitlines()[-1] if passed else "FAILED"
            print(f"{running[future].name}: {summary} ({seconds:.0f} s)", flush=True)
    return 0 if all_passed else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

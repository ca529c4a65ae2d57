"""Adds up JUnit reports: prints what failed and, as the last line, "N passed, N failed[, N skipped]".

usage: sum_results.py DIRECTORY [FAILED_STEP ...]

A step that failed although its report names no failure (or that wrote none) counts as one failure.
Exit status: 0 if nothing failed, else 1.
"""

import pathlib
import sys
import xml.etree.ElementTree as ElementTree


def main(directory: str, failed_steps: list[str]) -> int:
    passed = skipped = 0
    failures = []
    for path in sorted(pathlib.Path(directory).glob("*.xml")):
        for case in ElementTree.parse(path).getroot().iter("testcase"):
            name = f"{path.stem}: {case.get('classname', '')} {case.get('name', '')}"
            if case.find("failure") is not None or case.find("error") is not None:
                failures.append(name)
            elif case.find("skipped") is not None:
                skipped += 1
                print(f"skipped  {name}: {case.find('skipped').get('message', '')}")
            else:
                passed += 1
    if failed_steps and not failures:
        failures = [f"step: {step}" for step in failed_steps]
    for name in failures:
        print(f"FAILED   {name}")
    for step in failed_steps:
        print(f"step failed: {step}")
    print(f"{passed} passed, {len(failures)} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))

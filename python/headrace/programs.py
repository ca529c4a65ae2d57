"""The programs that come with the package: headrace-records and others, in headrace/bin."""

import os
import sys

from headrace.errors import ProgramMissingError

DIRECTORY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bin")


def path(name: str) -> str:
    """The program's absolute path.

    Errors: ProgramMissingError.
    """
    found = os.path.join(DIRECTORY, name)
    if not os.access(found, os.X_OK):
        raise ProgramMissingError(
            f"there is no program {name} in {DIRECTORY}: in a checkout, run scripts/test.sh, which "
            f"builds it; else reinstall with: {sys.executable} -m pip install --force-reinstall "
            "--no-deps headrace"
        )
    return found

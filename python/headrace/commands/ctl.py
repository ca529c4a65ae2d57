"""headrace-ctl, as the commands that look after jobs call it."""

import subprocess

from headrace import programs
from headrace.commands.common import fail
from headrace.errors import HeadraceError


def call(*arguments, **options):
    """headrace-ctl, when it is done. options: of subprocess.run()."""
    try:
        command = [programs.path("headrace-ctl"), *arguments]
    except HeadraceError as error:
        fail(error, 1)
    return subprocess.run(command, **options)


__all__ = ["call"]

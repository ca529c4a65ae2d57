"""Files to convert that are no record files: images, batches, tables."""

import glob
import os

from headrace.errors import DataError


def find(paths, suffixes) -> list[str]:
    """The files that `paths` name: files, patterns, and folders, in which files with one of
    `suffixes` count, sorted. DataError if one names nothing."""
    found = []
    for path in paths:
        if "://" in path:
            raise DataError(f"{path}: is remote; copy it to a local or mounted folder first")
        if os.path.isdir(path):
            names = (n for n in sorted(os.listdir(path)) if n.lower().endswith(suffixes))
            matches = [os.path.join(path, n) for n in names if not n.startswith(".")]
            if not matches:
                raise DataError(f"{path}: there is no {' or '.join(suffixes)} file in this folder")
        elif os.path.exists(path):
            matches = [path]
        else:
            matches = sorted(m for m in glob.glob(path) if os.path.isfile(m))
            if not matches:
                raise DataError(f"{path}: there is no such file or folder")
        found += matches
    for path in found:
        if found.count(path) > 1:
            raise DataError(f"{path}: is named twice; its records would count twice")
    return found

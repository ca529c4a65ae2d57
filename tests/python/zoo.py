"""The model zoo, in sizes that train in seconds."""

import dataclasses
import functools
import importlib
import pathlib
import sys
import types

from headrace.data.generate_criteo import Criteo
from headrace.data.generate_taobao import Taobao

MODELS = pathlib.Path(__file__).resolve().parents[2] / "models"
sys.path.insert(0, str(MODELS))

_HISTORIES = {"users": 2000, "items": 5000, "categories": 1000, "length": 12}


@dataclasses.dataclass(frozen=True)
class Small:
    """A model's data set, and the arguments of custom_model() that make it small."""

    data: str
    sizes: dict


SMALL = {
    "dlrm": Small("criteo", {"buckets": 1000, "bottom": (32,), "top": (32,)}),
    "deepfm": Small("criteo", {"buckets": 1000, "width": 8, "deep": (64, 32), "final": (32,)}),
    "wdl": Small("criteo", {"buckets": 1000, "widths": (4, 8), "deep": (64, 32)}),
    "din": Small("taobao", {**_HISTORIES, "width": 8, "attention": (16, 8), "top": (32,)}),
    "dssm": Small("taobao", {**_HISTORIES, "tower": (64, 32)}),
    "dien": Small(
        "taobao", {**_HISTORIES, "width": 8, "attention": (16, 8), "auxiliary": (16,), "top": (32,)}
    ),
}
SOURCES = {"criteo": Criteo, "taobao": Taobao}


def module(name, **changes):
    """The model module `name` with a small model; changes: other attributes."""
    full = importlib.import_module(f"{name}.{name}")
    made = types.SimpleNamespace(
        **{key: getattr(full, key) for key in ("loss", "optimizer", "dataset_fn", "eval_metrics_fn",
            "parse")},
        custom_model=functools.partial(full.custom_model, **SMALL[name].sizes),
    )
    vars(made).update(changes)
    return made


def write_module(folder, name, **sizes):
    """A file that defines the small model for jobs; sizes: other ones."""
    path = pathlib.Path(folder) / f"small_{name}.py"
    path.write_text(
        f"import sys\nsys.path.insert(0, {str(MODELS)!r})\n"
        f"from {name}.{name} import dataset_fn, eval_metrics_fn, loss, optimizer, parse\n"
        f"from {name} import {name} as full\n\n\n"
        f"def custom_model():\n    return full.custom_model(**{ {**SMALL[name].sizes, **sizes}!r})\n"
    )
    return str(path)


def write_lines(folder, data, train, test, seed=3):
    """(file of `train` lines, file of `test` others, of the same distribution)."""
    lines = [line for batch in SOURCES[data](train + test, seed).batches() for line in batch]
    paths = []
    for name, part in (("train", lines[:train]), ("test", lines[train:])):
        paths.append(pathlib.Path(folder) / f"{data}.{name}.tsv")
        paths[-1].write_bytes(b"".join(line + b"\n" for line in part))
    return tuple(paths)

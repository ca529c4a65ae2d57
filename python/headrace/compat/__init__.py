"""Drop-in modules for programs written for other systems; each is imported when first asked for."""

import importlib


def __getattr__(name):
    if name != "v1":
        raise AttributeError(f"module 'headrace.compat' has no attribute '{name}'")
    return importlib.import_module("headrace.compat.v1")

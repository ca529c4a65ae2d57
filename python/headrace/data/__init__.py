"""Data: record files, datasets whose records are accounted for, and elastic data for own programs."""

_TASK = ("Batch", "CommitCallback", "batches", "commit", "fit_dataset", "task_dataset")


def __getattr__(name):
    # They need TensorFlow, which takes seconds to import.
    if name not in _TASK:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from headrace.data import task

    return getattr(task, name)


def __dir__():
    return sorted([*globals(), *_TASK])

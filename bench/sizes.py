"""How much a benchmark measures: each states its quick and its full sizes."""

import dataclasses


class SizeError(ValueError):
    """A setting that no chosen benchmark has, or with a value that it cannot have."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sizes:
    """What all have; modules add their own. Fields are int, float, str, or tuples of one of them.

    expected_s: what a run of this size takes on two idle cores; the progress bar counts with it.
    rounds: in which the contenders alternate.
    """

    expected_s: float
    rounds: int

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            for item in value if isinstance(value, tuple) else (value,):
                if not isinstance(item, str) and item < (1 if field.name == "rounds" else 0):
                    raise SizeError(f"{field.name}={item}: must be at least "
                                    f"{1 if field.name == 'rounds' else 0}")

    def as_json(self):
        return dataclasses.asdict(self)


def _parsed(text, like, name):
    kind = type(like)
    if kind is tuple:
        items = [_parsed(item, like[0] if like else "", name) for item in text.split(",") if item]
        return tuple(items)
    try:
        return kind(text)
    except ValueError:
        raise SizeError(f"--set {name}={text}: must be of type {kind.__name__}") from None


def changed(sizes, settings):
    """`sizes` by name of the benchmark, changed by `settings`: texts NAME.FIELD=VALUE, or FIELD=VALUE for all
    that have the field; commas between the items of a tuple.

    Errors: SizeError for what is no setting, and for one that nothing has.
    """
    sizes = dict(sizes)
    for setting in settings:
        key, equals, text = setting.partition("=")
        benchmark, dot, field = key.rpartition(".")
        chosen = [name for name, size in sizes.items() if (not dot or name == benchmark)
                  and field in {f.name for f in dataclasses.fields(size)}]
        if not equals or not chosen:
            known = sorted({f"{name}.{f.name}" for name, size in sizes.items()
                            for f in dataclasses.fields(size)})
            raise SizeError(f"--set {setting}: there are {', '.join(known)}")
        for name in chosen:
            value = _parsed(text, getattr(sizes[name], field), key)
            sizes[name] = dataclasses.replace(sizes[name], **{field: value})
    return sizes

"""What variables are called in exported jobs, in checkpoints and in the models that come of them."""

KEY = "variables_by_name/{}/.ATTRIBUTES/VARIABLE_VALUE"  # docs/formats.md, 'An exported job ("job")'


class Names:
    """A name for each variable, as Keras or the module calls it, made unique in the order given."""

    def __init__(self, variables):
        self._names = {}
        self._taken = set()
        for variable in variables:
            value = getattr(variable, "value", None)
            inner = variable if callable(value) or value is None else value
            self._add(inner, getattr(variable, "path", None) or inner.name)

    def of(self, variable):
        return self._names.get(id(variable)) or self._add(variable, variable.name)

    def all(self) -> list:
        """Of the variables that were given, in their order."""
        return list(self._names.values())

    def _add(self, variable, name):
        name = base = name.split(":")[0]
        count = 1
        while name in self._taken:
            count += 1
            name = f"{base}_{count}"
        self._taken.add(name)
        self._names[id(variable)] = name
        return name


def key(name: str) -> str:
    """Of the variable in TensorFlow checkpoints of Headrace's."""
    return KEY.format(name.replace(".", "..").replace("/", ".S"))

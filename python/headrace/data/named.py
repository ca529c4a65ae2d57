"""What the library keeps for this process under a name."""

from headrace import library


class Named:
    """Opened when made, closed at the end of a `with` block. For subclasses, which say with `_kind`
    which functions of the library are theirs, and with `_error` what they raise.
    """

    _kind = ""
    _error = Exception

    def __init__(self, name: str):
        self.name = name
        self._library = library.load()
        self._do("open")

    def _do(self, what, *arguments):
        """Calls the library; what it returns between status and error."""
        status, *result, error = getattr(self._library, f"{self._kind}_{what}")(
            self.name, *arguments
        )
        if status != 0:
            raise self._error(error)
        return result

    def close(self):
        """What refers to it fails from now on."""
        getattr(self._library, f"{self._kind}_close")(self.name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

"""Every error that Headrace's Python side raises.

Each class has a stable `code` (HR001 ...); docs/errors.md says for each what it means and what to
do. The text of every error ends with that reference. Classes also derive from the built-in
exception that fits (ValueError, TypeError, AttributeError), so that programs that catch those keep
working.

This module imports nothing but the standard library.
"""

PAGE = "docs/errors.md"


class HeadraceError(Exception):
    """Base of all. `code` is stable; `message` is the text without the reference."""

    code = "HR000"

    def __init__(self, message: str):
        self.message = message
        super().__init__(f"{message} [{self.code}, see {PAGE}#{self.code.lower()}]")


class TensorFlowMissingError(HeadraceError, ImportError):
    """There is no TensorFlow in this Python environment."""

    code = "HR001"


class TensorFlowVersionError(HeadraceError, ImportError):
    """TensorFlow is another version than libheadrace.so was built for.

    Attributes: `built_for`, `found` (version strings) and `command`, which mends it.
    """

    code = "HR002"

    def __init__(self, built_for: str, found: str, command: str):
        self.built_for, self.found, self.command = built_for, found, command
        super().__init__(
            f"this Headrace was built for TensorFlow {built_for}, but TensorFlow {found} is "
            f"installed; run: {command}"
        )


class LibraryMissingError(HeadraceError, ImportError):
    """The package holds no libheadrace.so: a checkout not built, or a broken installation."""

    code = "HR003"


class LibraryLoadError(HeadraceError, ImportError):
    """libheadrace.so is there and fits by its version, but could not be loaded."""

    code = "HR004"


class ProgramMissingError(HeadraceError, OSError):
    """The package holds no such program: a checkout not built, or a broken installation."""

    code = "HR005"


class OptionError(HeadraceError, ValueError):
    """An option has a value outside its range.

    Attributes: `field`, `value` (as given) and `range` (in words).
    """

    code = "HR010"

    def __init__(self, field: str, value, range: str):
        self.field, self.value, self.range = field, value, range
        super().__init__(f"{field} is {value!r}, but must be {range}")


class OptionTypeError(OptionError, TypeError):
    """An option has a value of the wrong type."""

    code = "HR011"


class UnknownFieldError(HeadraceError, AttributeError):
    """A message of headrace.compat.v1 has no such field."""

    code = "HR012"


class GraphMismatchError(HeadraceError, ValueError):
    """SmartStageOptions(graph=...) names another graph than the session's."""

    code = "HR013"


class DuplicateNameError(HeadraceError, ValueError):
    """Two stages of one graph were given the same name."""

    code = "HR014"


class OptionNameError(HeadraceError, TypeError):
    """There is no option of that name."""

    code = "HR015"

    def __init__(self, name: str, close: str = ""):
        hint = f"; did you mean '{close}'?" if close else ""
        super().__init__(f"there is no option '{name}'{hint}")


class GraphFileError(HeadraceError, ValueError):
    """A file or value is not a graph that Headrace can read."""

    code = "HR020"


class PlanError(HeadraceError, RuntimeError):
    """Planning or rewriting failed. `status` is the canonical status code (an int)."""

    code = "HR021"

    def __init__(self, message: str, status: int):
        self.status = status
        super().__init__(message)


class StagedTensorError(HeadraceError, ValueError):
    """A step feeds or fetches something that has moved into a stage.

    Attributes: `names` of the tensors or operations, `action`: "fed", "fetched" or "run".
    """

    code = "HR030"

    def __init__(self, names, action: str):
        self.names, self.action = list(names), action
        listed = ", ".join(f"'{n}'" for n in self.names)
        have, them = ("they have", "them") if len(self.names) > 1 else ("it has", "it")
        super().__init__(
            f"{listed} cannot be {action}: {have} moved into a stage that runs ahead of this "
            f"session's steps. To keep {them} in the step, call keep([{listed}]) before the "
            "session is made"
        )


class StagedArgumentError(HeadraceError, ValueError):
    """staged(), keep() or mark_target_node() was given something that it cannot use."""

    code = "HR031"


class FeedGeneratorError(HeadraceError, TypeError):
    """staged() was asked to call Python code for each element."""

    code = "HR032"


class EagerExecutionError(HeadraceError, RuntimeError):
    """A call that builds a graph was made while TensorFlow executes eagerly."""

    code = "HR033"


class GraphFinalizedError(HeadraceError, RuntimeError):
    """A mark was set on a graph that can no longer change."""

    code = "HR034"


class SessionOptionsError(HeadraceError, ValueError):
    """A session (or other object) carries no Headrace options."""

    code = "HR035"


class TraceError(HeadraceError, RuntimeError):
    """A trace is being recorded already, or cannot be written."""

    code = "HR040"


class TrackingError(HeadraceError, ValueError):
    """A dataset_fn does something to its dataset through which records cannot be followed."""

    code = "HR050"


class AccountError(HeadraceError, RuntimeError):
    """An account of records is not open, open twice, or told what does not fit."""

    code = "HR051"


class RangeError(HeadraceError, RuntimeError):
    """A queue of record ranges is not open, or open twice."""

    code = "HR052"


class UsageError(HeadraceError, ValueError):
    """A command line that asks for something that cannot be. Exit code 2."""

    code = "HR062"


class JobError(HeadraceError, RuntimeError):
    """A job that could not be started, or that ended otherwise than well.

    Attributes: `summary`: what it had come to by then (docs/formats.md, "Summary"); None: it had not begun.
    `exit_code`: what its command ends with; 75: --resume goes on.
    """

    code = "HR063"
    summary = None

    def __init__(self, message: str, exit_code: int = 1):
        self.exit_code = exit_code
        super().__init__(message)


class FeedError(HeadraceError, RuntimeError):
    """The job's feed: not under `headrace run`, used out of order, or the agent is gone."""

    code = "HR064"


class DataError(HeadraceError, ValueError):
    """Data cannot be found, read, converted or written. The message has file and row or offset."""

    code = "HR053"


class ModelModuleError(HeadraceError, ValueError):
    """A model module cannot be found or imported, or its functions are not what a job needs."""

    code = "HR060"


class ExportError(HeadraceError, ValueError):
    """A model module cannot be traced into a SavedModel that runs without Python."""

    code = "HR061"

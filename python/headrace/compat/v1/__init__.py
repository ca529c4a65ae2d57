"""tf.compat.v1 with the names of DeepRec's SmartStage and Stage: `import headrace.compat.v1 as tf`.

Everything that tf.compat.v1 has is here; SmartStageOptions, ConfigProto, Session,
InteractiveSession, train.*, staged, make_prefetch_hook, mark_target_node and keep are Headrace's.
docs/deeprec-names.md says what differs from DeepRec.

Importing this module imports TensorFlow and turns eager mode off.
"""

from headrace import library

tensorflow = library.import_tensorflow()

from headrace.compat.v1 import compat, train  # noqa: E402
from headrace.compat.v1._eager import turn_eager_off  # noqa: E402
from headrace.compat.v1.config import ConfigProto, GraphOptions, OptimizerOptions  # noqa: E402
from headrace.compat.v1.hook import make_prefetch_hook  # noqa: E402
from headrace.compat.v1.sessions import InteractiveSession, Session  # noqa: E402
from headrace.compat.v1.smart_stage_options import SmartStageOptions  # noqa: E402
from headrace.compat.v1.staged import staged  # noqa: E402
from headrace.marks import keep, kept, mark_target_node  # noqa: E402

turn_eager_off()

_stock = tensorflow.compat.v1

_OURS = (
    "ConfigProto",
    "GraphOptions",
    "InteractiveSession",
    "OptimizerOptions",
    "Session",
    "SmartStageOptions",
    "compat",
    "keep",
    "kept",
    "make_prefetch_hook",
    "mark_target_node",
    "staged",
    "train",
)
__all__ = sorted({name for name in dir(_stock) if not name.startswith("_")} | set(_OURS))


def __getattr__(name):
    return getattr(_stock, name)


def __dir__():
    return __all__

"""What the process imports that contenders are forked from: each would need seconds for it by itself.

It runs no op: TensorFlow starts its threads with the first one, and threads do not survive a fork.
"""

import os

from bench.worker import die_with_parent
from headrace import _quiet

die_with_parent()
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
with _quiet.stderr():
    import keras  # noqa: F401
    import tensorflow  # noqa: F401

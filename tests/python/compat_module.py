"""headrace.compat.v1 for tests that share their process with tests in eager mode."""

import tensorflow
from tensorflow.python.eager import context


def load():
    """The module, with TensorFlow's eager mode as it was before the import turned it off."""
    was_eager = tensorflow.executing_eagerly()
    import headrace.compat.v1 as compat

    if was_eager:
        context.default_execution_mode = context.EAGER_MODE
        context.context()._thread_local_data.is_eager = True
    return compat

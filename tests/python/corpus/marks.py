"""keep, mark_target_node and staged as the cases use them.

In the reference process Headrace is not loaded and these do nothing, so that a marked graph is
compared with what stock TensorFlow makes of the same graph without marks.
"""

_headrace = None


def enable(headrace_module):
    """From now on marks are real ones, made by `headrace_module`."""
    global _headrace
    _headrace = headrace_module


def mark_target(*targets):
    if _headrace is not None:
        _headrace.mark_target_node(list(targets))


def keep(*tensors):
    if _headrace is not None:
        _headrace.keep(list(tensors))


def staged(features, **options):
    if _headrace is None:
        return features
    from headrace.compat.v1 import staged as real  # its package turns eager mode off

    return real(features, **options)

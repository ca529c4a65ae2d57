"""Options as they travel: an entry of a stock ConfigProto's custom_optimizers (docs/formats.md).

Needs TensorFlow's protobuf messages, so importing this module imports TensorFlow.
"""

import uuid

from headrace import library
from headrace.errors import OptionTypeError, SessionOptionsError
from headrace.options import StageOptions

library.import_tensorflow()

from tensorflow.core.framework import attr_value_pb2  # noqa: E402
from tensorflow.core.protobuf import config_pb2, rewriter_config_pb2  # noqa: E402

NAME = "HeadraceStage"
VERSION = 1

# Keys of the table that are fields of StageOptions under another name.
_CODE_KEYS = {
    "closed_exception_types": "closed_codes",
    "ignored_exception_types": "ignored_codes",
}


def configure(config, options=None):
    """Puts `options` into a stock tf.compat.v1.ConfigProto, in place, and returns it.

    Sessions made with that message are staged. Options that were there before are replaced; the
    rest of the message stays. Each call sets a fresh tag, by which stats() and close() find the
    stages of the sessions made with the message.

    config: a stock ConfigProto (None = a new one).
    options: StageOptions (None = the defaults).
    Errors: OptionTypeError; what library.load() raises where Headrace and TensorFlow do not fit.
    """
    if config is None:
        config = config_pb2.ConfigProto()
    if not isinstance(config, config_pb2.ConfigProto):
        raise OptionTypeError("config", config, "a stock tf.compat.v1.ConfigProto")
    message = encode(options, tag=uuid.uuid4().hex)
    library.load()
    return set_carrier(config, message)


def encode(options=None, tag=""):
    """StageOptions as a RewriterConfig.CustomGraphOptimizer message, every key of the table set."""
    options = StageOptions() if options is None else options
    if not isinstance(options, StageOptions):
        raise OptionTypeError("options", options, "a headrace.StageOptions")
    values = {"version": VERSION, "tag": tag}
    for field, value in vars(options).items():
        if field == "thread_pools":
            values["pool_inter_op_threads"] = tuple(p.inter_op_threads_num for p in value)
            values["pool_intra_op_threads"] = tuple(p.intra_op_threads_num for p in value)
            values["pool_names"] = tuple(p.global_name for p in value)
        else:
            values[_CODE_KEYS.get(field, field)] = value
    return encode_values(values)


def encode_values(values):
    """A message with these keys only: what is missing is left to the session's options."""
    message = rewriter_config_pb2.RewriterConfig.CustomGraphOptimizer(name=NAME)
    for key in sorted(values):
        _set_value(message.parameter_map[key], values[key])
    return message


def _set_value(attr, value):
    if isinstance(value, bool):
        attr.b = value
    elif isinstance(value, int):
        attr.i = value
    elif isinstance(value, str):
        attr.s = value.encode()
    elif all(isinstance(item, str) for item in value) and value:
        attr.list.s.extend(item.encode() for item in value)
    else:
        # An empty list has no element type; that it is a list must still be said.
        attr.list.CopyFrom(attr_value_pb2.AttrValue.ListValue(i=value))


def set_carrier(config, message):
    """Replaces the carrier in `config` (a stock ConfigProto) by `message`; returns `config`."""
    optimizers = config.graph_options.rewrite_options.custom_optimizers
    kept = [entry for entry in optimizers if entry.name != NAME]
    del optimizers[:]
    optimizers.extend(kept + [message])
    return config


def find_carrier(config):
    """The carrier in a stock ConfigProto, or None."""
    for entry in config.graph_options.rewrite_options.custom_optimizers:
        if entry.name == NAME:
            return entry
    return None


def of_session(session):
    """The carrier that a session (also a MonitoredSession) was made with.

    Errors: SessionOptionsError if there is none.
    """
    raw = session._tf_sess() if hasattr(session, "_tf_sess") else session
    config = getattr(raw, "_config", None)
    carrier = find_carrier(config) if isinstance(config, config_pb2.ConfigProto) else None
    if carrier is None:
        raise SessionOptionsError(
            f"{type(session).__name__} carries no Headrace options: make it with a ConfigProto "
            "that headrace.configure() or headrace.compat.v1 has prepared"
        )
    return carrier


def message_of(options):
    """The carrier message for what explain() and rewrite() accept as options.

    options: None (defaults), StageOptions, a stock ConfigProto that configure() prepared, or the
        ConfigProto of headrace.compat.v1.
    """
    if options is None or isinstance(options, StageOptions):
        return encode(options)
    if hasattr(options, "to_proto"):
        options = options.to_proto()
    if isinstance(options, config_pb2.ConfigProto):
        carrier = find_carrier(options)
        if carrier is None:
            raise SessionOptionsError(
                "the ConfigProto carries no Headrace options: prepare it with headrace.configure()"
            )
        return carrier
    raise OptionTypeError("options", options, "a headrace.StageOptions or a configured ConfigProto")


def tag_of(carrier):
    return carrier.parameter_map["tag"].s.decode() if "tag" in carrier.parameter_map else ""

"""tf.ConfigProto with the fields of DeepRec's SmartStage and Stage documents."""

import uuid

from tensorflow.core.protobuf import config_pb2, rewriter_config_pb2

from headrace import _checks, carrier
from headrace._log import logger
from headrace.compat.v1.extended import Extended
from headrace.compat.v1.plain import Plain
from headrace.compat.v1.smart_stage_options import SmartStageOptions
from headrace.errors import GraphMismatchError, OptionError, OptionTypeError
from headrace.options import ThreadPool

_Toggle = rewriter_config_pb2.RewriterConfig.Toggle


def _toggle(field, value):
    """A RewriterConfig.Toggle, as a number or by its label."""
    wanted = "RewriterConfig.DEFAULT (0), ON (1) or OFF (2)"
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise OptionTypeError(field, value, wanted)
    number = dict(_Toggle.items()).get(value, -1) if isinstance(value, str) else value
    if number not in (0, 1, 2):
        raise OptionError(field, value, wanted)
    return number


def _threads(field, value):
    return _checks.integer(field, value, 0, _checks.MAX_THREADS)


def _streams(field, value):
    return _checks.integer(field, value, 1, _checks.INT32_MAX)


class StageSubgraphThreadPool(Plain):
    """One pool of session_stage_subgraph_thread_pool; 0 threads = one per core."""

    _FIELDS = {
        "inter_op_threads_num": (0, _threads),
        "intra_op_threads_num": (0, _threads),
        "global_name": ("", _checks.text),
    }


class MultiStreamOptions(Plain):
    """rewrite_options.multi_stream_opts: GPU streams, the main graph's included."""

    _FIELDS = {"multi_stream_num": (0, _streams)}


class RewriterConfig(Extended):
    """Stock RewriterConfig, with use_multi_stream (a Toggle) and multi_stream_opts."""

    _STOCK = rewriter_config_pb2.RewriterConfig
    _SCALARS = {"use_multi_stream": (0, _toggle)}
    _MESSAGES = {"multi_stream_opts": MultiStreamOptions}


class OptimizerOptions(Extended):
    """Stock OptimizerOptions, with DeepRec's switches.

    do_smart_stage: stage automatically.
    do_smart_stage_gpu: do_smart_stage and stage_subgraph_on_cpu in one (older DeepRec).
    stage_subgraph_on_cpu: pin the stage to the host.
    stage_multi_stream: run the stage on a GPU stream of its own.
    smart_stage_options: a SmartStageOptions.
    """

    _STOCK = config_pb2.OptimizerOptions
    _SCALARS = {
        "do_smart_stage": (False, _checks.boolean),
        "do_smart_stage_gpu": (False, _checks.boolean),
        "stage_subgraph_on_cpu": (False, _checks.boolean),
        "stage_multi_stream": (False, _checks.boolean),
    }
    _MESSAGES = {"smart_stage_options": SmartStageOptions}


class GraphOptions(Extended):
    """Stock GraphOptions, with the added fields of its parts."""

    _STOCK = config_pb2.GraphOptions
    _CHILDREN = {"optimizer_options": OptimizerOptions, "rewrite_options": RewriterConfig}


class ConfigProto(Extended):
    """Stock ConfigProto, with the added fields of its parts and session_stage_subgraph_thread_pool.

    Works where headrace.compat.v1 takes a config; to_proto() gives the stock message for everything
    else. Thread safety: as a protobuf message (one writer, no readers beside it).
    """

    _STOCK = config_pb2.ConfigProto
    _CHILDREN = {"graph_options": GraphOptions}
    _REPEATED = {"session_stage_subgraph_thread_pool": StageSubgraphThreadPool}

    def stage_options(self):
        """The added fields as headrace.StageOptions. Errors: OptionError."""
        optimizer = self.graph_options.optimizer_options
        smart = optimizer.do_smart_stage or optimizer.do_smart_stage_gpu
        if optimizer.HasField("smart_stage_options") and not smart:
            logger().warning(
                "smart_stage_options are set, but do_smart_stage is not: only tf.staged marks are "
                "staged"
            )
        return optimizer.smart_stage_options.stage_options(
            smart=smart,
            stage_subgraph_on_cpu=optimizer.stage_subgraph_on_cpu or optimizer.do_smart_stage_gpu,
            streams=self._stage_streams(),
            thread_pools=tuple(
                ThreadPool(p.inter_op_threads_num, p.intra_op_threads_num, p.global_name)
                for p in self.session_stage_subgraph_thread_pool
            ),
        )

    def _stage_streams(self):
        rewrite = self.graph_options.rewrite_options
        on = rewrite.use_multi_stream == rewriter_config_pb2.RewriterConfig.ON
        if not self.graph_options.optimizer_options.stage_multi_stream:
            return 0
        if not on:
            raise OptionError(
                "stage_multi_stream", True, "False where rewrite_options.use_multi_stream is not ON"
            )
        if not rewrite.HasField("multi_stream_opts"):
            raise OptionError("multi_stream_num", 0, ">= 1 where use_multi_stream is ON")
        return rewrite.multi_stream_opts.multi_stream_num

    def to_proto(self, graph=None):
        """A stock tf.compat.v1.ConfigProto that carries the added fields; a new one each time.

        graph: the graph of the session it is for, checked against SmartStageOptions.graph.
        Errors: OptionError; GraphMismatchError.
        """
        meant = self.graph_options.optimizer_options.smart_stage_options.graph
        if graph is not None and meant is not None and meant is not graph:
            raise GraphMismatchError(
                "SmartStageOptions was made for another graph than the session's: pass the "
                "session's graph as graph=, or leave it out"
            )
        message = carrier.encode(self.stage_options(), tag=uuid.uuid4().hex)
        return carrier.set_carrier(self.stock_fields(), message)

    def stock_fields(self):
        """A stock message with the stock fields alone."""
        stock = config_pb2.ConfigProto()
        stock.CopyFrom(self._pb)
        return stock

    def SerializeToString(self, **kwargs):
        """As of to_proto()."""
        return self.to_proto().SerializeToString(**kwargs)


def to_stock(config, graph=None):
    """The stock ConfigProto for a session over `graph`, always with a carrier.

    Without do_smart_stage the carrier asks for tf.staged marks only.
    config: ConfigProto of this module, a stock one (left as it is), or None for TensorFlow's
    default. Anything else is returned as it is, for TensorFlow to refuse.
    """
    if isinstance(config, ConfigProto):
        return config.to_proto(graph)
    if config is None:
        from tensorflow.python.eager import context

        config = context.context().config
    if not isinstance(config, config_pb2.ConfigProto):
        return config
    if carrier.find_carrier(config) is not None:
        return config
    fresh = ConfigProto()
    fresh.CopyFrom(config)
    return fresh.to_proto(graph)


__all__ = ["ConfigProto", "GraphOptions", "OptimizerOptions", "to_stock"]

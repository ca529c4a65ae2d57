"""headrace.compat.v1's ConfigProto: DeepRec's fields beside the stock ones."""

import copy

import pytest
import tensorflow
from tensorflow.core.protobuf import config_pb2, rewriter_config_pb2

import compat_module
from headrace import carrier
from headrace.errors import (
    DuplicateNameError,
    OptionError,
    OptionTypeError,
    UnknownFieldError,
)

tf = compat_module.load()
ON = rewriter_config_pb2.RewriterConfig.ON


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


def carried(config):
    """key -> value of what a proxy's stock message carries."""
    message = carrier.find_carrier(config.to_proto())
    found = {}
    for key, value in message.parameter_map.items():
        kind = value.WhichOneof("value")
        found[key] = list(value.list.s or value.list.i) if kind == "list" else getattr(value, kind)
    return found


def smart(**options):
    config = tf.ConfigProto()
    config.graph_options.optimizer_options.do_smart_stage = True
    config.graph_options.optimizer_options.smart_stage_options.CopyFrom(
        tf.SmartStageOptions(**options)
    )
    return config


def test_stock_fields_pass_through():
    config = tf.ConfigProto(allow_soft_placement=True, device_count={"CPU": 2})
    config.inter_op_parallelism_threads = 3
    config.gpu_options.allow_growth = True
    config.device_filters.append("/job:ps")
    config.graph_options.optimizer_options.global_jit_level = tf.OptimizerOptions.ON_1
    config.graph_options.rewrite_options.constant_folding = ON
    stock = config.to_proto()
    assert isinstance(stock, config_pb2.ConfigProto)
    assert stock.allow_soft_placement and stock.device_count["CPU"] == 2
    assert stock.inter_op_parallelism_threads == 3 and stock.gpu_options.allow_growth
    assert list(stock.device_filters) == ["/job:ps"]
    assert (
        stock.graph_options.optimizer_options.global_jit_level == config_pb2.OptimizerOptions.ON_1
    )
    assert stock.graph_options.rewrite_options.constant_folding == ON
    assert config.inter_op_parallelism_threads == 3 and config.device_count["CPU"] == 2


def test_smart_stage_fields_reach_the_carrier():
    config = smart(
        capacity=40,
        num_threads=4,
        num_clients=2,
        timeout_millis=0,
        name="in",
        closed_exception_types=(tf.errors.OUT_OF_RANGE, tf.errors.CancelledError),
        ignored_exception_types=[tf.errors.DATA_LOSS],
        exclude=["a"],
        cut="largest",
    )
    config.graph_options.optimizer_options.stage_subgraph_on_cpu = True
    found = carried(config)
    assert found["smart"] is True and found["stage_subgraph_on_cpu"] is True
    expected = {
        "capacity": 40,
        "num_threads": 4,
        "num_clients": 2,
        "timeout_millis": 0,
        "name": b"in",
        "closed_codes": [11, 1],
        "ignored_codes": [15],
        "exclude": [b"a"],
        "cut": b"largest",
    }
    assert {key: found[key] for key in expected} == expected


def test_defaults_are_the_seeds():
    options = tf.SmartStageOptions()
    assert (options.capacity, options.num_threads, options.num_client, options.num_clients) == (
        1,
        1,
        1,
        1,
    )
    assert options.timeout_millis == 300000
    assert options.closed_exception_types == (tf.errors.OUT_OF_RANGE,)
    assert options.ignored_exception_types == ()
    assert options.use_stage_subgraph_thread_pool is False
    assert options.stage_subgraph_thread_pool_id == options.stage_subgraph_stream_id == 0
    assert options.graph is None and options.name is None
    found = carried(tf.ConfigProto())
    assert found["smart"] is False and found["capacity"] == 1


def test_eleven_parameters_by_position_in_the_seeds_order(graph):
    given = (2, 3, 4, 5, (1,), (2,), True, 6, 7, graph, "n")
    names = (
        "capacity",
        "num_threads",
        "num_client",
        "timeout_millis",
        "closed_exception_types",
        "ignored_exception_types",
        "use_stage_subgraph_thread_pool",
        "stage_subgraph_thread_pool_id",
        "stage_subgraph_stream_id",
        "graph",
        "name",
    )
    options = tf.SmartStageOptions(*given)
    assert tuple(getattr(options, name) for name in names) == given


@pytest.mark.parametrize(
    "field,value",
    [
        ("capacity", 0),
        ("num_threads", 0),
        ("num_client", 0),
        ("num_clients", "1"),
        ("timeout_millis", -1),
        ("closed_exception_types", 11),
        ("ignored_exception_types", ("x",)),
        ("use_stage_subgraph_thread_pool", 1),
        ("stage_subgraph_thread_pool_id", -1),
        ("stage_subgraph_stream_id", -1),
        ("graph", "g"),
        ("name", "a b"),
        ("name", 3),
    ],
)
def test_bad_option_names_field_value_and_range(field, value):
    with pytest.raises(OptionError) as caught:
        tf.SmartStageOptions(**{field: value})
    assert caught.value.field.startswith(field[:10])
    assert repr(caught.value.value) in str(caught.value) and caught.value.range in str(caught.value)


def test_num_client_and_num_clients_are_one():
    assert tf.SmartStageOptions(num_clients=3).num_client == 3
    assert tf.SmartStageOptions(num_client=3, num_clients=3).num_clients == 3
    with pytest.raises(OptionError, match="num_client"):
        tf.SmartStageOptions(num_client=2, num_clients=3)


def test_duplicate_name_in_one_graph():
    tf.SmartStageOptions(name="twice")
    with pytest.raises(DuplicateNameError, match="twice"):
        tf.SmartStageOptions(name="twice")
    with tf.Graph().as_default():
        tf.SmartStageOptions(name="twice")


def test_pools():
    config = smart(use_stage_subgraph_thread_pool=True, stage_subgraph_thread_pool_id=1)
    with pytest.raises(OptionError, match="session_stage_subgraph_thread_pool.add()"):
        config.to_proto()
    config.session_stage_subgraph_thread_pool.add()
    config.session_stage_subgraph_thread_pool[0].inter_op_threads_num = 8
    config.session_stage_subgraph_thread_pool[0].intra_op_threads_num = 4
    config.session_stage_subgraph_thread_pool[0].global_name = "StageThreadPool_1"
    with pytest.raises(OptionError, match=r"stage_subgraph_thread_pool_id is 1.*in \[0, 0\]"):
        config.to_proto()
    config.session_stage_subgraph_thread_pool.add(inter_op_threads_num=2)
    found = carried(config)
    assert found["pool_inter_op_threads"] == [8, 2] and found["pool_intra_op_threads"] == [4, 0]
    assert found["pool_names"] == [b"StageThreadPool_1", b""]
    with pytest.raises(OptionError, match="inter_op_threads_num"):
        config.session_stage_subgraph_thread_pool[0].inter_op_threads_num = -1
    with pytest.raises(UnknownFieldError, match="did you mean 'global_name'"):
        config.session_stage_subgraph_thread_pool[0].globalname = "x"


def test_multi_stream():
    config = smart(stage_subgraph_stream_id=1)
    with pytest.raises(OptionError, match="stage_subgraph_stream_id"):
        config.to_proto()
    config.graph_options.optimizer_options.stage_multi_stream = True
    with pytest.raises(OptionError, match="use_multi_stream"):
        config.to_proto()
    config.graph_options.rewrite_options.use_multi_stream = ON
    with pytest.raises(OptionError, match="multi_stream_num"):
        config.to_proto()
    config.graph_options.rewrite_options.multi_stream_opts.multi_stream_num = 2
    assert carried(config)["streams"] == 2 and carried(config)["stage_subgraph_stream_id"] == 1
    with pytest.raises(OptionError, match="multi_stream_num"):
        config.graph_options.rewrite_options.multi_stream_opts.multi_stream_num = 0
    for wrong in (True, 7, "SOMETIMES", 1.0):
        with pytest.raises(OptionError, match="use_multi_stream"):
            config.graph_options.rewrite_options.use_multi_stream = wrong


def test_older_gpu_switch_stands_for_both():
    config = tf.ConfigProto()
    config.graph_options.optimizer_options.do_smart_stage_gpu = True
    assert carried(config)["smart"] and carried(config)["stage_subgraph_on_cpu"]


@pytest.mark.parametrize(
    "use,error",
    [
        (lambda c: c.do_smart_stage, AttributeError),
        (lambda c: setattr(c, "do_smart_stage", True), AttributeError),
        (
            lambda c: setattr(c.graph_options.optimizer_options, "do_smart_stages", True),
            AttributeError,
        ),
        (lambda c: setattr(c.graph_options.optimizer_options, "do_smart_stage", "yes"), TypeError),
        (lambda c: setattr(c.graph_options.optimizer_options, "do_smart_stage", 1), TypeError),
        (lambda c: setattr(c, "graph_options", tf.GraphOptions()), AttributeError),
        (
            lambda c: setattr(c.graph_options.optimizer_options, "smart_stage_options", 1),
            AttributeError,
        ),
        (lambda c: setattr(c, "allow_soft_placement", "yes"), TypeError),
        (lambda c: setattr(c.graph_options.optimizer_options, "opt_level", "x"), ValueError),
        (lambda c: c.graph_options.CopyFrom(c), TypeError),
        (lambda c: c.MergeFrom(config_pb2.GraphOptions()), TypeError),
        (lambda c: c.graph_options.optimizer_options.smart_stage_options.CopyFrom(c), TypeError),
        (lambda c: c.HasField("do_smart_stage"), ValueError),
        (lambda c: c.ClearField("do_smart_stage"), ValueError),
        (lambda c: tf.ConfigProto(do_smart_stage=True), ValueError),
        (lambda c: tf.SmartStageOptions(capasity=2), ValueError),
    ],
)
def test_refused_as_protobuf_refuses(use, error):
    with pytest.raises(error):
        use(tf.ConfigProto())


def test_constructor_takes_parts():
    stock = config_pb2.GraphOptions(infer_shapes=True)
    assert tf.ConfigProto(graph_options=stock).to_proto().graph_options.infer_shapes
    optimizer = tf.OptimizerOptions(do_smart_stage=True, opt_level=tf.OptimizerOptions.L0)
    config = tf.ConfigProto(
        graph_options=tf.GraphOptions(optimizer_options=optimizer, infer_shapes=True),
        session_stage_subgraph_thread_pool=[{"inter_op_threads_num": 2}],
        gpu_options=tf.GPUOptions(allow_growth=True),
    )
    found = config.to_proto()
    assert found.graph_options.optimizer_options.opt_level == config_pb2.OptimizerOptions.L0
    assert found.graph_options.infer_shapes and found.gpu_options.allow_growth
    assert carried(config)["smart"] and carried(config)["pool_inter_op_threads"] == [2]


def test_copy_and_merge():
    first = smart(capacity=7)
    first.allow_soft_placement = True
    copied = tf.ConfigProto()
    copied.CopyFrom(first)
    assert copied == first and carried(copied)["capacity"] == 7
    copied.graph_options.optimizer_options.smart_stage_options.capacity = 8
    assert carried(first)["capacity"] == 7

    merged = tf.ConfigProto(log_device_placement=True)
    merged.MergeFrom(first)
    merged.MergeFrom(config_pb2.ConfigProto(inter_op_parallelism_threads=2))
    assert merged.log_device_placement and merged.allow_soft_placement
    assert merged.inter_op_parallelism_threads == 2 and carried(merged)["capacity"] == 7

    merged.CopyFrom(config_pb2.ConfigProto())
    assert carried(merged)["smart"] is False and not merged.allow_soft_placement
    assert copy.deepcopy(first) == first and copy.copy(first) == first
    assert first != tf.ConfigProto()
    assert tf.ConfigProto() == config_pb2.ConfigProto()


def test_views_stay_valid_when_their_parent_changes():
    config = tf.ConfigProto()
    optimizer = config.graph_options.optimizer_options
    optimizer.do_smart_stage = True
    config.Clear()
    assert not optimizer.do_smart_stage
    optimizer.do_smart_stage = True
    optimizer.opt_level = tf.OptimizerOptions.L0
    config.ClearField("graph_options")
    optimizer.opt_level = tf.OptimizerOptions.L0
    assert config.graph_options.optimizer_options.opt_level == tf.OptimizerOptions.L0
    assert not config.graph_options.optimizer_options.do_smart_stage


def test_presence():
    config = tf.ConfigProto()
    optimizer = config.graph_options.optimizer_options
    assert not config.HasField("graph_options")
    assert optimizer.smart_stage_options.capacity == 1  # reading does not set
    assert not optimizer.HasField("smart_stage_options") and not optimizer.HasField(
        "do_smart_stage"
    )
    optimizer.smart_stage_options.CopyFrom(tf.SmartStageOptions())
    assert optimizer.HasField("smart_stage_options") and config.HasField("graph_options")
    optimizer.ClearField("smart_stage_options")
    assert not optimizer.HasField("smart_stage_options")


def test_each_stock_message_has_its_own_tag_and_serializes():
    config = smart()
    tags = {carrier.tag_of(carrier.find_carrier(config.to_proto())) for _ in range(3)}
    assert len(tags) == 3
    parsed = config_pb2.ConfigProto.FromString(config.SerializeToString())
    assert carrier.find_carrier(parsed).parameter_map["smart"].b


def test_text_shows_added_fields():
    text = str(smart(capacity=9))
    assert "do_smart_stage: True" in text and "capacity: 9" in text


def test_everything_else_is_tf_compat_v1():
    stock = tensorflow.compat.v1
    assert tf.constant is stock.constant and tf.train.Scaffold is stock.train.Scaffold
    assert tf.data.Iterator is stock.data.Iterator
    assert set(name for name in dir(stock) if not name.startswith("_")) <= set(dir(tf))
    assert {"SmartStageOptions", "staged", "make_prefetch_hook", "keep"} <= set(dir(tf))
    assert tf.compat.v1 is tf and tf.compat.as_bytes is stock.compat.as_bytes
    with pytest.raises(AttributeError):
        tf.no_such_name


def test_option_type_errors_are_option_errors():
    assert issubclass(OptionTypeError, (OptionError, TypeError, ValueError))

"""StageOptions, and the message that carries them: alike in Python, C++ and docs."""

import dataclasses
import pathlib
import re

import hypothesis
import pytest
import tensorflow as tf
from hypothesis import strategies as st

import headrace
from headrace import carrier, library
from headrace.errors import OptionError, OptionTypeError, SessionOptionsError

tf1 = tf.compat.v1
FORMATS = pathlib.Path(__file__).resolve().parents[2] / "docs" / "formats.md"
POOL = headrace.ThreadPool(2, 3, "readers")

BAD_VALUES = [
    ("smart", 1),
    ("capacity", -2),
    ("capacity", 2**31),
    ("capacity", 1.5),
    ("capacity", True),
    ("capacity", "2"),
    ("num_threads", 0),
    ("num_threads", -2),
    ("num_threads", 4097),
    ("num_clients", 0),
    ("timeout_millis", -1),
    ("timeout_millis", 2**63),
    ("closed_exception_types", 11),
    ("closed_exception_types", tf.errors.OutOfRangeError),
    ("closed_exception_types", (0,)),
    ("closed_exception_types", (17,)),
    ("closed_exception_types", ("OUT_OF_RANGE",)),
    ("ignored_exception_types", (KeyError,)),
    ("ignored_exception_types", (tf.errors.OpError,)),
    ("ignored_exception_types", (11,)),  # closed by default
    ("ignored_limit", -1),
    ("use_stage_subgraph_thread_pool", "yes"),
    ("use_stage_subgraph_thread_pool", True),  # no pool
    ("stage_subgraph_thread_pool_id", -1),
    ("thread_pools", POOL),
    ("thread_pools", ({"inter_op_threads_num": 1},)),
    ("stage_subgraph_on_cpu", None),
    ("stage_subgraph_stream_id", -1),
    ("stage_subgraph_stream_id", 1),  # no streams
    ("streams", -1),
    ("cut", "smallest"),
    ("cut", 1),
    ("exclude", "op"),
    ("exclude", (1,)),
    ("exclude", ("",)),
    ("budget_bytes", -1),
    ("name", "a b"),
    ("name", "_a"),
    ("name", None),
    ("dump_graph", 1),
]


@pytest.mark.parametrize("field,value", BAD_VALUES)
def test_bad_value_names_field_value_and_range(field, value):
    with pytest.raises(OptionError) as caught:
        headrace.StageOptions(**{field: value})
    error = caught.value
    assert error.field.split("[")[0] == field
    assert error.code in ("HR010", "HR011")
    for part in (error.field, repr(error.value), error.range, error.code):
        assert part in str(error)


def test_every_field_is_among_the_bad_values():
    assert {field for field, _ in BAD_VALUES} == {
        f.name for f in dataclasses.fields(headrace.StageOptions)
    }


def test_wrong_type_is_a_type_error_and_wrong_range_a_value_error():
    with pytest.raises(TypeError):
        headrace.StageOptions(capacity="2")
    with pytest.raises(ValueError) as caught:
        headrace.StageOptions(num_threads=0)
    assert not isinstance(caught.value, TypeError)


def test_pool_id_is_checked_against_the_pools():
    headrace.StageOptions(use_stage_subgraph_thread_pool=True, thread_pools=[POOL])
    with pytest.raises(OptionError, match=r"stage_subgraph_thread_pool_id is 1.*in \[0, 0\]"):
        headrace.StageOptions(
            use_stage_subgraph_thread_pool=True,
            thread_pools=[POOL],
            stage_subgraph_thread_pool_id=1,
        )


@pytest.mark.parametrize("field", ["inter_op_threads_num", "intra_op_threads_num"])
def test_thread_pool_is_checked(field):
    with pytest.raises(OptionError, match=field):
        headrace.ThreadPool(**{field: -1})
    with pytest.raises(OptionTypeError, match="global_name"):
        headrace.ThreadPool(global_name=3)


def test_exception_types_are_codes_or_classes():
    options = headrace.StageOptions(
        closed_exception_types=[tf.errors.CancelledError, tf.errors.OUT_OF_RANGE, 1],
        ignored_exception_types=(tf.errors.DataLossError,),
    )
    assert options.closed_exception_types == (1, 11)
    assert options.ignored_exception_types == (15,)


def test_options_are_immutable_and_replaceable():
    options = headrace.StageOptions(capacity=3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.capacity = 4
    assert dataclasses.replace(options, num_threads=2) == headrace.StageOptions(
        capacity=3, num_threads=2
    )
    with pytest.raises(OptionError):
        dataclasses.replace(options, capacity=-2)


def _plain(value):
    kind = value.WhichOneof("value")
    if kind == "list":
        return [item.decode() for item in value.list.s] or list(value.list.i)
    return value.s.decode() if kind == "s" else getattr(value, kind)


def _table():
    """key -> default, from the table in docs/formats.md."""
    section = (
        FORMATS.read_text(encoding="utf-8")
        .split("## Options in a ConfigProto")[1]
        .split("\n## ")[0]
    )
    rows = re.findall(r"^\| `(\w+)` \| [^|]* \| ([^|]*) \|", section, re.MULTILINE)
    return {key: default.strip() for key, default in rows}


def test_message_has_the_keys_and_defaults_of_the_documented_table():
    message = carrier.encode()
    shown = {"True": "true", "False": "false"}
    defaults = {}
    for key, value in message.parameter_map.items():
        plain = _plain(value)
        text = f'"{plain}"' if isinstance(plain, str) else str(plain)
        defaults[key] = shown.get(text, text)
    assert defaults == _table()


def test_configure_replaces_and_leaves_the_rest():
    config = tf1.ConfigProto(allow_soft_placement=True)
    other = config.graph_options.rewrite_options.custom_optimizers.add(name="Somebody")
    other.parameter_map["k"].i = 7
    tags = []
    for capacity in (2, 5):
        assert headrace.configure(config, headrace.StageOptions(capacity=capacity)) is config
        found = carrier.find_carrier(config)
        assert found.parameter_map["capacity"].i == capacity
        tags.append(carrier.tag_of(found))
    entries = config.graph_options.rewrite_options.custom_optimizers
    assert [entry.name for entry in entries] == ["Somebody", "HeadraceStage"]
    assert entries[0].parameter_map["k"].i == 7
    assert config.allow_soft_placement
    assert len(set(tags)) == 2 and all(tags)


def test_configure_refuses_other_things():
    with pytest.raises(OptionTypeError, match="config"):
        headrace.configure({}, headrace.StageOptions())
    with pytest.raises(OptionTypeError, match="options"):
        headrace.configure(tf1.ConfigProto(), {"capacity": 2})


def test_session_without_options_is_named():
    with tf.Graph().as_default(), tf1.Session() as session:
        with pytest.raises(SessionOptionsError, match="HR035"):
            headrace.stats(session)


INTEGERS = st.one_of(
    st.integers(-2, 3), st.sampled_from([4095, 4096, 4097, 2**31 - 1, 2**31, 2**63 - 1])
)
RAW = st.fixed_dictionaries(
    {},
    optional={
        "capacity": INTEGERS,
        "num_threads": INTEGERS,
        "num_clients": INTEGERS,
        "timeout_millis": INTEGERS,
        "ignored_limit": INTEGERS,
        "stage_subgraph_thread_pool_id": INTEGERS,
        "stage_subgraph_stream_id": INTEGERS,
        "streams": INTEGERS,
        "budget_bytes": INTEGERS,
        "smart": st.booleans(),
        "use_stage_subgraph_thread_pool": st.booleans(),
        "cut": st.sampled_from(["auto", "largest", "AUTO", ""]),
        "name": st.text("aZ0_./- é", max_size=4),
        "exclude": st.lists(st.sampled_from(["a", "b/c"]), max_size=2).map(tuple),
        "closed_exception_types": st.lists(st.integers(-1, 18), max_size=2).map(tuple),
        "ignored_exception_types": st.lists(st.integers(-1, 18), max_size=2).map(tuple),
    },
)


@hypothesis.settings(deadline=None, max_examples=300)
@hypothesis.given(raw=RAW)
def test_python_and_cpp_accept_the_same(raw):
    keys = {"closed_exception_types": "closed_codes", "ignored_exception_types": "ignored_codes"}
    message = carrier.encode_values({keys.get(k, k): v for k, v in raw.items()})
    status, text = library.load().check_options(message.SerializeToString())
    try:
        headrace.StageOptions(**raw)
    except OptionError as error:
        assert status == 3, f"C++ accepts what Python refuses: {error}"
    else:
        assert status == 0, f"Python accepts what C++ refuses: {text}"


def test_an_option_that_does_not_exist_is_named_with_the_nearest():
    with pytest.raises(TypeError, match="there is no option 'capcity'; did you mean 'capacity'"):
        headrace.StageOptions(capcity=2)
    with pytest.raises(TypeError, match="there is no option 'zzz' .HR015"):
        headrace.StageOptions(zzz=2)

"""Reads a graph from whatever holds one. Importing this module imports TensorFlow."""

import os

from headrace import library
from headrace.errors import GraphFileError

library.import_tensorflow()

from google.protobuf import text_format  # noqa: E402
from google.protobuf.message import DecodeError  # noqa: E402
from tensorflow.core.framework import graph_pb2  # noqa: E402
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2  # noqa: E402

_TEXT_SUFFIXES = (".pbtxt", ".txt", ".textproto")
_WHAT = "a GraphDef, a MetaGraphDef or a SavedModel"


def to_graph_def(graph, tags=None):
    """The GraphDef in `graph`.

    graph: tf.Graph, GraphDef, MetaGraphDef, SavedModel message, or a path: of a SavedModel's
        directory, or of a file with one of these messages (text if it ends in .pbtxt, .txt or
        .textproto, else binary).
    tags: for a SavedModel, the tags of the MetaGraph to take; not needed if there is only one.
    Errors: GraphFileError.
    """
    if isinstance(graph, (str, os.PathLike)):
        graph = _read(os.fspath(graph))
    if isinstance(graph, graph_pb2.GraphDef):
        return graph
    if isinstance(graph, meta_graph_pb2.MetaGraphDef):
        return graph.graph_def
    if isinstance(graph, saved_model_pb2.SavedModel):
        return _choose(graph, tags).graph_def
    if hasattr(graph, "as_graph_def"):
        return graph.as_graph_def()
    raise GraphFileError(
        f"a {type(graph).__name__} is no graph: give a tf.Graph, {_WHAT}, or a path"
    )


def _choose(saved_model, tags):
    wanted = set(tags or ())
    there = [set(m.meta_info_def.tags) for m in saved_model.meta_graphs]
    names = "; ".join(",".join(sorted(t)) or "(no tags)" for t in there)
    if not wanted:
        if len(there) == 1:
            return saved_model.meta_graphs[0]
        raise GraphFileError(
            f"the SavedModel holds {len(there)} graphs ({names}): say which by its tags"
        )
    for meta_graph, its_tags in zip(saved_model.meta_graphs, there):
        if its_tags == wanted:
            return meta_graph
    raise GraphFileError(
        f"the SavedModel has no graph tagged {','.join(sorted(wanted))}, only: {names}"
    )


def _read(path):
    if os.path.isdir(path):
        for name in ("saved_model.pb", "saved_model.pbtxt"):
            if os.path.exists(os.path.join(path, name)):
                return _parse(os.path.join(path, name), (saved_model_pb2.SavedModel,))
        raise GraphFileError(f"{path} is a directory without a saved_model.pb")
    # Their wire formats overlap: a message counts as read only if what it must have is there.
    return _parse(
        path, (graph_pb2.GraphDef, meta_graph_pb2.MetaGraphDef, saved_model_pb2.SavedModel)
    )


def _parse(path, kinds):
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise GraphFileError(f"cannot read {path}: {error.strerror}") from error
    for kind in kinds:
        message = kind()
        try:
            if path.endswith(_TEXT_SUFFIXES):
                text_format.Parse(data.decode(), message)
            else:
                message.ParseFromString(data)
        except (DecodeError, text_format.ParseError, UnicodeDecodeError):
            continue
        if _plausible(message):
            return message
    raise GraphFileError(f"{path} holds neither {_WHAT.replace(' or ', ' nor ')}")


def _plausible(message):
    if isinstance(message, graph_pb2.GraphDef):
        return bool(message.node) and all(node.name and node.op for node in message.node)
    if isinstance(message, meta_graph_pb2.MetaGraphDef):
        return _plausible(message.graph_def)
    return bool(message.meta_graphs) and all(m.HasField("graph_def") for m in message.meta_graphs)

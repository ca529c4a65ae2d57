"""Plans before a session exists: what would run ahead and cross, and why the rest would not."""

import difflib
import json
import os

from headrace import library
from headrace.errors import GraphFileError, OptionError, PlanError

_INVALID_ARGUMENT = 3


class Explanation:
    """The plan for one graph and one set of options.

    str() is the text for people. `json` is the versioned dict for tools (docs/formats.md,
    "explain"). Immutable; may be shared by threads.
    """

    def __init__(self, plan: dict, text: str):
        self.json = plan
        self._text = text

    def __str__(self):
        return self._text

    def __repr__(self):
        return f"<headrace.Explanation {self.hash}: {len(self.stages)} stage(s)>"

    @property
    def hash(self) -> str:
        """16 hex digits over all that the rewrite depends on; the running pass logs the same."""
        return self.json["hash"]

    @property
    def stages(self) -> list:
        """One dict a stage, in plan order."""
        return self.json["stages"]

    def staged_nodes(self) -> set:
        """Names of the operations that run ahead of the step: sources, random draws and bodies."""
        return {node["name"] for node in self.json["nodes"] if node["stage"] is not None}

    def reasons(self) -> dict:
        """For every operation that does not run ahead: its name -> {"code", "ancestor", "text"}.

        ancestor: name of the operation that blocks, or None.
        """
        return {
            node["name"]: {
                "code": node["reason"],
                "ancestor": node["ancestor"],
                "text": node["text"],
            }
            for node in self.json["nodes"]
            if node["stage"] is None
        }

    def summary(self) -> str:
        """One line a stage: what it reads, how much runs ahead, and how much crosses."""
        lines = [f"plan {self.hash}: {len(self.stages) or 'no'} stage(s)"]
        for stage in self.stages:
            nodes = sum(len(stage[key]) for key in ("sources", "draws", "body"))
            lines.append(
                f"stage '{stage['name']}' reads {', '.join(stage['sources'])}; {nodes} node(s) run "
                f"ahead, {len(stage['outputs'])} tensor(s) cross"
            )
        return "\n".join(lines)


def explain(graph, options=None, *, tags=None) -> Explanation:
    """What a session with these options would stage, and why not the rest. Runs nothing.

    graph: tf.Graph, GraphDef, MetaGraphDef or SavedModel message, or a path to one (graphs.py).
    options: StageOptions (None = the defaults), or a ConfigProto that carries options.
    tags: which graph of a SavedModel, where it has several.
    Errors: GraphFileError, OptionError, PlanError; library.load()'s.
    """
    from headrace import carrier, graphs

    graph_def = graphs.to_graph_def(graph, tags)
    _check_excluded(options, graph_def)
    message = carrier.message_of(options).SerializeToString()
    loaded = library.load()
    _check(loaded, message)
    status, plan, text, error = loaded.explain(graph_def.SerializeToString(), message)
    if status:
        raise PlanError(error, status)
    return Explanation(json.loads(plan), text)


def rewrite(graph, options=None, *, tags=None):
    """The GraphDef as the staging pass would hand it to TensorFlow. For looking at: it needs
    Headrace.

    Arguments and errors: as explain().
    """
    from headrace import carrier, graphs

    graph_def = graphs.to_graph_def(graph, tags).SerializeToString()
    message = carrier.message_of(options).SerializeToString()
    loaded = library.load()
    _check(loaded, message)
    status, result, error = loaded.rewrite(graph_def, message)
    if status:
        raise PlanError(error, status)
    return graphs.graph_pb2.GraphDef.FromString(result)


def write_graph(graph_def, path):
    """Writes a GraphDef: text if the path ends in .pbtxt, else binary."""
    from google.protobuf import text_format

    path = os.fspath(path)
    data = (
        text_format.MessageToString(graph_def).encode()
        if path.endswith(".pbtxt")
        else graph_def.SerializeToString()
    )
    try:
        with open(path, "wb") as file:
            file.write(data)
    except OSError as error:
        raise GraphFileError(f"cannot write the rewritten graph to {path}: {error.strerror}") from error


def _check_excluded(options, graph_def):
    """A name that is not there protects nothing."""
    names = {node.name for node in graph_def.node}
    for name in getattr(options, "exclude", None) or ():
        if name not in names:
            close = difflib.get_close_matches(name.split(":")[0], names, n=1)
            hint = f"; did you mean '{close[0]}'?" if close else ""
            raise OptionError("exclude", name, f"the name of an operation of the graph{hint}")


def _check(loaded, message):
    status, error = loaded.check_options(message)
    if status == _INVALID_ARGUMENT:
        raise OptionError("options", message, error)
    if status:
        raise PlanError(error, status)

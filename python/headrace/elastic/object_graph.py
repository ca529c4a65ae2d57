"""Which variable of one saved object is which of another, by the way to it and not by its key.

A key in a TensorFlow checkpoint is the shortest path to the variable from what was saved, so the same
model has other keys under another root. Its own graph of objects, below it, is the same.
"""

import tensorflow as tf
from tensorflow.core.protobuf import trackable_object_graph_pb2

GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"


def read(prefix: str):
    """The graph of objects in a checkpoint, or None if it has none (a name-based one)."""
    reader = tf.train.load_checkpoint(prefix)
    if not reader.has_tensor(GRAPH_KEY):
        return None
    return trackable_object_graph_pb2.TrackableObjectGraph.FromString(reader.get_tensor(GRAPH_KEY))


def child(graph, node: int, name: str):
    """Number of a node's child, or None."""
    return next((c.node_id for c in graph.nodes[node].children if c.local_name == name), None)


def match(one, one_root: int, other, other_root: int) -> dict:
    """{key in `one`: key in `other`} of what lies at the same place below the two roots."""
    keys, seen, pairs = {}, set(), [(one_root, other_root)]
    while pairs:
        pair = pairs.pop()
        if pair in seen:
            continue
        seen.add(pair)
        mine, its = one.nodes[pair[0]], other.nodes[pair[1]]
        attributes = {a.name: a.checkpoint_key for a in its.attributes}
        for attribute in mine.attributes:
            if attribute.name in attributes:
                keys[attribute.checkpoint_key] = attributes[attribute.name]
        children = {c.local_name: c.node_id for c in its.children}
        for c in mine.children:
            if c.local_name in children:
                pairs.append((c.node_id, children[c.local_name]))
    return keys

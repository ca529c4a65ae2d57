#include "counting_graph.h"

#include "tensorflow/core/framework/types.pb.h"
#include "tensorflow/core/platform/protobuf.h"

namespace headrace {
namespace {

constexpr char kGraph[] = R"pb(
  versions { producer: 1882 }
  node {
    name: "start"
    op: "Const"
    attr {
      key: "dtype"
      value { type: DT_INT64 }
    }
    attr {
      key: "value"
      value {
        tensor {
          dtype: DT_INT64
          tensor_shape {}
          int64_val: 0
        }
      }
    }
  }
  node {
    name: "stop"
    op: "Const"
    attr {
      key: "dtype"
      value { type: DT_INT64 }
    }
    attr {
      key: "value"
      value {
        tensor {
          dtype: DT_INT64
          tensor_shape {}
          int64_val: 7
        }
      }
    }
  }
  node {
    name: "step"
    op: "Const"
    attr {
      key: "dtype"
      value { type: DT_INT64 }
    }
    attr {
      key: "value"
      value {
        tensor {
          dtype: DT_INT64
          tensor_shape {}
          int64_val: 1
        }
      }
    }
  }
  node {
    name: "range"
    op: "RangeDataset"
    input: "start"
    input: "stop"
    input: "step"
    attr {
      key: "output_types"
      value { list { type: DT_INT64 } }
    }
    attr {
      key: "output_shapes"
      value { list { shape {} } }
    }
  }
  node {
    name: "iterator"
    op: "IteratorV2"
    attr {
      key: "output_types"
      value { list { type: DT_INT64 } }
    }
    attr {
      key: "output_shapes"
      value { list { shape {} } }
    }
    attr {
      key: "shared_name"
      value { s: "" }
    }
    attr {
      key: "container"
      value { s: "" }
    }
  }
  node { name: "make" op: "MakeIterator" input: "range" input: "iterator" }
  node {
    name: "next"
    op: "IteratorGetNext"
    input: "iterator"
    attr {
      key: "output_types"
      value { list { type: DT_INT64 } }
    }
    attr {
      key: "output_shapes"
      value { list { shape {} } }
    }
  }
  node {
    name: "text"
    op: "AsString"
    input: "next"
    attr {
      key: "T"
      value { type: DT_INT64 }
    }
  }
  node {
    name: "number"
    op: "StringToNumber"
    input: "text"
    attr {
      key: "out_type"
      value { type: DT_INT64 }
    }
  }
  node {
    name: "total"
    op: "VarHandleOp"
    attr {
      key: "dtype"
      value { type: DT_INT64 }
    }
    attr {
      key: "shape"
      value { shape {} }
    }
  }
  node {
    name: "assign"
    op: "AssignVariableOp"
    input: "total"
    input: "start"
    attr {
      key: "dtype"
      value { type: DT_INT64 }
    }
  }
  node { name: "init" op: "NoOp" input: "^make" input: "^assign" }
  node {
    name: "read"
    op: "ReadVariableOp"
    input: "total"
    attr {
      key: "dtype"
      value { type: DT_INT64 }
    }
  }
  node {
    name: "out"
    op: "AddV2"
    input: "number"
    input: "read"
    attr {
      key: "T"
      value { type: DT_INT64 }
    }
  }
  node {
    name: "train"
    op: "AssignAddVariableOp"
    input: "total"
    input: "number"
    input: "^out"
    attr {
      key: "dtype"
      value { type: DT_INT64 }
    }
  }
  node {
    name: "thread"
    op: "Headrace>ThreadId"
    input: "out"
    attr {
      key: "T"
      value { type: DT_INT64 }
    }
  }
)pb";

constexpr char kTwice[] = R"pb(
  versions { producer: 1882 }
  node {
    name: "number2"
    op: "AddV2"
    input: "number"
    input: "number"
    attr {
      key: "T"
      value { type: DT_INT64 }
    }
  }
  node {
    name: "twice"
    op: "AddV2"
    input: "number2"
    input: "read"
    attr {
      key: "T"
      value { type: DT_INT64 }
    }
  }
)pb";

tensorflow::GraphDef Parse(const char* text) {
  tensorflow::GraphDef graph;
  CHECK(tensorflow::protobuf::TextFormat::ParseFromString(text, &graph));
  return graph;
}

}  // namespace

tensorflow::GraphDef CountingGraph(std::int64_t elements) {
  tensorflow::GraphDef graph = Parse(kGraph);
  for (auto& node : *graph.mutable_node()) {
    if (node.name() == "stop") {
      (*node.mutable_attr())["value"].mutable_tensor()->set_int64_val(0, elements);
    }
  }
  return graph;
}

tensorflow::GraphDef TwiceExtension() {
  return Parse(kTwice);
}

}  // namespace headrace

// The ops of a staged graph. Only the pass makes them; no user graph and no saved model holds
// them.
#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace headrace {
namespace {

using ::tensorflow::PartialTensorShape;
using ::tensorflow::shape_inference::InferenceContext;
using ::tensorflow::shape_inference::ShapeHandle;

absl::Status OutputShapesFromAttr(InferenceContext* c) {
  std::vector<PartialTensorShape> shapes;
  TF_RETURN_IF_ERROR(c->GetAttr("output_shapes", &shapes));
  if (static_cast<int>(shapes.size()) != c->num_outputs()) {
    return absl::InvalidArgumentError(absl::StrCat("output_shapes has ", shapes.size(),
                                                   " entries for ", c->num_outputs(), " outputs"));
  }
  for (int i = 0; i < c->num_outputs(); ++i) {
    ShapeHandle shape;
    TF_RETURN_IF_ERROR(c->MakeShapeFromPartialTensorShape(shapes[i], &shape));
    c->set_output(i, shape);
  }
  return absl::OkStatus();
}

REGISTER_OP("Headrace>StagedCall")
    .Input("args: Targs")
    .Output("ticket: variant")
    .Attr("Targs: list(type) >= 0")
    .Attr("sources: list(func) >= 1")
    .Attr("source_kinds: list({'iterator', 'iterator_optional', 'resource', 'draw', 'state'}) >= 1")
    .Attr("source_names: list(string) >= 1")
    .Attr("source_num_args: list(int) >= 1")
    .Attr("source_args: list(int) >= 0")
    .Attr("source_num_outputs: list(int) >= 1")
    .Attr("body: func")
    .Attr("body_args: list(int) >= 0")
    .Attr("outputs: list(int) >= 0")
    .Attr("stage: string")
    .Attr("options: string = ''")
    .SetIsStateful()
    .SetShapeFn(tensorflow::shape_inference::ScalarShape)
    .Doc(R"doc(
Takes the next step's ticket from a stage that runs ahead of the caller.

A stage reads one element from each of its sources in turn (one ticket), runs the body on it, and
hands results over in ticket order. The first call starts it.

args: resource handles that the source and body functions use.
ticket: for StagedOutputs.
sources: one function per source, random draw or private state, in the order in which a ticket reads
  them. Each takes its handles and returns one element.
source_kinds: `iterator` and `iterator_optional` read a tf.data iterator (the latter delivers
  its element, or the end of data, as one optional), `resource` a queue, reader or other resource,
  `draw` runs a random op, `state` makes private state (its function gets a variable that holds the
  state; the variable of that argument is written when a step takes the ticket).
source_names: the node that each function replaces; identifies a draw's state in its session.
source_num_args: how many entries of source_args belong to each function.
source_args: indices into args, function after function; the first one is the resource consumed.
source_num_outputs: number of tensors of each element.
body: takes the tensors of all elements in order, then args[i] for i in body_args; pure.
body_args: indices into args.
outputs: of the StagedOutputs that reads the ticket.
stage: the stage's name, for people.
options: serialized RewriterConfig.CustomGraphOptimizer (docs/formats.md).
)doc");

REGISTER_OP("Headrace>StagedOutputs")
    .Input("ticket: variant")
    .Output("out: Tout")
    .Attr("Tout: list(type) >= 0")
    .Attr("output_shapes: list(shape) >= 0")
    .Attr("source_num_outputs: list(int) >= 1")
    .Attr("outputs: list(int) >= 0")
    .SetShapeFn(OutputShapesFromAttr)
    .Doc(R"doc(
What a ticket holds.

An op of its own, because TensorFlow's executor hands everything behind an op that may wait (StagedCall)
to its thread pool, node by node, and goes on at once behind one that does not.

ticket: of a StagedCall in the same step.
out: what crosses from the stage to the training step, then tokens for StagedOpsRan.
output_shapes: shape of each output, as inferred before the graph was cut.
source_num_outputs: number of tensors of each source's element.
outputs: for each output, v >= 0: tensor v of the elements, in order; v < 0: output -v-1 of body.
)doc");

REGISTER_OP("Headrace>StagedDeviceOutputs")
    .Input("ticket: variant")
    .Output("out: Tout")
    .Attr("Tout: list(type) >= 1")
    .Attr("output_shapes: list(shape) >= 1")
    .Attr("source_num_outputs: list(int) >= 1")
    .Attr("outputs: list(int) >= 1")
    .Attr("copies: list(int) >= 1")
    .Attr("num_copies: int >= 1")
    .SetShapeFn(OutputShapesFromAttr)
    .Doc(R"doc(
What a ticket holds in the memory of this op's device, an accelerator: the stage has copied it there.

ticket: of a StagedCall in the same step.
out: copies of what crosses.
output_shapes, source_num_outputs: as of StagedOutputs.
outputs: of which tensor each is a copy, as of StagedOutputs.
copies: for each output, its position among the copies that the call's stage makes.
num_copies: how many the stage makes.
)doc");

REGISTER_OP("Headrace>StageStart")
    .Input("args: Targs")
    .Attr("Targs: list(type) >= 0")
    .Attr("sources: list(func) >= 1")
    .Attr("source_kinds: list({'iterator', 'iterator_optional', 'resource', 'draw', 'state'}) >= 1")
    .Attr("source_names: list(string) >= 1")
    .Attr("source_num_args: list(int) >= 1")
    .Attr("source_args: list(int) >= 0")
    .Attr("source_num_outputs: list(int) >= 1")
    .Attr("body: func")
    .Attr("body_args: list(int) >= 0")
    .Attr("outputs: list(int) >= 0")
    .Attr("stage: string")
    .Attr("options: string = ''")
    .Attr("call: string")
    .SetIsStateful()
    .SetShapeFn(tensorflow::shape_inference::NoOutputs)
    .Doc(R"doc(
Starts a stage before the first step takes from it. Takes nothing.

call: name of the StagedCall node whose stage this is; args and the other attributes are that node's.
)doc");

REGISTER_OP("Headrace>StagedOpsRan")
    .Input("token: int32")
    .SetShapeFn(tensorflow::shape_inference::NoOutputs)
    .Doc(R"doc(
Holds back what waits for staged ops by control edges. A control edge from the call alone would not
say which steps need those ops to have succeeded.

token: output of a StagedOutputs; there is one only if the ops succeeded. Its value means nothing.
)doc");

REGISTER_OP("Headrace>ResetSource")
    .Input("handle: resource")
    .SetIsStateful()
    .SetShapeFn(tensorflow::shape_inference::NoOutputs)
    .Doc(R"doc(
Drops what was read ahead from an iterator that is about to be initialized again.

Waits for the read in flight, after cancelling it. Does nothing where nothing was read ahead.

handle: the iterator.
)doc");

REGISTER_OP("Headrace>IteratorPull")
    .Input("iterator: resource")
    .Output("components: output_types")
    .Attr("output_types: list(type) >= 1")
    .Attr("output_shapes: list(shape) >= 1")
    .SetIsStateful()
    .SetShapeFn(OutputShapesFromAttr)
    .Doc(R"doc(
IteratorGetNext for a stage's own source function: reads from the iterator itself, past what was read
ahead of the program.

iterator: a tf.data iterator.
components: the next element.
)doc");

REGISTER_OP("Headrace>PrivateState")
    .Input("variable: resource")
    .Output("out: Tout")
    .Attr("Tout: list(type) >= 0")
    .Attr("output_shapes: list(shape) >= 0")
    .Attr("variable_name: string")
    .Attr("function: string")
    .Attr("names: list(string)")
    .Attr("waiting: list(string) >= 0")
    .SetIsStateful()
    .SetShapeFn(OutputShapesFromAttr)
    .Doc(R"doc(
Stands in a planned graph for all nodes that make one private state (private_state.h). Has no kernel.

variable: whose state it is.
out: what other nodes take of it, then the variable's value before and after.
output_shapes: shape of each output, as inferred before.
variable_name: the node that yields the variable's handle, for people.
function: serialized FunctionDef of these nodes; takes the variable's handle, returns what other nodes take and
  a token.
names: of these nodes.
waiting: names of the nodes that waited for one of them by a control edge.
)doc");

}  // namespace
}  // namespace headrace

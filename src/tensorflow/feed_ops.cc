// Where the records of a job come from, and the op by which tracked datasets account for them.
#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"

namespace headrace {
namespace {

REGISTER_OP("Headrace>AccountRecord")
    .Input("identity: int64")
    .Output("same: int64")
    .Attr("account: string")
    .Attr("event: {'read', 'split', 'part', 'parts_end', 'drop'}")
    .Attr("by: string = ''")
    .SetIsStateful()
    .SetShapeFn(tensorflow::shape_inference::UnchangedShape)
    .Doc(R"doc(
Tells an account of this process what happens to records.

identity: of one record, or of all records of a batch; negative ones are padding, and skipped.
same: the input. What depends on it happens after the account was told.
account: name of the account (feed::Accounts).
event: `read` it left the source; `split` elements are about to be made of it, one `part` each, until
  `parts_end`; `drop` its element was dropped.
by: the op that drops, for `drop` and for a `parts_end` without any part.
)doc");

REGISTER_OP("Headrace>RecordRangesDataset")
    .Output("handle: variant")
    .Attr("queue: string")
    .Attr("account: string = ''")
    .Attr("output_types: list(type) >= 1 = [DT_INT64, DT_STRING]")
    .Attr("output_shapes: list(shape) >= 1 = [{}, {}]")
    .SetIsStateful()
    .SetShapeFn(tensorflow::shape_inference::ScalarShape)
    .Doc(R"doc(
One dataset over all record ranges that this process is given: (identity, record), both scalars.

It asks its queue for the next range before it runs out of records, and ends when the queue says FLUSH
(a new iterator then goes on) or DONE.

queue: name of the queue (feed::RangeQueues).
account: name of the account (feed::Accounts) that is told of every record read; '': none is.
)doc");

REGISTER_OP("Headrace>RecordBatchDataset")
    .Input("input_dataset: variant")
    .Input("batch_size: int64")
    .Input("drop_remainder: bool")
    .Output("handle: variant")
    .Attr("output_types: list(type) >= 1 = [DT_INT64, DT_STRING]")
    .Attr("output_shapes: list(shape) >= 1 = [{dim {size: -1}}, {dim {size: -1}}]")
    .SetShapeFn(tensorflow::shape_inference::ScalarShape)
    .Doc(R"doc(
Batches of (identity, record), as BatchDataset makes them, without a tensor for each record where
the input is a RecordRangesDataset.
)doc");

REGISTER_OP("Headrace>FeedMore")
    .Input("iterators: int64")
    .Output("more: bool")
    .SetIsStateful()
    .SetShapeFn(tensorflow::shape_inference::ScalarShape)
    .Doc(R"doc(
Whether the process's feed has records for another iterator; says that the one before has ended.

iterators: how many there were before.
)doc");

REGISTER_OP("Headrace>FeedDeliver")
    .Input("identities: int64")
    .Output("same: int64")
    .Attr("account: string")
    .Attr("note: bool")
    .SetIsStateful()
    .SetShapeFn(tensorflow::shape_inference::UnchangedShape)
    .Doc(R"doc(
Tells an account that a batch leaves its iterator.

identities: of its records; negative ones are padding.
note: the program that gets it cannot name it (Keras's fit): the process's feed keeps its identities,
  and it is committed in its turn.
)doc");

REGISTER_OP("Headrace>Count")
    .Input("value: T")
    .Output("same: T")
    .Attr("counter: string")
    .Attr("T: type")
    .SetIsStateful()
    .SetShapeFn(tensorflow::shape_inference::UnchangedShape)
    .Doc(R"doc(
Adds one to a counter of this process (feed::Counters) whenever a step gets here.

same: the value.
)doc");

}  // namespace
}  // namespace headrace

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
    .Attr("output_types: list(type) >= 1 = [DT_INT64, DT_STRING]")
    .Attr("output_shapes: list(shape) >= 1 = [{}, {}]")
    .SetIsStateful()
    .SetShapeFn(tensorflow::shape_inference::ScalarShape)
    .Doc(R"doc(
One dataset over all record ranges that this process is given: (identity, record), both scalars.

It asks its queue for the next range before it runs out of records, and ends when the queue says FLUSH
(a new iterator then goes on) or DONE.

queue: name of the queue (feed::RangeQueues).
)doc");

}  // namespace
}  // namespace headrace

// The op by which tracked datasets account for their records.
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

}  // namespace
}  // namespace headrace

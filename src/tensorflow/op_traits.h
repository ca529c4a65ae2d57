// What is known of TensorFlow's ops by name: which of them may run ahead of the training step.
//
// A stateful op that is not listed is not known to be safe and stays out. A stateless one that is
// not listed depends on its inputs only. No TensorFlow headers here: the tables are plain data.
#ifndef HEADRACE_TENSORFLOW_OP_TRAITS_H_
#define HEADRACE_TENSORFLOW_OP_TRAITS_H_

#include <string_view>
#include <vector>

namespace headrace {

enum class OpGroup {
  kUnlisted,
  kConstant,
  kIteratorNext,          // consumes an element of a tf.data iterator
  kIteratorNextOptional,  // the same, the end of data being a value
  kResourceRead,          // consumes an element of another resource: queue, reader, shared iterator
  kIteratorHandle,        // yields a handle
  kIteratorFromString,    // yields a handle to an iterator that its input names
  kQueueHandle,
  kReaderHandle,
  kImmutableTableHandle,  // may be filled once, and never changes then
  kMutableTableHandle,
  kVariableHandle,
  kOtherHandle,
  kVariableRead,  // first input is the variable
  kVariableWrite,
  kTableRead,  // first input is the table
  kTableFill,  // initializes a table
  kTableWrite,
  kMakeIterator,
  kSaveIterator,  // saves or restores the position of its first input
  kDraw,          // random op with a generator of its own
  kAssert,
  kPure,  // marked stateful in TensorFlow, but its value depends on its inputs only
  kPlaceholder,
  kArgument,     // parameter or result of the function whose body the graph is
  kControlFlow,  // v1 control flow
  kConditional,  // If, Case: pure if their branches are
  kLoop,         // While: pure if condition and body are
  kCall,         // function calls: pure if the function is
  kSummary,
  kPrint,
  kPyFunc,
  kFileRead,
  kFileWrite,
  kQueueWrite,
  kQueueControl,        // closes, measures or resets a queue or reader
  kOrderedQueueHandle,  // a queue whose next element depends on when it is asked
  kDataset,             // builds or runs a dataset inside the step
};

OpGroup LookUpOp(std::string_view op);

// True for the groups whose ops consume elements.
constexpr bool IsSource(OpGroup group) {
  return group == OpGroup::kIteratorNext || group == OpGroup::kIteratorNextOptional ||
         group == OpGroup::kResourceRead;
}

// Static estimate of one run, in units of one small kernel launch (about a microsecond). Shapes are
// not considered.
double OpCost(std::string_view op);

// True for ops that only look at or rename their input (Identity, Reshape, Shape, ...), whatever
// its size.
bool IsMetadataOp(std::string_view op);
// True for elementwise and packing ops: cheap if their output is small.
bool IsCheapOnSmall(std::string_view op);

// Every op name in the tables (families given by prefix not included): for tests, which compare
// them with TensorFlow's registry.
std::vector<std::string_view> ListedOps();

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_OP_TRAITS_H_

#include "tensorflow/node_reason.h"

namespace headrace {

using plan::ReasonCode;

EffectReason ReasonOfGroup(OpGroup group) {
  switch (group) {
    case OpGroup::kVariableWrite: return {ReasonCode::kVariableWrite, "writes a variable"};
    case OpGroup::kTableFill: return {ReasonCode::kMutableTable, "fills a table"};
    case OpGroup::kTableWrite: return {ReasonCode::kMutableTable, "writes a table"};
    case OpGroup::kMakeIterator: return {ReasonCode::kStateful, "initializes an iterator"};
    case OpGroup::kSaveIterator:
      return {ReasonCode::kStateful, "saves or restores the position of an iterator"};
    case OpGroup::kPlaceholder: return {ReasonCode::kPlaceholder, "is fed"};
    case OpGroup::kControlFlow: return {ReasonCode::kControlFlow, "is v1 control flow"};
    case OpGroup::kSummary: return {ReasonCode::kSummary, "makes a summary"};
    case OpGroup::kPrint: return {ReasonCode::kPrint, "prints"};
    case OpGroup::kPyFunc: return {ReasonCode::kPyFunc, "runs Python"};
    case OpGroup::kFileRead: return {ReasonCode::kStateful, "reads a file, which may change"};
    case OpGroup::kFileWrite: return {ReasonCode::kFileWrite, "writes a file"};
    case OpGroup::kQueueWrite: return {ReasonCode::kQueueWrite, "writes into a queue"};
    case OpGroup::kQueueControl:
      return {ReasonCode::kStateful, "closes, measures or resets a queue or reader"};
    case OpGroup::kDataset: return {ReasonCode::kStateful, "builds or runs a dataset"};
    case OpGroup::kIteratorHandle:
    case OpGroup::kIteratorFromString:
    case OpGroup::kQueueHandle:
    case OpGroup::kOrderedQueueHandle:
    case OpGroup::kReaderHandle:
    case OpGroup::kImmutableTableHandle:
    case OpGroup::kMutableTableHandle:
    case OpGroup::kVariableHandle:
    case OpGroup::kOtherHandle: return {ReasonCode::kStateful, "creates or looks up a resource"};
    case OpGroup::kDraw: return {ReasonCode::kStateful, "draws random numbers"};
    case OpGroup::kArgument:
      return {ReasonCode::kFunctionArgument, "is a parameter or a result of the function"};
    case OpGroup::kUnlisted:
    case OpGroup::kConstant:
    case OpGroup::kIteratorNext:
    case OpGroup::kIteratorNextOptional:
    case OpGroup::kResourceRead:
    case OpGroup::kVariableRead:
    case OpGroup::kTableRead:
    case OpGroup::kAssert:
    case OpGroup::kPure:
    case OpGroup::kConditional:
    case OpGroup::kLoop:
    case OpGroup::kCall: return {};
  }
  return {};
}

}  // namespace headrace

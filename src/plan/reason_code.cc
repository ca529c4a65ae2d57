#include "plan/graph.h"

namespace headrace::plan {

const char* ReasonCodeName(ReasonCode code) {
  switch (code) {
    case ReasonCode::kNone: return "staged";
    case ReasonCode::kVariableWrite: return "variable_write";
    case ReasonCode::kVariableRead: return "variable_read";
    case ReasonCode::kPlaceholder: return "placeholder";
    case ReasonCode::kFunctionArgument: return "function_argument";
    case ReasonCode::kControlFlow: return "control_flow";
    case ReasonCode::kStateful: return "stateful";
    case ReasonCode::kSummary: return "summary";
    case ReasonCode::kPrint: return "print";
    case ReasonCode::kPyFunc: return "py_func";
    case ReasonCode::kQueueWrite: return "queue_write";
    case ReasonCode::kFileWrite: return "file_write";
    case ReasonCode::kMutableTable: return "mutable_table";
    case ReasonCode::kRefType: return "ref_type";
    case ReasonCode::kTarget: return "target";
    case ReasonCode::kExcluded: return "excluded";
    case ReasonCode::kKept: return "kept";
    case ReasonCode::kSecondRead: return "second_read";
    case ReasonCode::kSerializedIterator: return "serialized_iterator";
    case ReasonCode::kSourceInput: return "source_input";
    case ReasonCode::kDevice: return "device";
    case ReasonCode::kBlockedInput: return "blocked_input";
    case ReasonCode::kBlockedControl: return "blocked_control";
    case ReasonCode::kMeeting: return "meeting";
    case ReasonCode::kDrawOutside: return "draw_outside";
    case ReasonCode::kNoSource: return "no_source";
    case ReasonCode::kPastMark: return "past_mark";
    case ReasonCode::kUnmarkedSource: return "unmarked_source";
    case ReasonCode::kOnlyFeedsQueue: return "only_feeds_queue";
    case ReasonCode::kCheapToRecompute: return "cheap_to_recompute";
    case ReasonCode::kCostsMore: return "costs_more";
    case ReasonCode::kUnused: return "unused";
    case ReasonCode::kMainInput: return "main_input";
  }
  return "unknown";
}

}  // namespace headrace::plan

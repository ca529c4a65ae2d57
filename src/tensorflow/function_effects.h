// What calling a function would do, found by looking through its body and the functions it calls.
#ifndef HEADRACE_TENSORFLOW_FUNCTION_EFFECTS_H_
#define HEADRACE_TENSORFLOW_FUNCTION_EFFECTS_H_

#include <map>
#include <set>
#include <string>
#include <vector>

#include "plan/graph.h"

namespace tensorflow {
class AttrValue;
class FunctionDef;
class FunctionLibraryDefinition;
class NodeDef;
}  // namespace tensorflow

namespace headrace {

// Positions are those of the function's parameters; only resource parameters are followed.
struct FunctionEffects {
  // Why a call is not pure, whatever is passed in: kNone if it is. Reads of tables and variables
  // that are passed in do not count; the caller knows what they are.
  plan::ReasonCode code = plan::ReasonCode::kNone;
  std::string text;  // a clause: "calls 'f', in which 'node' ..."

  bool has_source = false;         // consumes an element each time it runs
  bool has_hidden_source = false;  // consumes one inside a conditional or a loop
  bool has_assert = false;
  std::set<int> elements_read;  // of iterators, queues and readers
  std::set<int> table_reads;
  std::set<int> variable_reads;
  std::set<int> other_uses;      // in a way that may change the resource, or hands it on
  std::set<int> iterators_made;  // (re)initialized
  std::set<int> iterators_saved;

  bool pure() const { return code == plan::ReasonCode::kNone; }
};

// The functions that `node` runs in the step, with the position of each one's first parameter among
// the node's data inputs (1 for the branches of an If, whose input 0 is the condition). Not those
// of datasets, nor those that make a resource (OneShotIterator).
struct CalledFunction {
  std::string name;
  int first_input = 0;
};
std::vector<CalledFunction> CalledFunctions(const tensorflow::NodeDef& node,
                                            const tensorflow::FunctionLibraryDefinition& library);

// Analyses each function once. Ownership: keeps a pointer to the library, which must outlive it and
// stay as it is. Not thread-safe. Recursive functions count as not pure.
class FunctionAnalyzer {
 public:
  explicit FunctionAnalyzer(const tensorflow::FunctionLibraryDefinition* library);

  const FunctionEffects& Of(const std::string& function);
  // Of everything that `node` runs, with positions among the node's inputs; nothing for a node that
  // runs no function.
  FunctionEffects OfNode(const tensorflow::NodeDef& node, int num_inputs);
  bool RunsFunctions(const tensorflow::NodeDef& node) const;
  // True if the functions of a dataset, which run when it is read, only read the variables and
  // tables that they are given.
  bool OnlyReads(const tensorflow::NodeDef& dataset);
  bool IsFunction(const std::string& op) const;

 private:
  FunctionEffects Analyze(const tensorflow::FunctionDef& function);

  const tensorflow::FunctionLibraryDefinition* const library_;
  std::map<std::string, FunctionEffects> known_;
  std::set<std::string> open_;  // being analysed
  FunctionEffects recursive_;   // of the last call found to be recursive
};

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_FUNCTION_EFFECTS_H_

// What each node may be, judged by its own traits and by its inputs only.
#ifndef HEADRACE_PLAN_CLASSIFY_H_
#define HEADRACE_PLAN_CLASSIFY_H_

#include <vector>

#include "plan/staging.h"

namespace headrace::plan {

// Sets role, block, deps and device of every node, in topological order.
class Classifier {
 public:
  explicit Classifier(Staging& staging) : s_(staging), index_(staging.index()) {}
  void Run();

 private:
  enum class InputKind { kConstant, kStaged, kBlocked };

  void FindDead();
  void FindSecondReads();
  // Everything that depends, over any edges, on a source or on a target node.
  void FindTainted();
  // Everything that a tf.staged mark needs.
  void FindNeededByMarks();

  void Classify(int n);
  void ClassifyHandle(int n);
  // A reason that lies in the node alone.
  Block OwnBlock(int n) const;
  bool HasUnusableRef(int n) const;
  // Scans the inputs; kBlocked sets the node's block.
  InputKind ScanInputs(int n);
  bool MergeInput(int n, int input, InputKind& kind);
  void SetBlock(int n, ReasonCode code, int other = -1) { s_.states_[n].block = {code, other}; }

  Staging& s_;
  const GraphIndex& index_;
  std::vector<int> second_read_;  // another source of the same resource, or -1
  std::vector<int> tainted_by_;   // a source or target that it depends on, or -1
  std::vector<bool> needed_by_mark_;
  bool any_mark_ = false;
};

}  // namespace headrace::plan

#endif  // HEADRACE_PLAN_CLASSIFY_H_

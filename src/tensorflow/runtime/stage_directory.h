// Finds the stages of this process by their call node and by their tag.
#ifndef HEADRACE_TENSORFLOW_RUNTIME_STAGE_DIRECTORY_H_
#define HEADRACE_TENSORFLOW_RUNTIME_STAGE_DIRECTORY_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "stage/stage.h"
#include "tensorflow/runtime/stage_builder.h"

namespace headrace {

// Ownership: knows stages without keeping them alive; the kernels own them.
// Thread safety: every method may run concurrently.
class StageDirectory {
 public:
  static StageDirectory& Get();

  // `key` names a stage within the process: session, call node and handles. `make` runs under the
  // directory's lock, so that two kernels of one call share a stage.
  absl::Status FindOrMake(const std::string& key,
                          const std::function<absl::Status(BuiltStage*)>& make, BuiltStage* built);

  // Those with `tag`, or all if it is empty, in order of their keys.
  std::vector<std::shared_ptr<stage::Stage>> Tagged(const std::string& tag);

 private:
  StageDirectory() = default;
};

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_RUNTIME_STAGE_DIRECTORY_H_

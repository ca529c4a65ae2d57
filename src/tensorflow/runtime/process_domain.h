// The one stage::Domain of this process, and the stages that live in it.
#ifndef HEADRACE_TENSORFLOW_RUNTIME_PROCESS_DOMAIN_H_
#define HEADRACE_TENSORFLOW_RUNTIME_PROCESS_DOMAIN_H_

#include <memory>
#include <string>
#include <vector>

#include "stage/domain.h"
#include "stage/stage.h"

namespace headrace {

// Exists as long as somebody holds it; its watching thread ends with it. Logs to TensorFlow's log.
std::shared_ptr<stage::Domain> ProcessDomain();

// Knows the live stages without keeping them alive.
// Thread safety: every method may run concurrently.
class StageDirectory {
 public:
  static StageDirectory& Get();

  // `key` names the stage within the process: session, call node and handles. An entry whose stage
  // is gone is replaced.
  std::shared_ptr<stage::Stage> Find(const std::string& key);
  void Add(const std::string& key, const std::shared_ptr<stage::Stage>& stage);

  // Those with `tag`, or all if it is empty, in order of their keys.
  std::vector<std::shared_ptr<stage::Stage>> Tagged(const std::string& tag);

 private:
  StageDirectory() = default;
};

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_RUNTIME_PROCESS_DOMAIN_H_

#include "tensorflow/runtime/process_domain.h"

#include <mutex>
#include <utility>

#include "absl/log/log.h"
#include "stage/stage.h"

namespace headrace {
std::shared_ptr<stage::Domain> ProcessDomain() {
  static std::mutex* const mu = new std::mutex;
  static auto* const current = new std::weak_ptr<stage::Domain>;
  std::lock_guard<std::mutex> lock(*mu);
  std::shared_ptr<stage::Domain> domain = current->lock();
  if (domain == nullptr) {
    stage::Domain::Options options;
    options.log = [](const std::string& line) { LOG(WARNING) << "Headrace: " << line; };
    domain = std::make_shared<stage::Domain>(std::move(options));
    *current = domain;
  }
  return domain;
}

}  // namespace headrace

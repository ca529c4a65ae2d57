// What tests of C++ sessions share.
#ifndef HEADRACE_TESTS_CPP_SESSION_TESTING_H_
#define HEADRACE_TESTS_CPP_SESSION_TESTING_H_

#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "tensorflow/c_api.h"
#include "tensorflow/core/protobuf/config.pb.h"
#include "tensorflow/core/protobuf/rewriter_config.pb.h"
#include "tensorflow/core/public/session_options.h"
#include "tensorflow/stage_options.h"

namespace headrace {

// Options that stage with this capacity and number of threads. `tag` names the stages in
// headrace_stats.
inline tensorflow::SessionOptions StagedOptions(int capacity, int num_threads,
                                                const std::string& tag) {
  tensorflow::SessionOptions options;
  // A C++ session refuses Extend() otherwise.
  options.config.mutable_experimental()->set_disable_optimize_for_static_graph(true);
  auto* carrier =
      options.config.mutable_graph_options()->mutable_rewrite_options()->add_custom_optimizers();
  carrier->set_name(kCarrierName);
  auto& values = *carrier->mutable_parameter_map();
  values["capacity"].set_i(capacity);
  values["num_threads"].set_i(num_threads);
  values["tag"].set_s(tag);
  return options;
}

inline nlohmann::json StatsOf(const std::string& tag) {
  char* text = headrace_stats(tag.c_str());
  nlohmann::json stages = nlohmann::json::parse(text)["stages"];
  headrace_free(text);
  return stages;
}

// Polls a condition of other threads; fails the test rather than hang.
template <typename Condition>
::testing::AssertionResult Eventually(const Condition& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline)
      return ::testing::AssertionFailure() << "not in 30 s";
    std::this_thread::yield();
  }
  return ::testing::AssertionSuccess();
}

}  // namespace headrace

#endif  // HEADRACE_TESTS_CPP_SESSION_TESTING_H_

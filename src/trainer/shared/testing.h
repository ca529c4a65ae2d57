// A cluster within one process, for tests: TensorFlow's servers share nothing but the address
// space.
#ifndef HEADRACE_TRAINER_SHARED_TESTING_H_
#define HEADRACE_TRAINER_SHARED_TESTING_H_

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tensorflow/core/public/session.h"
#include "trainer/cluster.h"

namespace headrace::trainer {

inline std::vector<std::string> StartServers(int count) {
  std::vector<std::string> addresses(count);
  for (std::string& address : addresses) {
    const Status status = StartServer("127.0.0.1", 0, &address);
    if (!status.ok()) {
      std::cerr << status.ToString() << std::endl;
      std::abort();
    }
  }
  return addresses;
}

inline std::unique_ptr<Cluster> JoinCluster(const std::vector<std::string>& servers,
                                            std::uint64_t number) {
  std::unique_ptr<Cluster> cluster;
  const Status status = Cluster::Join(servers, number, std::chrono::seconds(30), &cluster);
  if (!status.ok()) {
    std::cerr << status.ToString() << std::endl;
    std::abort();
  }
  return cluster;
}

}  // namespace headrace::trainer

#endif  // HEADRACE_TRAINER_SHARED_TESTING_H_

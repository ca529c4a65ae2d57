// A small training graph over a range of numbers, for tests of C++ sessions.
#ifndef HEADRACE_TESTS_CPP_COUNTING_GRAPH_H_
#define HEADRACE_TESTS_CPP_COUNTING_GRAPH_H_

#include <cstdint>

#include "tensorflow/core/framework/graph.pb.h"

namespace headrace {

//   range ─▶ iterator ─▶ next ─▶ text ─▶ number ─┬─▶ out = number + total
//                                                └─▶ train: total += number
//
// Names: "init" initializes the iterator and the variable; "thread" is the id of the thread that
// ran it, after `out`. Only `next`, `text` and `number` may be staged.
tensorflow::GraphDef CountingGraph(std::int64_t elements);

// One more consumer of `number`: "twice" = number + number + total.
tensorflow::GraphDef TwiceExtension();

}  // namespace headrace

#endif  // HEADRACE_TESTS_CPP_COUNTING_GRAPH_H_

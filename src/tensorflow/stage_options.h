// What a user may ask of a stage, checked. docs/formats.md ("Options in a ConfigProto") has the
// table that these fields come from; options.h reads and writes it.
#ifndef HEADRACE_TENSORFLOW_STAGE_OPTIONS_H_
#define HEADRACE_TENSORFLOW_STAGE_OPTIONS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "stage/tuner.h"

namespace headrace {

// Name of the entry in graph_options.rewrite_options.custom_optimizers that carries the options.
inline constexpr char kCarrierName[] = "HeadraceStage";
// Newest version of the table that this library understands.
inline constexpr std::int64_t kOptionsVersion = 1;

// A thread pool that stages may share, as set up on the ConfigProto. 0 threads = one per core.
struct StageThreadPool {
  std::string name;  // becomes the threads' name; pools of equal name in a process are one
  int inter_op_threads = 0;
  int intra_op_threads = 0;
};

// Plain data; a value made by options.h satisfies every range below.
struct StageOptions {
  bool smart = true;  // grow the stage as far as legal; false: only up to tf.staged marks
  // Finished results that may wait, >= 0 or stage::kAutotune. More memory, older data. 0: nothing
  // runs ahead, reads and body run in the step.
  std::int64_t capacity = stage::kAutotune;
  // That run the body, >= 1 or stage::kAutotune. Each may hold one more element.
  int num_threads = stage::kAutotune;
  int num_clients = 1;                   // >= 1: consumers that take at the same time
  std::int64_t timeout_millis = 300000;  // >= 0: longest wait of a take without progress; 0 = never
  std::vector<Code> closed_codes = {Code::kOutOfRange};  // mean end of data
  std::vector<Code> ignored_codes;                       // whose element is skipped and counted
  std::int64_t ignored_limit =
      1000;  // >= 0: skips in a row until the error is delivered; 0 = no bound

  bool use_stage_subgraph_thread_pool = false;
  int stage_subgraph_thread_pool_id = 0;  // index into `thread_pools`, in range if the pool is used
  std::vector<StageThreadPool> thread_pools;

  bool stage_subgraph_on_cpu = false;
  int stage_subgraph_stream_id = 0;  // < max(streams, 1); 0 = the main graph's stream
  int streams = 0;                   // GPU streams asked for; 0 = multi-stream off

  bool largest_cut = false;          // cut == "largest"
  std::vector<std::string> exclude;  // names of ops that stay out
  std::int64_t budget_bytes = 0;     // >= 0: bytes held ahead, raw and staged; 0 = no bound
  std::string name;                  // prefix of the stages' names
  std::string tag;                   // groups stages for stats and close
  std::string dump_graph;            // where the pass writes the rewritten graph; "" = nowhere
};

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_STAGE_OPTIONS_H_

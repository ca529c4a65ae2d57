// Checkpoints: the model and the account of what it was trained on, as one unit.
//
// A checkpoint is a directory that appears by one rename, with everything in it on disk:
// `variables.index` and `variables.data-*` as TensorFlow writes them, and `manifest.json`
// (docs/formats.md, "Checkpoint"). Without a manifest it is none.
#ifndef HEADRACE_TRAINER_CHECKPOINT_H_
#define HEADRACE_TRAINER_CHECKPOINT_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"

namespace headrace::trainer {

struct Checkpoint {
  static constexpr int kVersion = 1;

  std::string directory;
  std::int64_t step = 0;
  std::string position;  // bytes; of the ledger's account

  std::string prefix() const { return directory + "/variables"; }
};

// Errors: NOT_FOUND no manifest; DATA_LOSS it is damaged (file and what is wrong); UNIMPLEMENTED a
// newer Headrace wrote it.
Status ReadCheckpoint(const std::string& directory, Checkpoint* checkpoint);

// Those in `directory`, by step; what was never finished is left out. NOT_FOUND if there is no such
// directory.
Status ListCheckpoints(const std::string& directory, std::vector<Checkpoint>* checkpoints);

// `save` writes the variables to the prefix that it is given. On return the checkpoint is durable,
// in place of one of the same name if there was one; on error nothing has changed. *bytes: its
// size.
using SaveVariables = std::function<Status(const std::string& prefix)>;
Status WriteCheckpoint(const Checkpoint& checkpoint, const SaveVariables& save,
                       std::int64_t* bytes);

// Leaves the newest `keep` (0: all) and what is not a checkpoint. Removes what unfinished writes
// left behind, too.
Status PruneCheckpoints(const std::string& directory, std::int64_t keep);

}  // namespace headrace::trainer

#endif  // HEADRACE_TRAINER_CHECKPOINT_H_

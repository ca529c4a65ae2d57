#include "trainer/op_library.h"

#include <memory>

#include "tensorflow/c/c_api.h"

namespace headrace::trainer {

Status LoadOpLibrary(const std::string& path) {
  std::unique_ptr<TF_Status, void (*)(TF_Status*)> status(TF_NewStatus(), TF_DeleteStatus);
  TF_LoadLibrary(path.c_str(), status.get());  // stays loaded: its ops may be in use until the end
  if (TF_GetCode(status.get()) == TF_OK) return Status();
  return Status(Code::kInvalidArgument,
                "the op library " + path + " cannot be loaded: " + TF_Message(status.get()));
}

}  // namespace headrace::trainer

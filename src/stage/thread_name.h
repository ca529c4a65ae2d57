// Names threads, so that `top -H`, /proc and traces say what runs.
#ifndef HEADRACE_STAGE_THREAD_NAME_H_
#define HEADRACE_STAGE_THREAD_NAME_H_

#include <string>

namespace headrace::stage {

// Names the calling thread; the kernel keeps the first 15 bytes.
void NameThisThread(const std::string& name);

}  // namespace headrace::stage

#endif  // HEADRACE_STAGE_THREAD_NAME_H_

// What the calling thread is called, and how it competes for processors.
#ifndef HEADRACE_STAGE_THIS_THREAD_H_
#define HEADRACE_STAGE_THIS_THREAD_H_

#include <string>

namespace headrace::stage {

// So that `top -H`, /proc and traces say what runs; the kernel keeps the first 15 bytes.
void NameThisThread(const std::string& name);

// From now on it runs where other threads leave a processor idle, and hardly otherwise (nice 19).
// A thread cannot take that back, and threads that it makes have the same.
void LetOthersRunFirst();

}  // namespace headrace::stage

#endif  // HEADRACE_STAGE_THIS_THREAD_H_

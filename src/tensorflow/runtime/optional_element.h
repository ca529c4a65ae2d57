// An iterator's element as the optional that IteratorGetNextAsOptional returns.
#ifndef HEADRACE_TENSORFLOW_RUNTIME_OPTIONAL_ELEMENT_H_
#define HEADRACE_TENSORFLOW_RUNTIME_OPTIONAL_ELEMENT_H_

#include "stage/element.h"

namespace headrace {

// The end of data becomes the optional without value; other errors stay errors.
stage::ReadResult AsOptional(const stage::ReadResult& read);

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_RUNTIME_OPTIONAL_ELEMENT_H_

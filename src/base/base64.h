// Bytes in JSON: base64 with padding (RFC 4648, section 4).
#ifndef HEADRACE_BASE_BASE64_H_
#define HEADRACE_BASE_BASE64_H_

#include <string>
#include <string_view>

namespace headrace {

std::string EncodeBase64(std::string_view bytes);
// False, with *bytes unchanged, if `text` is no base64; line breaks are not accepted.
bool DecodeBase64(std::string_view text, std::string* bytes);

}  // namespace headrace

#endif  // HEADRACE_BASE_BASE64_H_

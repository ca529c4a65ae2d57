#include "base/base64.h"

#include <gtest/gtest.h>

namespace headrace {
namespace {

// The examples of RFC 4648, section 10.
TEST(Base64Test, AsInTheRfc) {
  const std::pair<std::string, std::string> examples[] = {{"", ""},
                                                          {"f", "Zg=="},
                                                          {"fo", "Zm8="},
                                                          {"foo", "Zm9v"},
                                                          {"foob", "Zm9vYg=="},
                                                          {"fooba", "Zm9vYmE="},
                                                          {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : examples) {
    EXPECT_EQ(EncodeBase64(bytes), text);
    std::string decoded = "before";
    EXPECT_TRUE(DecodeBase64(text, &decoded)) << text;
    EXPECT_EQ(decoded, bytes);
  }
}

TEST(Base64Test, EveryByteAndLength) {
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    bytes.push_back(static_cast<char>(i * 7));
    std::string decoded;
    ASSERT_TRUE(DecodeBase64(EncodeBase64(bytes), &decoded));
    ASSERT_EQ(decoded, bytes);
  }
}

TEST(Base64Test, RefusesWhatIsNone) {
  std::string decoded = "before";
  for (const char* text : {"Z", "Zg=", "Zg", "====", "Zg==\n", "Z===", "Zm9v!mFy", "Zg==Zg=="}) {
    EXPECT_FALSE(DecodeBase64(text, &decoded)) << text;
  }
  EXPECT_EQ(decoded, "before");
}

}  // namespace
}  // namespace headrace

#include "record/output_file.h"

#include <fcntl.h>
#include <unistd.h>

#include "record/testing.h"

namespace headrace::record::testing {
namespace {

using OutputFileTest = RecordTest;

TEST_F(OutputFileTest, AppearsWhenItIsCommitted) {
  std::unique_ptr<OutputFile> file;
  ASSERT_TRUE(OutputFile::Create(Path("a"), &file).ok());
  ASSERT_TRUE(file->Append("small").ok());
  ASSERT_TRUE(file->Append(std::string(300000, 'b')).ok());
  ASSERT_TRUE(file->Append("end").ok());
  EXPECT_FALSE(std::filesystem::exists(Path("a")));
  ASSERT_TRUE(file->Commit(/*sync=*/true).ok());
  EXPECT_EQ(Contents(Path("a")), "small" + std::string(300000, 'b') + "end");
  EXPECT_EQ(file->bytes(), 300008u);
  EXPECT_EQ(file->Commit(false).code(), Code::kFailedPrecondition);
  EXPECT_EQ(FilesLeft(), std::vector<std::string>{"a"});
}

TEST_F(OutputFileTest, LeavesNothingUnlessCommitted) {
  std::unique_ptr<OutputFile> file;
  WriteBytes(Path("a"), "old");
  ASSERT_TRUE(OutputFile::Create(Path("a"), &file).ok());
  ASSERT_TRUE(file->Append("new").ok());
  EXPECT_EQ(FilesLeft().size(), 2u);
  file.reset();
  EXPECT_EQ(FilesLeft(), std::vector<std::string>{"a"});
  EXPECT_EQ(Contents(Path("a")), "old");
}

TEST_F(OutputFileTest, AFullDiskIsNamedAndLeavesNothing) {
  std::unique_ptr<OutputFile> file;
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full";
  // The only way to a full disk without mounting one: the file under its other name is replaced.
  ASSERT_TRUE(OutputFile::Create(Path("a"), &file).ok());
  const std::string other = Path(FilesLeft().at(0));
  const int full = ::open("/dev/full", O_WRONLY);
  ASSERT_GE(full, 0);
  for (int fd = 3; fd < 64; ++fd) {
    std::error_code error;
    if (std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), error) == other) {
      ASSERT_GE(::dup2(full, fd), 0);
    }
  }
  ::close(full);
  EXPECT_TRUE(file->Append("small").ok());
  const Status status = file->Commit(false);
  EXPECT_EQ(status.code(), Code::kResourceExhausted);
  EXPECT_NE(status.message().find(Path("a") + ": writing: No space left"), std::string::npos);
  EXPECT_FALSE(file->Append("more").ok());
  EXPECT_FALSE(file->Commit(false).ok());
  file.reset();
  EXPECT_TRUE(FilesLeft().empty());
}

}  // namespace
}  // namespace headrace::record::testing

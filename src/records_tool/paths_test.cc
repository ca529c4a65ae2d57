#include "records_tool/paths.h"

#include <sys/stat.h>

#include "record/testing.h"

namespace headrace::records_tool {
namespace {

using record::testing::WriteBytes;

class PathsTest : public record::testing::RecordTest {
 protected:
  PathsTest() {
    std::filesystem::create_directories(folder_ / "sub" / "deep");
    std::filesystem::create_directories(folder_ / ".git");
    std::filesystem::create_directories(folder_ / "out.12-0.hrpart");
    for (const char* name : {"b", "a", "sub/z", "sub/deep/y", ".git/x", ".hidden", "a.hridx",
                             "c.77-3.hrpart", "out.12-0.hrpart/part-00000.txt"}) {
      WriteBytes(Path(name), "1\n");
    }
    root_ = std::filesystem::canonical(folder_);
  }
  // Relative to the test's folder.
  std::vector<std::string> Resolve(const std::vector<std::string>& names) {
    std::vector<std::string> paths;
    for (const std::string& name : names)
      paths.push_back(name.empty() ? folder_.string() : Path(name));
    std::vector<std::string> files;
    failures_ = ResolvePaths(paths, &files);
    for (std::string& file : files)
      file = std::filesystem::path(file).lexically_relative(root_).string();
    return files;
  }
  Code OnlyFailure() { return failures_.size() == 1 ? failures_[0].code() : Code::kOk; }

  std::filesystem::path root_;
  std::vector<Status> failures_;
};

using Names = std::vector<std::string>;

TEST_F(PathsTest, FoldersAreListedInOrderWithoutWhatIsNoData) {
  EXPECT_EQ(Resolve({""}), (Names{"a", "b", "sub/deep/y", "sub/z"}));
  EXPECT_TRUE(failures_.empty());
}

TEST_F(PathsTest, ArgumentsKeepTheirOrder) {
  EXPECT_EQ(Resolve({"sub/z", "b", "a"}), (Names{"sub/z", "b", "a"}));
  EXPECT_EQ(Resolve({"?", "s*/z"}), (Names{"a", "b", "sub/z"}));
  EXPECT_TRUE(failures_.empty());
}

TEST_F(PathsTest, WhatIsNamedIsTakenEvenIfAFolderWouldLeaveItOut) {
  EXPECT_EQ(Resolve({".hidden", "c.77-3.hrpart"}), (Names{".hidden", "c.77-3.hrpart"}));
}

TEST_F(PathsTest, AFileHasOnePath) {
  std::filesystem::create_directory_symlink(folder_ / "sub", folder_ / "link");
  std::filesystem::create_symlink(folder_ / "a", folder_ / "sub" / "other");
  EXPECT_EQ(Resolve({"link/z", "sub/../a", "sub/other"}), (Names{"sub/z", "a", "sub/other"}));
  EXPECT_TRUE(failures_.empty());
  Resolve({"link/z", "sub/deep/../z"});
  EXPECT_EQ(OnlyFailure(), Code::kInvalidArgument);
}

TEST_F(PathsTest, WhatCannotBeUsedIsSaid) {
  for (const auto& [name, code] : {std::pair{"none", Code::kNotFound},
                                   {"none*", Code::kNotFound},
                                   {"*.hridx", Code::kNotFound},
                                   {"a.hridx", Code::kInvalidArgument},
                                   {".git/none", Code::kNotFound},
                                   {"a/b", Code::kNotFound}}) {
    EXPECT_TRUE(Resolve({name}).empty());
    EXPECT_EQ(OnlyFailure(), code) << name;
  }
  std::vector<std::string> files;
  EXPECT_EQ(ResolvePaths({"s3://bucket/x"}, &files).at(0).code(), Code::kUnimplemented);
  ASSERT_EQ(::mkfifo(Path("pipe").c_str(), 0600), 0);
  EXPECT_EQ(Resolve({""}), (Names{"a", "b", "sub/deep/y", "sub/z"}));
  Resolve({"pipe", "none", "a"});
  EXPECT_EQ(failures_.size(), 2u);
  WriteBytes(Path("\xff"), "1\n");
  Resolve({"\xff"});
  EXPECT_EQ(OnlyFailure(), Code::kInvalidArgument);
  std::filesystem::create_directory_symlink(folder_, folder_ / "loop");
  Resolve({""});
  EXPECT_EQ(OnlyFailure(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace headrace::records_tool

#include "worker/socket_folder.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>

namespace headrace::worker {
namespace {

namespace fs = std::filesystem;

class SocketFolderTest : public ::testing::Test {
 protected:
  SocketFolderTest() {
    fs::remove_all(base_);
    fs::create_directories(base_);
  }
  ~SocketFolderTest() override { fs::remove_all(base_); }

  // The folder of a process that made one and was killed.
  std::string Abandoned() const {
    int told[2];
    EXPECT_EQ(pipe(told), 0);
    const pid_t child = fork();
    if (child == 0) {
      SocketFolder folder;
      const bool made = folder.Make(base_).ok();
      std::ofstream(folder.path() + "/worker-0.sock") << "what a socket is to a folder";
      const std::string path = made ? folder.path() : "";
      if (write(told[1], path.data(), path.size()) < 0) _exit(1);
      raise(SIGKILL);
    }
    close(told[1]);
    char path[4096];
    const ssize_t size = read(told[0], path, sizeof(path));
    close(told[0]);
    waitpid(child, nullptr, 0);
    return size > 0 ? std::string(path, static_cast<std::size_t>(size)) : "";
  }

  const std::string base_ = ::testing::TempDir() + "socket-folders-" + std::to_string(getpid());
};

TEST_F(SocketFolderTest, ItGoesWithItsOwner) {
  std::string path;
  {
    SocketFolder folder;
    ASSERT_TRUE(folder.Make(base_).ok());
    path = folder.path();
    EXPECT_TRUE(fs::is_directory(path));
  }
  EXPECT_FALSE(fs::exists(path));
}

TEST_F(SocketFolderTest, TheNextOneRemovesThoseOfKilledAgents) {
  const std::string left = Abandoned();
  ASSERT_TRUE(fs::is_directory(left)) << left;
  SocketFolder first, second;
  ASSERT_TRUE(first.Make(base_).ok());
  EXPECT_FALSE(fs::exists(left));
  ASSERT_TRUE(second.Make(base_).ok());
  EXPECT_TRUE(fs::is_directory(first.path())) << "its agent runs";
}

TEST_F(SocketFolderTest, WhatIsNoAgentsStays) {
  fs::create_directories(base_ + "/headrace-notes");
  fs::create_directories(base_ + "/others");
  std::ofstream(base_ + "/others/lock") << "";
  std::ofstream(base_ + "/headrace-file") << "";
  SocketFolder folder;
  ASSERT_TRUE(folder.Make(base_).ok());
  EXPECT_TRUE(fs::exists(base_ + "/headrace-notes"));
  EXPECT_TRUE(fs::exists(base_ + "/others/lock"));
  EXPECT_TRUE(fs::exists(base_ + "/headrace-file"));
}

TEST_F(SocketFolderTest, APlaceThatIsNotThereIsNamed) {
  SocketFolder folder;
  const Status status = folder.Make(base_ + "/none");
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_NE(status.message().find("/none: No such file or directory; give one with --socket_dir"),
            std::string::npos)
      << status.message();
}

}  // namespace
}  // namespace headrace::worker

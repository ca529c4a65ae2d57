// What the journal's tests share.
#ifndef HEADRACE_JOURNAL_TESTING_H_
#define HEADRACE_JOURNAL_TESTING_H_

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "journal/journal.h"

namespace headrace::journal::testing {

inline std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline void WriteFile(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

// What Open() makes of a file.
struct Opened {
  Status status;
  std::string snapshot;
  std::vector<std::string> events;
};

inline Opened OpenAndReplay(const std::string& path, const std::string& job = "job") {
  Opened opened;
  std::unique_ptr<Journal> journal;
  opened.status = Journal::Open(path, job,
                                {[&](std::string_view state) {
                                   opened.snapshot = std::string(state);
                                   return Status();
                                 },
                                 [&](std::uint64_t, std::string_view event) {
                                   opened.events.emplace_back(event);
                                   return Status();
                                 }},
                                &journal);
  return opened;
}

class Test : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::path(::testing::TempDir()) /
              (std::string("headrace_journal_") + info->test_suite_name() + "_" + info->name() +
               "_" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return (folder_ / name).string(); }

  std::unique_ptr<Journal> OpenJournal(const std::string& name = "journal") const {
    std::unique_ptr<Journal> journal;
    const Status status = Journal::Open(Path(name), "job", {}, &journal);
    if (!status.ok()) throw std::runtime_error(status.ToString());  // fails the test
    return journal;
  }

  // Appends `text` alone: one transaction.
  static void AppendOne(Journal* journal, const std::string& text) {
    journal->Append(text, nullptr);
    const Status status = journal->Flush();
    ASSERT_TRUE(status.ok()) << status.ToString();
  }

  // What the disk holds while `from` is open: what a crash at this moment would leave.
  void CopyAsCrashed(const std::string& from, const std::string& to) const {
    for (const char* suffix : {"", "-wal"}) {
      std::filesystem::remove(Path(to + suffix));
      if (std::filesystem::exists(Path(from + suffix))) {
        std::filesystem::copy_file(Path(from + suffix), Path(to + suffix));
      }
    }
  }

  std::filesystem::path folder_;
};

}  // namespace headrace::journal::testing

#endif  // HEADRACE_JOURNAL_TESTING_H_

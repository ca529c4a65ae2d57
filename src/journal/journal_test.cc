#include "journal/journal.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "journal/testing.h"

namespace headrace::journal::testing {
namespace {

using Texts = std::vector<std::string>;

class JournalTest : public Test {};

TEST_F(JournalTest, WhatWasAppendedIsReplayedInOrder) {
  {
    const auto journal = OpenJournal();
    EXPECT_EQ(journal->Append("a", nullptr), 1u);
    EXPECT_EQ(journal->Append("", nullptr), 2u);
    EXPECT_EQ(journal->Append(std::string("b\0c", 3), nullptr), 3u);
  }
  const Opened opened = OpenAndReplay(Path("journal"));
  ASSERT_TRUE(opened.status.ok()) << opened.status.ToString();
  EXPECT_EQ(opened.events, (Texts{"a", "", std::string("b\0c", 3)}));
  const auto journal = OpenJournal();
  EXPECT_EQ(journal->last_sequence(), 3u);
  EXPECT_EQ(journal->Append("d", nullptr), 4u);
}

TEST_F(JournalTest, DurableMeansOnDisk) {
  const auto journal = OpenJournal();
  Texts on_disk;
  journal->Append("a", [&](const Status& status) {
    EXPECT_TRUE(status.ok());
    CopyAsCrashed("journal", "crashed");
    on_disk = OpenAndReplay(Path("crashed")).events;
  });
  ASSERT_TRUE(journal->Flush().ok());
  EXPECT_EQ(on_disk, Texts{"a"});
}

TEST_F(JournalTest, ManyWritersShareSyncsAndKeepTheirOrder) {
  constexpr int kThreads = 8, kEvents = 200;
  {
    const auto journal = OpenJournal();
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < kEvents; ++i) {
          journal->Append(std::to_string(t) + "/" + std::to_string(i), [](const Status&) {});
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    ASSERT_TRUE(journal->Flush().ok());
    EXPECT_EQ(journal->figures().events, std::uint64_t{kThreads * kEvents});
    EXPECT_LT(journal->figures().commits, std::uint64_t{kThreads * kEvents});
  }
  std::vector<int> next(kThreads, 0);
  for (const std::string& event : OpenAndReplay(Path("journal")).events) {
    const int thread = event[0] - '0';
    EXPECT_EQ(event.substr(2), std::to_string(next[thread]++));
  }
  EXPECT_EQ(next, std::vector<int>(kThreads, kEvents));
}

TEST_F(JournalTest, CallbacksComeInOrderAndOnce) {
  std::vector<int> called;
  {
    const auto journal = OpenJournal();
    for (int i = 0; i < 500; ++i) {
      journal->Append("x", [&called, i](const Status&) { called.push_back(i); });
    }
  }
  ASSERT_EQ(called.size(), 500u);
  for (int i = 0; i < 500; ++i) EXPECT_EQ(called[i], i);
}

TEST_F(JournalTest, ASnapshotStandsForTheEventsBeforeIt) {
  {
    const auto journal = OpenJournal();
    AppendOne(journal.get(), "a");
    AppendOne(journal.get(), "b");
    ASSERT_TRUE(journal->Compact("state after b").ok());
    EXPECT_EQ(journal->Append("c", nullptr), 3u);
  }
  Opened opened = OpenAndReplay(Path("journal"));
  ASSERT_TRUE(opened.status.ok()) << opened.status.ToString();
  EXPECT_EQ(opened.snapshot, "state after b");
  EXPECT_EQ(opened.events, Texts{"c"});
  {
    const auto journal = OpenJournal();
    ASSERT_TRUE(journal->Compact("").ok());
  }
  opened = OpenAndReplay(Path("journal"));
  EXPECT_EQ(opened.snapshot, "");
  EXPECT_TRUE(opened.events.empty());
  EXPECT_EQ(OpenJournal()->last_sequence(), 3u);
}

TEST_F(JournalTest, VisitorsCanEndTheReplay) {
  {
    const auto journal = OpenJournal();
    AppendOne(journal.get(), "a");
    AppendOne(journal.get(), "b");
  }
  int seen = 0;
  const auto refuse = [&](std::uint64_t, std::string_view) {
    ++seen;
    return Status(Code::kInvalidArgument, "no event of mine");
  };
  std::unique_ptr<Journal> journal;
  const Status status = Journal::Open(Path("journal"), "job", {nullptr, refuse}, &journal);
  EXPECT_EQ(journal, nullptr);
  EXPECT_EQ(status.ToString(), "INVALID_ARGUMENT: no event of mine");
  EXPECT_EQ(seen, 1);
}

TEST_F(JournalTest, OneMasterAtATime) {
  const auto journal = OpenJournal();
  const Opened second = OpenAndReplay(Path("journal"));
  EXPECT_EQ(second.status.code(), Code::kAlreadyExists) << second.status.ToString();
  EXPECT_NE(second.status.message().find("another process"), std::string::npos);
}

TEST_F(JournalTest, OneJobAJournal) {
  OpenJournal().reset();
  const Opened other = OpenAndReplay(Path("journal"), "other");
  EXPECT_EQ(other.status.code(), Code::kFailedPrecondition);
  EXPECT_NE(other.status.message().find("is the journal of job 'job', not of 'other'"),
            std::string::npos)
      << other.status.ToString();
}

TEST_F(JournalTest, WhatIsNoJournal) {
  WriteFile(Path("text"), "This is a letter to my grandmother, and it is no database at all.\n");
  EXPECT_EQ(OpenAndReplay(Path("text")).status.code(), Code::kInvalidArgument);
  std::filesystem::create_directory(Path("folder"));
  EXPECT_EQ(OpenAndReplay(Path("folder")).status.code(), Code::kPermissionDenied);
  EXPECT_EQ(OpenAndReplay(Path("none/journal")).status.code(), Code::kPermissionDenied);
}

// Runs `body` in a process of its own, whose limits and rights it may change; its exit status.
int InChild(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST_F(JournalTest, AFullDiskFailsEveryLaterEventAndCorruptsNothing) {
  { AppendOne(OpenJournal().get(), "before"); }
  const std::string path = Path("journal");
  const int exit = InChild([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const struct rlimit limit = {200'000, 200'000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    std::unique_ptr<Journal> journal;
    if (!Journal::Open(path, "job", {}, &journal).ok()) return 10;
    Status status;
    int durable = 0;
    for (int i = 0; i < 1000 && status.ok(); ++i) {
      journal->Append(std::string(5000, 'x'), [&durable](const Status& s) { durable += s.ok(); });
      status = journal->Flush();
    }
    if (status.code() != Code::kResourceExhausted && status.code() != Code::kUnavailable) return 11;
    Status later;
    journal->Append("later", [&later](const Status& s) { later = s; });
    if (journal->Flush().ok() || later.ok()) return 12;
    if (journal->Compact("state").ok()) return 13;
    return durable;
  });
  ASSERT_GT(exit, 13);
  ASSERT_LT(exit, 100);
  const Opened opened = OpenAndReplay(path);
  ASSERT_TRUE(opened.status.ok()) << opened.status.ToString();
  EXPECT_EQ(opened.events.size(), static_cast<std::size_t>(exit) + 1);
  EXPECT_EQ(opened.events[0], "before");
}

TEST_F(JournalTest, AJournalThatMayNotBeWritten) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become somebody else";
  { AppendOne(OpenJournal().get(), "before"); }
  ::chmod(Path("journal").c_str(), 0644);
  ::chmod(folder_.c_str(), 0755);
  const std::string path = Path("journal");
  const int exit = InChild([&] {
    if (::setuid(65534) != 0) return 1;
    return 10 + static_cast<int>(OpenAndReplay(path).status.code());
  });
  EXPECT_EQ(exit, 10 + static_cast<int>(Code::kPermissionDenied));
}

}  // namespace
}  // namespace headrace::journal::testing

// Files that are not as they were written: a torn tail is dropped, everything else is refused.
#include <sqlite3.h>

#include <random>

#include "base/testing.h"
#include "journal/testing.h"
#include "journal/wal_check.h"

namespace headrace::journal::testing {
namespace {

using Texts = std::vector<std::string>;

constexpr int kEvents = 40;

class DamageTest : public Test {
 protected:
  // A journal whose events all stand in the write-ahead log, each a transaction of its own, as a
  // crash leaves it.
  void MakeCrashed() {
    const auto journal = OpenJournal();
    for (int i = 0; i < kEvents; ++i) AppendOne(journal.get(), Event(i));
    CopyAsCrashed("journal", "crashed");
    file_ = ReadFile(Path("crashed"));
    wal_ = ReadFile(Path("crashed-wal"));
  }
  // A journal that was closed: all in the file.
  void MakeClosed() {
    {
      const auto journal = OpenJournal();
      for (int i = 0; i < kEvents; ++i) AppendOne(journal.get(), Event(i));
    }
    file_ = ReadFile(Path("journal"));
    ASSERT_FALSE(std::filesystem::exists(Path("journal-wal")));
  }
  static std::string Event(int i) { return "event " + std::to_string(i) + std::string(200, 'x'); }

  Opened OpenDamaged(const std::string& file, const std::string& wal) const {
    for (const char* suffix : {"-wal", "-journal", "-shm"}) {
      std::filesystem::remove(Path("damaged") + suffix);
    }
    WriteFile(Path("damaged"), file);
    if (!wal.empty()) WriteFile(Path("damaged-wal"), wal);
    return OpenAndReplay(Path("damaged"));
  }

  // The first events, all as they were written; how many.
  static std::size_t Prefix(const Texts& events) {
    for (std::size_t i = 0; i < events.size(); ++i) {
      EXPECT_EQ(events[i], Event(static_cast<int>(i)));
    }
    return events.size();
  }

  std::string file_, wal_;
};

TEST_F(DamageTest, ATailCutAnywhereLosesTheLastTransactionOnly) {
  MakeCrashed();
  ASSERT_GT(wal_.size(), 8192u);
  std::size_t last = kEvents, cuts = 0;
  const std::size_t step = headrace::testing::Scaled(1) > 1 ? 1 : 97;
  for (std::size_t cut = 1; cut <= 8192; cut += cut < 64 ? 1 : step, ++cuts) {
    const Opened opened = OpenDamaged(file_, wal_.substr(0, wal_.size() - cut));
    ASSERT_TRUE(opened.status.ok()) << cut << ": " << opened.status.ToString();
    const std::size_t left = Prefix(opened.events);
    ASSERT_LE(left, last) << cut;
    if (cut <= 4096 + 24) {
      ASSERT_EQ(left, kEvents - 1u) << cut;
    }
    last = left;
  }
  headrace::testing::Report("cuts", static_cast<double>(cuts));
}

TEST_F(DamageTest, GarbageBehindTheTailIsDropped) {
  MakeCrashed();
  std::mt19937 random(1);
  std::string garbage(9000, '\0');
  for (char& c : garbage) c = static_cast<char>(random());
  const Opened opened = OpenDamaged(file_, wal_ + garbage);
  ASSERT_TRUE(opened.status.ok()) << opened.status.ToString();
  EXPECT_EQ(Prefix(opened.events), kEvents);
}

TEST_F(DamageTest, DamageInTheMiddleOfTheLogIsRefusedWithItsOffset) {
  MakeCrashed();
  std::string damaged = wal_;
  const std::size_t frame = 24 + 4096, third = 32 + 3 * frame;
  damaged[third + 1000] = static_cast<char>(damaged[third + 1000] ^ 4);
  const Opened opened = OpenDamaged(file_, damaged);
  EXPECT_EQ(opened.status.code(), Code::kDataLoss) << opened.status.ToString();
  EXPECT_NE(
      opened.status.message().find("damaged-wal is damaged at offset " + std::to_string(third)),
      std::string::npos)
      << opened.status.ToString();
}

// No flipped bit may lead to a journal that opens and says something else, or less, than was
// acknowledged.
TEST_F(DamageTest, EveryFlippedBitOfTheLogIsFoundOrHarmless) {
  MakeCrashed();
  std::mt19937 random(2);
  int refused = 0;
  const std::int64_t flips = headrace::testing::Scaled(600);
  for (std::int64_t i = 0; i < flips; ++i) {
    std::string damaged = wal_;
    const std::size_t bit = random() % (damaged.size() * 8);
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    const Opened opened = OpenDamaged(file_, damaged);
    if (!opened.status.ok()) {
      EXPECT_EQ(opened.status.code(), Code::kDataLoss) << opened.status.ToString();
      ++refused;
      continue;
    }
    // The last transaction cannot be told from one that was never finished.
    ASSERT_GE(Prefix(opened.events), kEvents - 1u) << "bit " << bit;
  }
  EXPECT_GT(refused, flips * 8 / 10);
  headrace::testing::Report("flips", static_cast<double>(flips));
}

// The offset in the message; -1: it names none.
std::int64_t OffsetOf(const std::string& message) {
  const std::string before = "in the page at offset ";
  const std::size_t at = message.find(before);
  return at == std::string::npos ? -1 : std::stoll(message.substr(at + before.size()));
}

TEST_F(DamageTest, AnEventThatIsDamagedInAClosedFileIsNamedWithItsPage) {
  MakeClosed();
  for (const int number : {0, 7, 25, kEvents - 1}) {
    const std::size_t at = file_.find(Event(number).substr(0, 20)) + 30;
    std::string damaged = file_;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    const Opened opened = OpenDamaged(damaged, "");
    EXPECT_EQ(opened.status.code(), Code::kDataLoss);
    EXPECT_EQ(opened.status.message(),
              Path("damaged") + " is damaged: the checksum of event " + std::to_string(number + 1) +
                  " is wrong (in the page at offset " + std::to_string(at / 4096 * 4096) +
                  " of the file). Restore it, or start the job anew with another journal");
  }
}

// In a file of thousands of pages, in trees of more than one level, beside a snapshot.
TEST_F(DamageTest, ThePageOfAnEventOfALongJournal) {
  constexpr int kMany = 3000;
  {
    const auto journal = OpenJournal();
    for (int i = 0; i < 100; ++i) journal->Append("before", nullptr);
    ASSERT_TRUE(journal->Compact(std::string(9000, 's')).ok());
    for (int i = 0; i < kMany; ++i) {
      journal->Append("<" + std::to_string(i) + ">" + std::string(i % 5 == 0 ? 20000 : 900, 'x'),
                      nullptr);
    }
    ASSERT_TRUE(journal->Flush().ok());
  }
  file_ = ReadFile(Path("journal"));
  for (const int number : {3, 1000, 1001, 2500, kMany - 1}) {
    const std::size_t at = file_.find("<" + std::to_string(number) + ">");
    ASSERT_NE(at, std::string::npos);
    std::string damaged = file_;
    damaged[at] = '{';
    const Opened opened = OpenDamaged(damaged, "");
    EXPECT_EQ(OffsetOf(opened.status.message()), at / 4096 * 4096) << opened.status.ToString();
    EXPECT_NE(opened.status.message().find("event " + std::to_string(100 + number + 1) + " "),
              std::string::npos)
        << opened.status.ToString();
  }
  std::string damaged = file_;
  const std::size_t state = file_.find("ssssssss");
  damaged[state] = 't';
  EXPECT_NE(OpenDamaged(damaged, "").status.message().find("the snapshot's checksum is wrong (in"),
            std::string::npos);
}

TEST_F(DamageTest, EveryFlippedBitOfTheFileIsFoundOrHarmless) {
  MakeClosed();
  std::mt19937 random(3);
  const std::int64_t flips = headrace::testing::Scaled(600);
  int refused = 0, unnamed = 0, elsewhere = 0;
  for (std::int64_t i = 0; i < flips; ++i) {
    std::string damaged = file_;
    const std::size_t bit = random() % (damaged.size() * 8);
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    const Opened opened = OpenDamaged(damaged, "");
    if (!opened.status.ok()) {
      ++refused;
      const std::int64_t offset = OffsetOf(opened.status.message());
      if (offset < 0) {
        ++unnamed;
      } else if (offset != static_cast<std::int64_t>(bit / 8 / 4096 * 4096)) {
        ++elsewhere;
      }
      continue;
    }
    ASSERT_EQ(Prefix(opened.events), kEvents) << "bit " << bit;
  }
  EXPECT_GT(refused, flips / 10);
  headrace::testing::Report("flips", static_cast<double>(flips));
  EXPECT_LT(unnamed, refused / 10) << "without a page";
  // A page that refers to another wrongly may look right, the other not.
  EXPECT_LE(elsewhere, flips / 1000);
}

class TamperedTest : public DamageTest {
 protected:
  // Changes a closed journal by SQL: damage that SQLite itself cannot see.
  Opened OpenTampered(const std::string& sql) {
    MakeClosed();
    sqlite3* db = nullptr;
    EXPECT_EQ(sqlite3_open(Path("journal").c_str(), &db), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK);
    sqlite3_close(db);
    return OpenAndReplay(Path("journal"));
  }
};

TEST_F(TamperedTest, AnEventThatChanged) {
  const Opened opened = OpenTampered("UPDATE events SET event = 'other' WHERE sequence = 7");
  EXPECT_EQ(opened.status.code(), Code::kDataLoss);
  EXPECT_NE(opened.status.message().find("the checksum of event 7 is wrong"), std::string::npos);
}

TEST_F(TamperedTest, AnEventThatIsMissing) {
  const Opened opened = OpenTampered("DELETE FROM events WHERE sequence = 7");
  EXPECT_EQ(opened.status.code(), Code::kDataLoss);
  EXPECT_NE(opened.status.message().find("event 7 is missing"), std::string::npos);
}

TEST_F(TamperedTest, TwoEventsThatChangedPlaces) {
  const Opened opened = OpenTampered(
      "UPDATE events SET sequence = 1000 WHERE sequence = 7;"
      "UPDATE events SET sequence = 7 WHERE sequence = 8;"
      "UPDATE events SET sequence = 8 WHERE sequence = 1000");
  EXPECT_EQ(opened.status.code(), Code::kDataLoss);
}

TEST_F(TamperedTest, ANewerFormatIsRefusedByName) {
  const Opened opened = OpenTampered("UPDATE meta SET value = '2' WHERE key = 'format'");
  EXPECT_EQ(opened.status.code(), Code::kFailedPrecondition);
  EXPECT_NE(opened.status.message().find("journal format 2"), std::string::npos);
}

TEST_F(TamperedTest, AnotherProgramsFile) {
  const Opened opened = OpenTampered("PRAGMA application_id = 7");
  EXPECT_EQ(opened.status.code(), Code::kInvalidArgument) << opened.status.ToString();
}

}  // namespace
}  // namespace headrace::journal::testing

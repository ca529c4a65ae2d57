// What the journal holds, and that it leads to the same state again.
#include "master/state.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "ledger/codec.h"

namespace headrace::master {
namespace {

std::vector<Entry> Story() {
  ledger::CreateJob create;
  create.spec.files = {{"a.rec", 20}};
  create.spec.task_records = 10;
  create.now_ms = 7;
  ledger::Request request;
  request.worker = 2;
  request.request = 1;
  request.incarnation = 2;
  ledger::Report report;
  report.worker = 2;
  report.token = 1;
  report.acknowledged = {{{0, 10}, ledger::Outcome::kTrained, ""}};
  report.end = ledger::End::kFinished;
  return {ledger::Event(create),
          Started{8},
          Joined{1, "w-0", 11, "host", 100, 9},
          Left{1, "killed by signal 9 (KILL)", "", 10},
          Joined{2, "w-0", 12, "host", 101, 11},
          RestoreOrdered{2, 7, 12},
          Restored{2, "", 0, "", 12},
          ledger::Event(request),
          ledger::Event(report),
          SaveOrdered{5, 2, "/saved/a", "bytes", 3},
          HoldEnded{4},
          Saved{2, 5, "/saved/a", 3, 20, 1000, 13},
          Measured{1, 3, {{"accuracy", 0.5}, {"loss", 1.25}}},
          StopAsked{"enough", false},
          Closed{14},
          Fenced{9},
          DeliverOrdered{2, 15},
          ModelLost{16},
          Joined{3, "w-1", 13, "host", 102, 17},
          Attached{3}};
}

std::string Bytes(const State& state) {
  return state.Snapshot();
}

TEST(Entry, SurvivesItsBytes) {
  for (const Entry& entry : Story()) {
    const std::string bytes = Encode(entry);
    Entry decoded;
    const Status status = Decode(bytes, &decoded);
    ASSERT_TRUE(status.ok()) << status.ToString();
    EXPECT_EQ(decoded.index(), entry.index());
    EXPECT_EQ(Encode(decoded), bytes);
  }
}

TEST(Entry, BytesThatAreNoneAreRefused) {
  Entry entry;
  for (const Entry& whole : Story()) {
    const std::string bytes = Encode(whole);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_FALSE(Decode(bytes.substr(0, size), &entry).ok());
    }
    EXPECT_EQ(Decode(bytes + "x", &entry).code(), Code::kDataLoss);
  }
  EXPECT_EQ(Decode("\x82\x01", &entry).code(), Code::kUnimplemented);
  EXPECT_EQ(Decode("\x81\x63", &entry).code(), Code::kDataLoss);
}

TEST(State, ReplayAndSnapshotLeadToTheSame) {
  State live, replayed;
  ledger::Effects effects;
  bool changed = false;
  for (const Entry& entry : Story()) {
    ASSERT_TRUE(live.Apply(entry, &effects, &changed).ok());
    EXPECT_TRUE(changed);
    Entry decoded;
    ASSERT_TRUE(Decode(Encode(entry), &decoded).ok());
    ASSERT_TRUE(replayed.Apply(decoded, &effects, &changed).ok());
    State restored;
    const Status status = State::Restore(live.Snapshot(), &restored);
    ASSERT_TRUE(status.ok()) << status.ToString();
    EXPECT_EQ(Bytes(restored), Bytes(live));
    EXPECT_EQ(Bytes(replayed), Bytes(live));
  }
  EXPECT_EQ(live.slots().at("w-0").restarts, 1);
  EXPECT_EQ(live.slots().at("w-0").restart_ms, 1);
  EXPECT_EQ(live.slots().at("w-0").last_exit, "killed by signal 9 (KILL)");
  EXPECT_EQ(live.Find(2)->key, 12u);
  EXPECT_EQ(live.next_worker(), 4u);
  EXPECT_EQ(live.checkpoint().directory, "/saved/a");
  EXPECT_EQ(live.stop(), nullptr);
  EXPECT_EQ(live.ledger().Totals().trained, 10);
  EXPECT_EQ(live.generation(), 0);
  EXPECT_EQ(live.last_generation(), 7);
  EXPECT_EQ(live.fenced(), std::vector<std::uint64_t>{9});
  EXPECT_EQ(live.delivering().worker, 0u);
}

TEST(State, ASnapshotThatIsNoneIsRefused) {
  State state;
  EXPECT_EQ(State::Restore("", &state).code(), Code::kDataLoss);
  ledger::Encoder newer;
  newer(std::uint64_t{4});
  EXPECT_EQ(State::Restore(newer.bytes(), &state).code(), Code::kUnimplemented);
}

TEST(State, APositionOfAnotherStepIsRefused) {
  State state;
  ledger::Effects effects;
  bool changed = false;
  for (const Entry& entry : Story()) ASSERT_TRUE(state.Apply(entry, &effects, &changed).ok());
  ASSERT_TRUE(state.Apply(RestoreOrdered{2, 8, 20}, &effects, &changed).ok());
  Restored restored;
  restored.worker = 2;
  restored.position = ledger::Encode(state.ledger().TakePosition());
  restored.step = 99;
  EXPECT_EQ(state.Apply(restored, &effects, &changed).code(), Code::kInvalidArgument);
  EXPECT_FALSE(changed);
}

}  // namespace
}  // namespace headrace::master

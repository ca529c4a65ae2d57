#include "ledger/codec.h"

#include <gtest/gtest.h>

#include "ledger/events.h"
#include "ledger/testing.h"

namespace headrace::ledger {
namespace {

std::vector<Event> Samples() {
  CreateJob create;
  create.spec = testing::SmallJob();
  create.spec.evaluation_files = {{"eval", 7}};
  create.spec.seed = ~std::uint64_t{0};
  create.now_ms = -5;
  Report report;
  report.worker = 3;
  report.token = std::uint64_t{1} << 63;
  report.acknowledged = {{{1, 4}, Outcome::kDropped, "batch"}, {{4, 5}, Outcome::kFiltered, ""}};
  report.returned = {{5, 9}};
  report.repeated = {{9, 10}};
  report.end = End::kFailed;
  report.error = std::string("zero \0 byte", 11);
  report.culprit = INT64_MIN;
  report.metrics = {0.1, -1e300};
  RewindTo rewind;
  rewind.position.account.done.Add({0, 10});
  rewind.position.account.dropped["batch"].Add({2, 3});
  return {create,
          Join{1, "host", 2},
          Disconnect{1, 3},
          Request{1, 2, 3, 4, true, true, 5},
          Renew{1, {7, 8}, 9},
          report,
          Tick{10},
          Restart{11},
          Progress{12, 1, 13},
          PinEvaluation{1, 2, 14},
          rewind,
          LoseModel{15}};
}

TEST(Events, RoundTrip) {
  const std::vector<Event> samples = Samples();
  ASSERT_EQ(samples.size(), std::variant_size_v<Event>);
  for (const Event& event : samples) {
    const std::string bytes = Encode(event);
    Event read;
    ASSERT_TRUE(Decode(bytes, &read).ok()) << KindName(event);
    EXPECT_EQ(read.index(), event.index());
    EXPECT_EQ(Encode(read), bytes);
    EXPECT_EQ(TimeOf(read), TimeOf(event));
  }
  Event read;
  ASSERT_TRUE(Decode(Encode(samples[5]), &read).ok());
  const Report& report = std::get<Report>(read);
  EXPECT_EQ(report.returned, (Ranges{{5, 9}}));
  EXPECT_EQ(report.error.size(), 11u);
  EXPECT_EQ(report.culprit, INT64_MIN);
  EXPECT_EQ(report.metrics[1], -1e300);
  EXPECT_EQ(report.acknowledged[0].op, "batch");
}

TEST(Events, EveryTruncationIsRefused) {
  for (const Event& event : Samples()) {
    const std::string bytes = Encode(event);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      Event read;
      const Status status = Decode(std::string_view(bytes).substr(0, size), &read);
      ASSERT_EQ(status.code(), Code::kDataLoss) << KindName(event) << " " << size;
      ASSERT_NE(status.message().find(" of " + std::to_string(size)), std::string::npos);
    }
    Event read;
    EXPECT_EQ(Decode(bytes + "x", &read).code(), Code::kDataLoss);
  }
}

// Damage is the journal's to find; here it must only not crash, nor allocate without bound.
TEST(Events, DamageIsSurvived) {
  for (const Event& event : Samples()) {
    const std::string bytes = Encode(event);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      for (int bit = 0; bit < 8; ++bit) {
        std::string damaged = bytes;
        damaged[i] = static_cast<char>(damaged[i] ^ (1 << bit));
        Event read;
        const bool ok = Decode(damaged, &read).ok();
        EXPECT_TRUE(!ok || Encode(read).size() <= damaged.size());
      }
    }
  }
}

TEST(Events, NewerVersionIsRefusedByName) {
  std::string bytes = Encode(Event(Tick{1}));
  bytes[0] = kEventVersion + 1;
  Event read;
  const Status status = Decode(bytes, &read);
  EXPECT_EQ(status.code(), Code::kUnimplemented);
  EXPECT_NE(status.message().find("version " + std::to_string(kEventVersion + 1)),
            std::string::npos);
  Position position;
  EXPECT_EQ(Decode("\x07", &position).code(), Code::kUnimplemented);
  Ledger ledger;
  EXPECT_EQ(Ledger::Restore("\x07", &ledger).code(), Code::kUnimplemented);
}

TEST(Snapshot, IsTheWholeState) {
  testing::Master master;
  const Grant grant = master.Lease(1);
  ASSERT_TRUE(master.Trained(1, grant, {2, 4}).ok());
  const std::string bytes = master.ledger.Snapshot();
  Ledger restored;
  ASSERT_TRUE(Ledger::Restore(bytes, &restored).ok());
  EXPECT_EQ(restored.Snapshot(), bytes);
  EXPECT_EQ(restored.Digest(), master.ledger.Digest());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    Ledger none;
    ASSERT_FALSE(Ledger::Restore(std::string_view(bytes).substr(0, size), &none).ok());
  }
  master.TickAt(5000);
  EXPECT_NE(restored.Digest(), master.ledger.Digest());
  Effects effects;
  ASSERT_TRUE(restored.Apply(Tick{5000}, &effects).ok());
  EXPECT_EQ(restored.Digest(), master.ledger.Digest());
}

}  // namespace
}  // namespace headrace::ledger

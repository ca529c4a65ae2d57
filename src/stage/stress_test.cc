// Many threads do what they like with the same sources for a while; then what each of them got must
// fit together. Meant for TSan as much as for its own checks. A failure prints its seed.
#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "stage/stage.h"
#include "stage/testing.h"
#include "stage/trace.h"

namespace headrace::stage::testing {
namespace {

using Random = std::mt19937_64;

constexpr int kDeliveries = 600;
constexpr std::int64_t kEpoch = 1'000'000;  // an element's value: epoch * kEpoch + place in it

bool Chance(Random* random, int one_in) {
  return (*random)() % static_cast<unsigned>(one_in) == 0;
}

void Dawdle(Random* random) {
  for (auto n = (*random)() % 8; n > 0; --n) std::this_thread::yield();
}

// A resource that starts over (Rewind) and now and then fails without moving on.
class Resource {
 public:
  Resource(std::uint64_t seed, bool fails) : random_(seed), fails_(fails) {}

  ReadResult ReadNow() {
    std::lock_guard<std::mutex> lock(mu_);
    Dawdle(&random_);
    if (fails_ && Chance(&random_, 40)) return Failure(Code::kDataLoss, "bad record");
    return Number(epoch_ * kEpoch + next_++);
  }
  std::int64_t Rewind() {
    std::lock_guard<std::mutex> lock(mu_);
    next_ = 0;
    return ++epoch_ * kEpoch;
  }

  std::atomic<int> failed_reads{0};

 private:
  std::mutex mu_;
  Random random_;
  const bool fails_;
  std::int64_t epoch_ = 0, next_ = 0;
};

class ResourceReader : public SourceReader {
 public:
  explicit ResourceReader(std::shared_ptr<Resource> resource) : resource_(std::move(resource)) {}
  ReadResult Read(Cancellation* cancel) override {
    ++reading_;
    EXPECT_EQ(reading_.load(), 1) << "two reads at a time";
    std::atomic<bool> cancelled{false};
    const bool listening = cancel->Listen([&] { cancelled = true; });
    std::this_thread::yield();
    ReadResult read = !listening || cancelled ? Failure(Code::kCancelled, "the read was cancelled")
                                              : resource_->ReadNow();
    cancel->StopListening();
    --reading_;
    if (!read.status.ok()) ++resource_->failed_reads;
    return read;
  }

 private:
  const std::shared_ptr<Resource> resource_;
  std::atomic<int> reading_{0};
};

// What one consumer got: the element and, of a stage that has them, the other source's and the
// draw.
struct Delivery {
  std::int64_t element = -1, other = -1, draw = -1;
};

class StressTest : public Test, public ::testing::WithParamInterface<int> {
 protected:
  static constexpr int kStages = 2;

  // Which sources a stage reads besides the first.
  struct Kind {
    bool other = false, draw = false, body = false;
  };

  std::shared_ptr<Source> MakeSource(const char* name, const std::shared_ptr<Resource>& resource,
                                     Source::Mode mode) {
    return std::make_shared<Source>(domain_.get(), name, std::make_unique<ResourceReader>(resource),
                                    mode);
  }

  std::shared_ptr<Stage> MakeStage(int which, Random* random) {
    const Kind kind = kinds_[which];
    StageConfig config =
        Config(1 + static_cast<int>((*random)() % 4), 1 + static_cast<int>((*random)() % 3));
    config.timeout = std::chrono::seconds(3);
    if (Chance(random, 2)) config.ignored_codes = {Code::kDataLoss};
    if (Chance(random, 3)) config.budget_bytes = 20;
    if (Chance(random, 5)) config.capacity = 0;
    if (Chance(random, 3)) {
      config.capacity = config.num_threads = kAutotune;
      config.max_threads = 3;
      config.budget_bytes = 20;  // no room to grow
    }
    std::vector<Stage::Input> inputs = {{source_, nullptr}};
    if (kind.other) inputs.push_back({other_source_, nullptr});
    if (kind.draw) inputs.push_back({draws_, nullptr});
    std::unique_ptr<StageBody> body;
    if (kind.body) {
      body = MakeBody([](const std::vector<Payload>& in) {
        for (auto n = ValueOf(in[0]) % 5; n > 0; --n) std::this_thread::yield();
        return Number(-ValueOf(in[0]));
      });
    }
    return std::make_shared<Stage>(domain_.get(), config, std::move(inputs), std::move(body));
  }

  void Take(int which, Random* random, std::vector<Delivery>* got) {
    std::shared_ptr<Stage> stage;
    {
      std::lock_guard<std::mutex> lock(mu_);
      stage = stages_[which];
    }
    const std::int64_t floor = floor_;
    Status status;
    Taken taken;
    if (Chance(random, 3) && stage->TryTake(&status, &taken)) {
    } else {
      const bool doomed = Chance(random, 6);
      status = stage->Take(&taken, [&](Stage::TakeId id) {
        if (!doomed) return;
        std::lock_guard<std::mutex> lock(mu_);
        doomed_.emplace_back(stage, id);
      });
    }
    if (!status.ok()) {
      EXPECT_TRUE(
          status.code() == Code::kDataLoss || status.code() == Code::kDeadlineExceeded ||
          (status.code() == Code::kCancelled && status.message() != "the read was cancelled"))
          << status.ToString();
      return;
    }
    const Kind kind = kinds_[which];
    Delivery delivery;
    std::size_t next = 0;
    delivery.element = ValueOf(taken.inputs[next++]);
    if (kind.other) delivery.other = ValueOf(taken.inputs[next++]);
    if (kind.draw) delivery.draw = ValueOf(taken.inputs[next++]);
    EXPECT_EQ(taken.body == nullptr, !kind.body);
    EXPECT_TRUE(taken.body == nullptr || ValueOf(taken.body) == -delivery.element);
    EXPECT_GE(delivery.element, floor) << "stale";
    got->push_back(delivery);
    ++delivered_;
  }

  void TakeDirect(Random* random, std::vector<Delivery>* got) {
    std::unique_lock<std::mutex> no_reset(reset_mu_, std::defer_lock);
    if (!direct_during_reset_) no_reset.lock();
    Cancellation cancel;
    if (Chance(random, 8)) cancel.Cancel();
    const std::int64_t floor = floor_;
    ElementPtr element;
    ReadResult read;
    switch (source_->TakeDirect(&cancel, &element)) {
      case Source::Direct::kElement: read = element->read; break;
      case Source::Direct::kReadNow:
        read = resource_->ReadNow();
        source_->EndDirect();
        break;
      case Source::Direct::kFailed: EXPECT_TRUE(cancel.cancelled()); return;
    }
    if (!read.status.ok()) {
      EXPECT_EQ(read.status.code(), Code::kDataLoss) << read.status.ToString();
      return;
    }
    EXPECT_GE(ValueOf(read.value), floor) << "stale";
    got->push_back({ValueOf(read.value), -1, -1});
    ++delivered_;
  }

  void Reset(Random* random) {
    const std::lock_guard<std::mutex> no_direct(reset_mu_);
    Cancellation cancel;
    if (Chance(random, 3)) cancel.Cancel();
    if (!source_->Reset(&cancel).ok()) return;
    floor_ = resource_->Rewind();
    source_->Resume();
  }

  // Ends waits, lets time pass, looks at figures, replaces stages.
  void Meddle(Random* random) {
    std::pair<std::shared_ptr<Stage>, Stage::TakeId> ended;
    {
      std::lock_guard<std::mutex> lock(mu_);
      if (!doomed_.empty()) {
        ended = std::move(doomed_.back());
        doomed_.pop_back();
      }
    }
    if (ended.first != nullptr)
      ended.first->EndWait(ended.second, Status(Code::kCancelled, "step cancelled"));
    if (Chance(random, 20)) domain_.Advance(std::chrono::seconds(1));
    for (const StageFigures& figures : domain_.get()->Figures()) {
      EXPECT_GE(figures.held_bytes, 0);
      EXPECT_LE(figures.depth, figures.depth_limit);
    }
    EXPECT_LE(source_->depth(), 7u);  // the largest capacity and number of threads of any stage
    if (Chance(random, 60)) Replace(static_cast<int>((*random)() % kStages), random);
    if (Chance(random, 100)) Trace::Start(100);
    if (Chance(random, 100)) Trace::Stop();
    Dawdle(random);
  }

  void Replace(int which, Random* random) {
    const std::shared_ptr<Stage> fresh = MakeStage(which, random);
    std::shared_ptr<Stage> old = fresh;
    {
      std::lock_guard<std::mutex> lock(mu_);
      std::swap(stages_[which], old);
    }
    old->Close();
  }

  FakeDomain domain_;
  std::shared_ptr<Resource> resource_, other_resource_, draw_resource_;
  std::shared_ptr<Source> source_, other_source_, draws_;
  Kind kinds_[kStages];
  bool direct_during_reset_ = false;

  std::atomic<std::int64_t> floor_{0};  // no take that begins now may get less
  std::atomic<int> delivered_{0};
  std::mutex reset_mu_;
  std::mutex mu_;
  std::shared_ptr<Stage> stages_[kStages];                                // guarded by mu_
  std::vector<std::pair<std::shared_ptr<Stage>, Stage::TakeId>> doomed_;  // guarded by mu_
};

// Of each epoch, some first elements were delivered, each once: none is lost, none comes twice.
void CheckEpochs(const std::vector<Delivery>& all, bool no_gaps) {
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::int64_t element = all[i].element;
    ASSERT_TRUE(i == 0 || all[i - 1].element < element) << element << " was delivered twice";
    const bool first = i == 0 || all[i - 1].element / kEpoch != element / kEpoch;
    const std::int64_t expected = first ? element / kEpoch * kEpoch : all[i - 1].element + 1;
    ASSERT_TRUE(!no_gaps || element == expected) << expected << " was lost before " << element;
  }
}

// In the order of the elements, what was consumed beside them is 0 1 2 ..., of which tickets
// without an element had `elsewhere` at most.
void CheckCompanions(const std::vector<Delivery>& all, std::int64_t Delivery::*companion,
                     const char* what, int elsewhere) {
  std::int64_t expected = 0;
  for (const Delivery& delivery : all) {
    if (delivery.*companion < 0) continue;
    ASSERT_GE(delivery.*companion, expected) << what << " of " << delivery.element;
    elsewhere -= static_cast<int>(delivery.*companion - expected);
    ASSERT_GE(elsewhere, 0) << what << " of " << delivery.element;
    expected = delivery.*companion + 1;
  }
}

TEST_P(StressTest, WhatEveryoneGotFitsTogether) {
  Random setup(static_cast<std::uint64_t>(GetParam()) * 7919 +
               static_cast<std::uint64_t>(::testing::UnitTest::GetInstance()->random_seed()));
  direct_during_reset_ = Chance(&setup, 3);
  for (Kind& kind : kinds_) kind = {Chance(&setup, 2), Chance(&setup, 2), Chance(&setup, 2)};
  resource_ = std::make_shared<Resource>(setup(), Chance(&setup, 2));
  other_resource_ = std::make_shared<Resource>(setup(), false);
  draw_resource_ = std::make_shared<Resource>(setup(), false);
  source_ = MakeSource("it", resource_, Source::Mode::kAhead);
  other_source_ = MakeSource("other", other_resource_, Source::Mode::kAhead);
  draws_ = MakeSource("random", draw_resource_, Source::Mode::kOnDraw);
  for (int i = 0; i < kStages; ++i) stages_[i] = MakeStage(i, &setup);

  std::atomic<bool> stop{false};
  std::vector<std::vector<Delivery>> got(5);
  std::vector<std::thread> threads;
  const auto run = [&](auto action) {
    threads.emplace_back([&stop, action, seed = setup()]() mutable {
      Random random(seed);
      while (!stop) action(&random);
    });
  };
  for (std::size_t i = 0; i < 4; ++i) {
    run([&, i](Random* random) { Take(static_cast<int>(i) % kStages, random, &got[i]); });
  }
  run([&](Random* random) {
    TakeDirect(random, &got[4]);
    Dawdle(random);
  });
  run([&](Random* random) {
    if (Chance(random, 50)) Reset(random);
    Dawdle(random);
  });
  run([&](Random* random) { Meddle(random); });

  const bool enough = AwaitTrue([&] { return delivered_ >= kDeliveries; });
  stop = true;
  EXPECT_TRUE(enough) << "stuck after " << delivered_;
  // The last takes wait for elements that come; the last stage of each kind is closed under them.
  for (int i = 0; i < kStages; ++i) {
    std::shared_ptr<Stage> stage;
    {
      std::lock_guard<std::mutex> lock(mu_);
      stage = stages_[i];
    }
    stage->Close();
  }
  for (std::thread& thread : threads) thread.join();
  Trace::Stop();
  // The meddler may have replaced a stage after that.
  doomed_.clear();
  for (auto& stage : stages_) stage.reset();

  std::vector<Delivery> all;
  for (const auto& mine : got) {
    for (std::size_t i = 1; i < mine.size(); ++i) {
      ASSERT_LT(mine[i - 1].element, mine[i].element) << "out of order for one consumer";
    }
    all.insert(all.end(), mine.begin(), mine.end());
  }
  std::sort(all.begin(), all.end(),
            [](const Delivery& a, const Delivery& b) { return a.element < b.element; });
  CheckEpochs(all, !direct_during_reset_);
  CheckCompanions(all, &Delivery::other, "other source", 0);
  // A step that finds no element draws all the same.
  const int failed_reads = resource_->failed_reads + other_resource_->failed_reads;
  CheckCompanions(all, &Delivery::draw, "draw", failed_reads);
}

INSTANTIATE_TEST_SUITE_P(Seeds, StressTest, ::testing::Range(0, 24));

// Sources are closed, from any thread, while everything is in use.
TEST_F(StressTest, SourcesClosedInUse) {
  for (int round = 0; round < 30; ++round) {
    Random setup(static_cast<std::uint64_t>(round));
    kinds_[0] = kinds_[1] = {Chance(&setup, 2), Chance(&setup, 2), Chance(&setup, 2)};
    resource_ = std::make_shared<Resource>(setup(), false);
    other_resource_ = std::make_shared<Resource>(setup(), false);
    draw_resource_ = std::make_shared<Resource>(setup(), false);
    source_ = MakeSource("it", resource_, Source::Mode::kAhead);
    other_source_ = MakeSource("other", other_resource_, Source::Mode::kAhead);
    draws_ = MakeSource("random", draw_resource_, Source::Mode::kOnDraw);
    std::vector<std::thread> threads;
    Counter taken;
    for (int i = 0; i < kStages; ++i) {
      threads.emplace_back([this, i, &taken, stage = MakeStage(i, &setup)]() mutable {
        Status status;
        do {
          Taken what;
          status = stage->Take(&what);
          taken.Add();
        } while (!stage->source_closed());
        EXPECT_EQ(TakeOne(stage.get()).substr(0, 9), "CANCELLED");
        stage.reset();
      });
    }
    threads.emplace_back([&] {
      ElementPtr element;
      while (true) {
        const auto what = source_->TakeDirect(nullptr, &element);
        if (what == Source::Direct::kFailed) break;
        if (what == Source::Direct::kReadNow) source_->EndDirect();
      }
    });
    EXPECT_TRUE(taken.Await(round));
    for (int i = 0; i < 2; ++i) {
      threads.emplace_back([&] {
        other_source_->Close();
        draws_->Close();
        source_->Close();
      });
    }
    for (std::thread& thread : threads) thread.join();
    ASSERT_FALSE(HasFailure()) << "round " << round;
  }
}

}  // namespace
}  // namespace headrace::stage::testing

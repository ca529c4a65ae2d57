// A source and the consumers outside any stage.
#include "stage/source.h"

#include <atomic>
#include <memory>
#include <thread>

#include "stage/testing.h"

namespace headrace::stage::testing {
namespace {

using Direct = Source::Direct;
using std::make_shared;

class SourceTest : public Test {
 protected:
  // What a consumer without a stage gets.
  std::string TakeDirect(Source* source, ReaderControl* reader) {
    ElementPtr element;
    switch (source->TakeDirect(nullptr, &element)) {
      case Direct::kElement: return "ahead " + Text(element->read);
      case Direct::kReadNow: {
        const ReadResult read = reader->ReadNow();
        source->EndDirect();
        return "now " + Text(read);
      }
      case Direct::kFailed: return "failed";
    }
    return "";
  }
  static std::string Text(const ReadResult& read) {
    return read.status.ok() ? std::to_string(ValueOf(read.value)) : read.status.ToString();
  }

  FakeDomain domain_;
  std::shared_ptr<ReaderControl> reader_ = make_shared<ReaderControl>();
};

TEST_F(SourceTest, NobodyReadsAheadWithoutAStage) {
  const auto source = domain_.MakeSource("it", reader_);
  EXPECT_EQ(TakeDirect(source.get(), reader_.get()), "now 0");
  EXPECT_EQ(TakeDirect(source.get(), reader_.get()), "now 1");
  source->Close();
  EXPECT_EQ(reader_->started.value(), 0);
}

TEST_F(SourceTest, DirectTakesGetWhatWasReadAheadInOrder) {
  const auto source = domain_.MakeSource("it", reader_);
  reader_->Hold();
  const auto stage = domain_.MakeStage(Config(4, 1), {source});
  reader_->Allow(3);
  ASSERT_TRUE(reader_->started.Await(4));  // three are there, the fourth is being read
  EXPECT_EQ(source->depth(), 3u);
  for (std::uint64_t k = 0; k < 3; ++k) {
    ElementPtr element;
    ASSERT_EQ(source->TakeDirect(nullptr, &element), Direct::kElement);
    EXPECT_EQ(element->sequence, k);
    EXPECT_EQ(ValueOf(element->read.value), static_cast<std::int64_t>(k));
  }
  reader_->AllowAll();
  EXPECT_EQ(TakeOne(stage), "3");
}

TEST_F(SourceTest, DirectTakeAwaitsTheReadInFlight) {
  const auto source = domain_.MakeSource("it", reader_);
  reader_->Hold();
  const auto stage = domain_.MakeStage(Config(1, 1), {source});
  ASSERT_TRUE(reader_->started.Await(1));
  std::string direct;
  std::thread other([&] { direct = TakeDirect(source.get(), reader_.get()); });
  reader_->Allow(1);
  other.join();
  EXPECT_EQ(direct, "ahead 0");
}

TEST_F(SourceTest, DirectTakesReadOneAfterTheOther) {
  const auto source = domain_.MakeSource("it", reader_);
  std::atomic<int> reading{0};
  std::atomic<int> overlaps{0};
  const auto read_often = [&] {
    for (int i = 0; i < 2000; ++i) {
      ElementPtr element;
      ASSERT_EQ(source->TakeDirect(nullptr, &element), Direct::kReadNow);
      overlaps += ++reading > 1;
      std::this_thread::yield();
      --reading;
      source->EndDirect();
    }
  };
  std::thread one(read_often), two(read_often);
  one.join();
  two.join();
  EXPECT_EQ(overlaps.load(), 0);
}

// The stage wants an element all the time that the other consumer reads: the resource is never read
// by two threads.
TEST_F(SourceTest, NoReadAheadWhileAnotherConsumerReads) {
  std::atomic<bool> direct{false};
  std::atomic<int> overlaps{0};
  reader_->on_read = [&] { overlaps += direct.load(); };
  const auto source = domain_.MakeSource("it", reader_);
  ElementPtr element;
  ASSERT_EQ(source->TakeDirect(nullptr, &element), Direct::kReadNow);
  direct = true;
  const auto stage = domain_.MakeStage(Config(1, 1), {source});
  PendingTake take(stage.get());
  for (int i = 0; i < 1000; ++i) std::this_thread::yield();  // it may use the time to go wrong
  EXPECT_FALSE(take.finished());
  EXPECT_EQ(ValueOf(reader_->ReadNow().value), 0);
  direct = false;
  source->EndDirect();
  EXPECT_EQ(take.Await(), "1");
  EXPECT_EQ(overlaps.load(), 0);
}

TEST_F(SourceTest, CancelledDirectTakeLosesNothing) {
  const auto source = domain_.MakeSource("it", reader_);
  reader_->Hold();
  const auto stage = domain_.MakeStage(Config(1, 1), {source});
  ASSERT_TRUE(reader_->started.Await(1));
  Cancellation cancel;
  Direct what = Direct::kElement;
  std::thread other([&] {
    ElementPtr element;
    what = source->TakeDirect(&cancel, &element);
  });
  cancel.Cancel();
  other.join();
  EXPECT_EQ(what, Direct::kFailed);
  ElementPtr element;
  EXPECT_EQ(source->TakeDirect(&cancel, &element), Direct::kFailed) << "cancelled before";
  EXPECT_EQ(reader_->cancelled.value(), 0) << "the step's cancellation reached the reader";
  reader_->AllowAll();
  EXPECT_EQ(TakeOne(stage), "0");
}

TEST_F(SourceTest, CloseEndsDirectTakes) {
  const auto source = domain_.MakeSource("it", reader_);
  reader_->Hold();
  const auto stage = domain_.MakeStage(Config(1, 1), {source});
  ASSERT_TRUE(reader_->started.Await(1));
  std::string direct;
  std::thread other([&] { direct = TakeDirect(source.get(), reader_.get()); });
  source->Close();
  other.join();
  EXPECT_EQ(direct, "failed");
  EXPECT_EQ(TakeDirect(source.get(), reader_.get()), "failed");
  EXPECT_EQ(reader_->cancelled.value(), 1);
}

TEST_F(SourceTest, CloseNamesAReaderDeafToCancellation) {
  const auto source = domain_.MakeSource("deaf", reader_);
  reader_->Hold();
  reader_->IgnoreCancellation();
  const auto stage = domain_.MakeStage(Config(1, 1), {source});
  ASSERT_TRUE(reader_->started.Await(1));
  std::thread closing([&] { source->Close(); });
  ASSERT_TRUE(domain_.logged().Await(2));  // one line a second
  reader_->AllowAll();
  closing.join();
  const auto log = domain_.log();
  EXPECT_EQ(log[0],
            "closing 'deaf' has waited 1 s for a read that does not end although it was cancelled");
  EXPECT_EQ(log[1],
            "closing 'deaf' has waited 2 s for a read that does not end although it was cancelled");
  EXPECT_EQ(reader_->started.value(), 1) << "read on after it was closed";
}

// A read can hold the last reference to its resource; the resource then closes its source on the
// thread that reads.
TEST_F(SourceTest, CloseOnTheReadingThread) {
  std::shared_ptr<Source> source;
  reader_->on_read = [&] {
    EXPECT_TRUE(source->on_own_thread());
    source->Close();
  };
  source = domain_.MakeSource("it", reader_);
  EXPECT_FALSE(source->on_own_thread());
  const auto stage = domain_.MakeStage(Config(1, 1), {source});
  EXPECT_EQ(TakeOne(stage), "CANCELLED: stage 'stage_0' is closed: its source 'it' was closed");
  ASSERT_TRUE(reader_->cancelled.Await(1));
  std::weak_ptr<Source> weak = source;
  stage->Close();
  source->Close();  // joins
  source.reset();
  EXPECT_FALSE(weak.expired()) << "the stage shares it";
}

// The thread that reads must not wait for a closer that waits for it.
TEST_F(SourceTest, CloseOnTheReadingThreadWhileAnotherCloses) {
  std::shared_ptr<Source> source;
  Counter closing;
  reader_->on_read = [&] {
    // Another thread is past its own request, and waits for this read.
    EXPECT_TRUE(closing.Await(1));
    EXPECT_TRUE(domain_.logged().Await(1));
    source->Close();
  };
  source = domain_.MakeSource("it", reader_);
  const auto stage = domain_.MakeStage(Config(1, 1), {source});
  ASSERT_TRUE(reader_->started.Await(1));
  closing.Add();
  source->Close();
  stage->Close();
}

TEST_F(SourceTest, ResetDropsWhatWasReadAheadAndTheReadInFlight) {
  const auto source = domain_.MakeSource("it", reader_);
  reader_->Hold();
  const auto stage = domain_.MakeStage(Config(4, 1), {source});
  reader_->Allow(3);
  ASSERT_TRUE(reader_->started.Await(4));
  EXPECT_TRUE(source->Reset(nullptr).ok());
  EXPECT_EQ(reader_->cancelled.value(), 1);
  EXPECT_EQ(source->depth(), 0u);

  // Paused: not even a waiting take makes it read.
  PendingTake take(stage.get());
  std::atomic<bool> resumed{false};
  reader_->on_read = [&] { EXPECT_TRUE(resumed.load()); };
  reader_->Rewind();
  reader_->AllowAll();
  EXPECT_FALSE(take.finished());
  resumed = true;
  source->Resume();
  EXPECT_EQ(take.Await(), "0");
  EXPECT_EQ(TakeMany(stage, 5), (std::vector<std::string>{"1", "2", "3", "4", "5"}));
}

// The read in flight succeeds although it was cancelled. Its element is of the time before, so the
// take that waits for it goes on waiting.
TEST_F(SourceTest, TakeThatWaitsThroughAResetGetsTheNewFirstElement) {
  std::atomic<std::int64_t> epoch{0};
  reader_ = make_shared<ReaderControl>([&](std::int64_t k) { return Number(epoch + k); });
  reader_->Hold();
  reader_->IgnoreCancellation();
  const auto source = domain_.MakeSource("it", reader_);
  const auto stage = domain_.MakeStage(Config(2, 1), {source});
  PendingTake take(stage.get());
  ASSERT_TRUE(reader_->started.Await(1));
  std::thread resetting([&] { EXPECT_TRUE(source->Reset(nullptr).ok()); });
  ASSERT_TRUE(reader_->cancelled.Await(1));
  reader_->Allow(1);
  resetting.join();
  epoch = 100;
  reader_->Rewind();
  reader_->AllowAll();
  source->Resume();
  EXPECT_EQ(take.Await(), "100");
  EXPECT_EQ(TakeOne(stage), "101");
}

TEST_F(SourceTest, AfterAResetItReadsOnlyOnDemand) {
  const auto source = domain_.MakeSource("it", reader_);
  reader_->Hold();
  const auto stage = domain_.MakeStage(Config(2, 1), {source});
  ASSERT_TRUE(reader_->started.Await(1));
  ASSERT_TRUE(source->Reset(nullptr).ok());
  reader_->Rewind();
  std::atomic<bool> demanded{false};
  reader_->on_read = [&] { EXPECT_TRUE(demanded.load()); };
  reader_->AllowAll();
  source->Resume();
  for (int i = 0; i < 200; ++i) {
    ElementPtr element;
    ASSERT_EQ(source->TakeDirect(nullptr, &element), Direct::kReadNow);
    source->EndDirect();
    std::this_thread::yield();
  }
  demanded = true;
  EXPECT_EQ(TakeOne(stage), "0");
  // A read succeeded, so it reads ahead again.
  ASSERT_TRUE(reader_->finished.Await(3));
}

// What was read before the reset comes out of no stage, though its body was still running.
TEST_F(SourceTest, ResetDiscardsResultsThatAreBeingComputed) {
  const auto source = domain_.MakeSource("it", reader_);
  const auto body = make_shared<BodyControl>();
  body->Hold(1);
  const auto stage = domain_.MakeStage(Config(2, 2), {source}, MakeBody(body));
  EXPECT_EQ(TakeOne(stage), "0=0");
  ASSERT_TRUE(body->started.Await(2));
  ASSERT_TRUE(source->Reset(nullptr).ok());
  reader_->Rewind();
  body->Release(1);
  source->Resume();
  EXPECT_EQ(TakeMany(stage, 3), (std::vector<std::string>{"0=0", "1=10", "2=20"}));
  EXPECT_TRUE(AwaitTrue([&] { return stage->figures().discarded >= 1; }));
}

TEST_F(SourceTest, CancelledResetKeepsEverything) {
  const auto source = domain_.MakeSource("it", reader_);
  reader_->Hold();
  reader_->IgnoreCancellation();
  const auto stage = domain_.MakeStage(Config(4, 1), {source});
  reader_->Allow(2);
  ASSERT_TRUE(reader_->started.Await(3));
  Cancellation cancel;
  Status status;
  std::thread resetting([&] { status = source->Reset(&cancel); });
  ASSERT_TRUE(reader_->cancelled.Await(1));  // the reset has told the reader, which does not listen
  cancel.Cancel();
  resetting.join();
  EXPECT_EQ(status.ToString(),
            "CANCELLED: cancelled while re-initializing 'it' waited for the read in flight");
  EXPECT_EQ(source->depth(), 2u);
  reader_->AllowAll();
  EXPECT_EQ(TakeMany(stage, 4), (std::vector<std::string>{"0", "1", "2", "3"}));
}

// The reset was given up, but the read that it cancelled fails all the same. That failure is the
// reset's doing, and no element.
TEST_F(SourceTest, ReadCancelledByAnAbandonedResetIsNoElement) {
  const auto source = domain_.MakeSource("it", reader_);
  reader_->Hold();
  reader_->DelayCancellation();
  const auto stage = domain_.MakeStage(Config(2, 1), {source});
  ASSERT_TRUE(reader_->started.Await(1));
  Cancellation cancel;
  cancel.Cancel();
  EXPECT_EQ(source->Reset(&cancel).code(), Code::kCancelled);
  reader_->AllowAll();
  EXPECT_EQ(TakeMany(stage, 3), (std::vector<std::string>{"0", "1", "2"}));
}

TEST_F(SourceTest, DrawsHaveNoThreadOfTheirOwn) {
  const auto draws = domain_.MakeSource("random", reader_, Source::Mode::kOnDraw);
  EXPECT_FALSE(draws->on_own_thread());
  draws->Close();
  EXPECT_EQ(reader_->started.value(), 0);
}

// A payload's destructor may be anything, so it may ask the source something.
TEST_F(SourceTest, PayloadsAreDestroyedWithoutTheLock) {
  std::shared_ptr<Source> source;
  Counter destroyed;
  reader_ = make_shared<ReaderControl>([&](std::int64_t k) {
    ReadResult read = Number(k);
    read.value = Payload(new std::int64_t(k), [&](const void* p) {
      source->depth();
      destroyed.Add();
      delete static_cast<const std::int64_t*>(p);
    });
    return read;
  });
  source = domain_.MakeSource("it", reader_);
  {
    const auto stage =
        domain_.MakeStage(Config(3, 1), {source}, MakeBody(make_shared<BodyControl>()));
    Status status;
    Taken taken;
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(stage->Take(&taken).ok());
    EXPECT_TRUE(destroyed.Await(2)) << "the caller's earlier batches";
    taken = Taken();
    ASSERT_TRUE(reader_->finished.Await(4));
    ElementPtr element;
    EXPECT_EQ(source->TakeDirect(nullptr, &element), Direct::kElement);
    element.reset();
    EXPECT_TRUE(source->Reset(nullptr).ok());
    source->Resume();
    EXPECT_TRUE(stage->Take(&taken).ok());
  }
  source->Close();
  EXPECT_EQ(source->depth(), 0u);
  EXPECT_EQ(destroyed.value(), reader_->finished.value());
  source.reset();
}

}  // namespace
}  // namespace headrace::stage::testing

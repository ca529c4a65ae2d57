// Ordered raw elements of one resource, read ahead of whoever consumes them.
#ifndef HEADRACE_STAGE_SOURCE_H_
#define HEADRACE_STAGE_SOURCE_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "stage/cancellation.h"
#include "stage/domain.h"
#include "stage/element.h"

namespace headrace::stage {

class Stage;

// Reads one element; implemented by the TensorFlow side and by tests.
class SourceReader {
 public:
  virtual ~SourceReader() = default;
  // Blocks until there is an element, the end of data (OUT_OF_RANGE) or an error. Called by one
  // thread at a time. Must return soon after `cancel` was cancelled; the element that was being
  // read may then be lost.
  virtual ReadResult Read(Cancellation* cancel) = 0;
};

// A reader whose elements are made one from the other, from state that others may write as well.
class StateReader : public SourceReader {
 public:
  // These are called under a lock: they must be quick. Read() may run at the same time.
  // Whether the state still is what `element`, the oldest one that was read, was made from.
  virtual bool Holds(const Payload& element) = 0;
  // A step has taken `element`, and the state becomes what that left.
  virtual void Commit(const Payload& element) = 0;
  // What was read is of no use: the next Read() begins with the state as it is then.
  virtual void Rewind() = 0;
};

// Elements belong to the source: any stage that reads it, and any other consumer of the same
// resource (TakeDirect), gets the next one, once. What stages computed from an element is a cache
// on it.
//
// Ownership: shared by the registry that knows the resource and by the stages. Owns its reader and,
// if it reads ahead, one thread.
// Thread safety: every method may run concurrently.
// Ordering: elements come out in the order in which the reader returned them. A failed read is an
// element too: it is delivered in its place, and after it the source reads only while somebody
// waits, until a read succeeds again (as without staging, the next step asks again).
class Source : public std::enable_shared_from_this<Source> {
 public:
  enum class Mode {
    kAhead,   // a thread of its own reads ahead as far as the attached stages want
    kOnDraw,  // read by a stage's worker when it forms a ticket: cheap, never blocks (random ops)
  };

  Source(std::shared_ptr<Domain> domain, std::string name, std::unique_ptr<SourceReader> reader,
         Mode mode);
  // Of state; read on draw. For one stage.
  Source(std::shared_ptr<Domain> domain, std::string name, std::unique_ptr<StateReader> reader);
  // Closes. Requires: not on the source's own thread.
  ~Source();
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  const std::string& name() const { return name_; }

  // What a consumer outside any stage does next.
  enum class Direct {
    kElement,  // *element is the next one; it was read ahead
    kReadNow,  // nothing was read ahead: the caller reads the resource, then calls EndDirect()
    kFailed,   // cancelled while waiting for a read in flight, or the source is closed
  };
  Direct TakeDirect(Cancellation* cancel, ElementPtr* element);
  void EndDirect();

  // Drops what was read ahead because the resource starts over: cancels the read in flight and
  // waits for it. Reading stays off until Resume(), and then starts with the next take. CANCELLED
  // if `cancel` (may be null) ended the wait; nothing is dropped then, and reading goes on.
  Status Reset(Cancellation* cancel);
  void Resume();

  // Cancels the read in flight, joins the thread, drops the elements; takes of attached stages fail
  // with CANCELLED. A reader that is deaf to cancellation delays this and is named in the log each
  // second. Called on the source's own thread it only requests all this; the next call from another
  // thread (or the destructor) joins.
  void Close();

  // True on the thread that reads; Close() cannot join there.
  bool on_own_thread() const { return reading_thread_.load() == std::this_thread::get_id(); }

  // Elements read and not yet taken, for figures.
  std::size_t depth() const;
  // Whether a stage reads it now.
  bool has_stages() const;

 private:
  friend class Stage;

  // Called by stages, all with the domain's lock held.
  void AttachLocked(Stage* stage);
  void DetachLocked(Stage* stage);
  std::size_t SizeLocked() const { return elements_.size(); }
  const ElementPtr& AtLocked(std::size_t position) const { return elements_[position]; }
  // Removes the oldest element. The stages other than the taker must then be told, once all the
  // elements that go together were removed.
  ElementPtr PopLocked();
  void TellPopLocked(const Stage* taker, Deferred* deferred);
  void AppendLocked(ReadResult read);
  // Drops all elements.
  void ClearLocked(Deferred* deferred);
  // Whether the oldest element is not of state, or is of the state as it is now.
  bool HoldsLocked() const;
  // Drops all elements, and what a read in flight returns: the state is another one.
  void RewindLocked(Deferred* deferred);
  // Runs the reader on this thread, with the lock released, appends what it returned unless the
  // source was reset meanwhile, and settles. Requires: no read is in flight.
  void ReadLocked(std::unique_lock<std::mutex>* lock, Deferred* deferred);
  // Waits for `condition`, and says each second in the log that it still does.
  void AwaitLocked(std::unique_lock<std::mutex>* lock, const char* what,
                   const std::function<bool()>& condition);
  // Sets *cancelled, under the lock, when `cancel` (may be null) is cancelled. True if it must be
  // told to stop listening.
  bool Listen(Cancellation* cancel, bool* cancelled);
  void WakeLocked();
  bool closedLocked() const { return closing_; }

  // Whether a stage has room for an element; for 1 / `room_part` of what it wants, if that is not
  // 0.
  bool WantsElementLocked(std::size_t room_part) const;
  void ReadLoop();

  const std::shared_ptr<Domain> domain_;
  const std::string name_;
  const std::unique_ptr<SourceReader> reader_;
  StateReader* const state_;  // reader_, if that is one; else null
  const Mode mode_;

  // Guarded by domain_->mu_.
  std::deque<ElementPtr> elements_;
  std::size_t bytes_ = 0;  // of elements_
  std::uint64_t next_sequence_ = 0;
  std::vector<Stage*> stages_;
  std::shared_ptr<Cancellation> reading_;  // of the read in flight, else null
  TimePoint reading_since_;
  Clock::duration reading_time_{0};  // of all reads that ended
  bool direct_ = false;              // an outside consumer reads the resource
  bool on_demand_ = false;           // the last read failed, or the source was reset
  bool paused_ = false;
  bool rewound_ = false;  // since the read in flight began
  bool idle_ = false;     // the thread waits for room or demand
  bool closing_ = false;
  bool exited_ = false;               // the thread is past its last access to the source
  std::condition_variable work_cv_;   // the thread: room, demand, closing
  std::condition_variable state_cv_;  // others: element appended, read ended

  std::atomic<std::thread::id> reading_thread_{};  // set by the thread itself, once
  std::mutex join_mu_;
  std::thread thread_;  // guarded by join_mu_ after construction
};

}  // namespace headrace::stage

#endif  // HEADRACE_STAGE_SOURCE_H_

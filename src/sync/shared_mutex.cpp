// The reader-writer lock. Go: sync/rwmutex.go.
//
// state_: shares * 16 | wide (8) | shared (4) | pending (2) | writer (1).
//
// Three regimes
//  - Not shared: state_ changes only inside lock_, by plain stores; one thread's goroutines read
//    and write without locked instructions, by lock_'s bias. (Go: two for a reader, four for a
//    writer.)
//  - Shared, once several threads have met in slow paths: while `pending` is not set, shares and
//    the writer's bit are taken and given back by compare-and-swap on state_. Goes back when only
//    one thread's goroutines have been waiting for a while.
//  - Wide, while readers collide and no writer comes: shares are counted in cells, one cache line
//    per processor, so that readers on different processors write no common line. state_ is then
//    only read. A writer closes the cells, which brings their sum into state_, and learns how many
//    readers there were meanwhile: if they were worth the price of closing and opening, it opens
//    them again when it is done; if not, they stay closed until readers have collided twice as
//    often as it took before.
//
// Nobody spins for others to leave. Whoever was let in may be waiting for this very processor, and
// those who wait for each other come together on one, where they need no cache line of another's.
// (Measured on two processors, one write in ten: 8 looks 130 ns, none 50; and 26 since the lock
// goes back to "not shared".)
//
// Waiting. Readers and writers queue apart, each first come, first served. Whoever gives up the
// last share, or the writer's, while someone waits passes the lock on inside lock_: a writer's
// successors are all waiting readers, else the next writer; the last reader's is the next writer.
// They get it in one of two ways.
//  - Handed on: it is theirs when they are woken (w.ok). So in the shared regime: those who wait
//    for each other across threads are drawn to one processor by it, and then part. And so where
//    someone who waits has done so for over 1 ms, or is a select, which is decided by being woken.
//  - Freed, in the other regime: they are woken to try again, and whoever runs may take it first,
//    through the fast paths. Handing on would make all who run meanwhile wait for those who are
//    only queued to run; many goroutines on one processor would do so for ever, a park for every
//    access. Who is woken and comes in vain queues in front again.
// (One write in ten, empty sections, two processors; 2, 4, 16, 64 goroutines. Always handed on: 8,
// 12, 28, 27 ns. Freed in either regime: 18, 11, 18, 22; threads that fight on never come together.
// Freed in one only, but `pending` kept while others are queued: 2.2, 7, 19, 20, as one goroutine
// after the other runs beside it through lock_. As it is: 2.2, 2.3, 2.3, 2.0. Go: 13.)
//
// coming_ counts those who were woken to try again and have not done so. They are all readers or
// one writer, and until the last has come nobody else is woken. Meanwhile `pending` is not set,
// even if others are queued behind: while nobody holds the lock they keep nobody out, and whoever
// takes it need not know. The first who comes, whatever it finds, sets it again if someone waits.
// If someone is overdue at the next unlock after that, the lock becomes the property of those still
// coming (given_): they have their share without having run, and the overdue are next.
//
// Fairness. A reader that has been woken goes in beside other readers even if a writer waits, as it
// was there first; it does so once. Nobody is passed over for more than 1 ms and the time until
// those who are coming have run.
//
// Invariants
//  - While `pending` is set state_ changes only inside lock_. It implies that a writer holds the
//    lock, or that readers do and a writer waits: readers wait for nothing else. Who waits while it
//    is not set waits behind someone who is coming: coming_ is not 0. So no wakeup is lost.
//    (A select that takes another case leaves its queue first and settles `pending` a moment later;
//    until then both may be untrue, but someone holds the lock, who would settle it as well.)
//  - wide implies neither writer nor pending, and that nobody is queued. Cells are opened after
//    `wide` was set and closed before it is cleared, so that whoever changes an open cell does so
//    in the wide regime; who finds one closed goes through lock_ and looks again.
//  - A share may be given back in another cell than it was taken from, or in state_: only the sum
//    counts. A share taken before the cells were closed is in the sum.
//
// Destruction. The object may go once the last unlock has been observed. A compare-and-swap is its
// author's last touch; so is leaving lock_ for one who handed on or woke someone (those come
// through lock_ or are made ready after that), was not the last reader, or found the lock not
// shared (the observer came through lock_). One who finds nobody to pass it on to in the shared
// regime settles `pending`, leaves lock_, and only then gives up what it holds.
//
// Waiting is in shared_mutex_wait.cpp, the cells in shared_mutex_wide.cpp, what select needs in
// shared_mutex_select.cpp.
#include <runnel/detail/fatal.hpp>

#include "sync/reader_cell.hpp"
#include "sync/rw_waiter.hpp"
#include "sync/spin.hpp"

namespace runnel {

namespace {

using detail::reader_cell;
using detail::rw_waiter;
using detail::wait_reason;

constexpr std::uint16_t meetings_to_share = 4;
// With waits as rare as they are since the lock is freed, more keep one processor's goroutines at
// compare-and-swap for long after others have gone (1024: RWMutexWrite100 3.8 instead of 3.2 ns).
constexpr std::uint16_t most_meetings_to_part = 64;

// The two names under which the edges of the memory model are announced.
const void* writers_edge(const void* m) noexcept { return m; }
const void* readers_edge(const void* m) noexcept { return static_cast<const char*>(m) + 1; }

/// Queues w until it need not wait any more. False: the deadline has passed, and w has given up.
template <class Queue, class GiveUp>
bool wait_by(rw_waiter& w, wait_reason reason, detail::steady_time deadline, Queue queue,
             GiveUp give_up) {
  w.claim = &w.word;
  while (!queue()) {
    w.stamp();
    if (!detail::park_by(reason, w, deadline)) {
      give_up();
      return false;
    }
    if (w.ok) break;
    w.word.reset();  // woken to try again: in no queue, nobody else knows w
  }
  return true;
}

[[noreturn]] void unlocked() noexcept { detail::fatal("sync: Unlock of unlocked RWMutex"); }

}  // namespace

// Inside lock_. Changes state_ from `now`; false: others did, and `now` is what they made of it.
bool shared_mutex::change(std::uint32_t& now, std::uint32_t next) noexcept {
  if ((now & shared) != 0 && (now & pending) == 0) {
    return state_.compare_exchange_strong(now, next, std::memory_order_acq_rel,
                                          std::memory_order_acquire);
  }
  state_.store(next, std::memory_order_release);
  return true;
}

// Inside lock_. Counts the threads that meet here, or, once it is shared, how often running only
// one thread's goroutines had to wait: those who block each other end up on one processor.
void shared_mutex::note_thread() noexcept {
  const detail::thread* me = detail::current_thread();
  std::uint32_t now = state_.load(std::memory_order_relaxed);
  const bool other = last_ != me;
  last_ = me;
  if ((now & shared) == 0) {
    if (!other || ++meetings_ < meetings_to_share) return;
    state_.store(now | shared, std::memory_order_release);
    meetings_ = 0;
    return;
  }
  meetings_ = other ? 0 : static_cast<std::uint16_t>(meetings_ + 1);
  if (meetings_ < meetings_to_part_ || (now & wide) != 0 || !change(now, now & ~shared)) return;
  meetings_ = 0;
  if (meetings_to_part_ < most_meetings_to_part) meetings_to_part_ *= 2;
}

bool shared_mutex::try_exclusive() noexcept {
  detail::stand_back others;
  std::uint32_t now = state_.load(std::memory_order_relaxed);
  for (;;) {
    if ((now & (writer | pending)) != 0 || ((now & wide) == 0 && now >= one)) return false;
    if ((now & (shared | wide)) == shared) {
      if (state_.compare_exchange_weak(now, now | writer, std::memory_order_acquire,
                                       std::memory_order_relaxed)) {
        return true;
      }
      others.wait();
      now = state_.load(std::memory_order_relaxed);
      continue;
    }
    const detail::lock_guard guard(lock_);
    note_thread();
    close_cells();
    now = state_.load(std::memory_order_relaxed);
    if (now == 0) {
      state_.store(writer, std::memory_order_relaxed);
      return true;
    }
  }
}

bool shared_mutex::try_share() noexcept {
  detail::stand_back others;
  std::uint32_t now = state_.load(std::memory_order_acquire);
  for (;;) {
    if ((now & (writer | pending)) != 0) return false;
    if ((now & wide) != 0) {
      if (my_cell().try_add(reader_cell::taken + reader_cell::share, std::memory_order_acquire)) {
        return true;
      }
      const detail::lock_guard until_settled(lock_);
    } else if ((now & shared) != 0) {
      if (state_.compare_exchange_weak(now, now + one, std::memory_order_acquire,
                                       std::memory_order_relaxed)) {
        return true;
      }
      readers_collide();
      others.wait();
    } else {
      const detail::lock_guard guard(lock_);
      note_thread();
      now = state_.load(std::memory_order_relaxed);
      if ((now & flags) == 0) {
        state_.store(now + one, std::memory_order_relaxed);
        return true;
      }
    }
    now = state_.load(std::memory_order_acquire);
  }
}

void shared_mutex::lock_slow() {
  if (!try_exclusive()) {
    rw_waiter w;
    while (!queue_writer(w)) {
      w.stamp();
      detail::park(wait_reason::shared_mutex_lock);
      if (w.ok) break;
    }
  }
  detail::race_acquire(writers_edge(this));
  detail::race_acquire(readers_edge(this));
}

bool shared_mutex::try_lock_slow() noexcept {
  if (!try_exclusive()) return false;
  detail::race_acquire(writers_edge(this));
  detail::race_acquire(readers_edge(this));
  return true;
}

bool shared_mutex::lock_until(detail::steady_time deadline) {
  rw_waiter w;
  if (!wait_by(
          w, wait_reason::shared_mutex_lock, deadline, [&] { return queue_writer(w); },
          [&] { give_up(writers_, w); })) {
    return false;
  }
  detail::race_acquire(writers_edge(this));
  detail::race_acquire(readers_edge(this));
  return true;
}

void shared_mutex::unlock_slow() {
  detail::race_release(writers_edge(this));
  std::uint32_t now = state_.load(std::memory_order_relaxed);
  for (;;) {
    if ((now & writer) == 0) unlocked();
    if ((now & (shared | pending)) == shared && !reopen_) {
      if (state_.compare_exchange_weak(now, now & ~writer, std::memory_order_release,
                                       std::memory_order_relaxed)) {
        return;
      }
      continue;
    }
    detail::ready_list woken;
    lock_.lock();
    const bool done = leave_exclusive(now, woken);
    lock_.unlock();
    woken.ready_all();
    if (done) return;
  }
}

// Inside lock_. Gives the exclusive lock up; false: look again outside, at `now`.
bool shared_mutex::leave_exclusive(std::uint32_t& now, detail::ready_list& woken) noexcept {
  now = state_.load(std::memory_order_relaxed);
  if ((now & pending) != 0 && pass_on(true, woken)) return true;
  if ((now & shared) == 0) {
    state_.store(0, std::memory_order_release);
    return true;
  }
  if (!reopen_ || someone_waits()) {
    reopen_ = false;
    now = writer | shared;  // without `pending`; see "Destruction"
    state_.store(now, std::memory_order_release);
    return false;
  }
  reopen_ = false;
  state_.store(shared | wide, std::memory_order_release);
  fill_cells(0);
  return true;
}

void shared_mutex::lock_shared_slow() {
  if (!try_share()) {
    rw_waiter w;
    while (!queue_reader(w)) {
      w.stamp();
      detail::park(wait_reason::shared_mutex_rlock);
      if (w.ok) break;
    }
  }
  detail::race_acquire(writers_edge(this));
}

bool shared_mutex::try_lock_shared_slow() noexcept {
  if (!try_share()) return false;
  detail::race_acquire(writers_edge(this));
  return true;
}

bool shared_mutex::lock_shared_until(detail::steady_time deadline) {
  rw_waiter w;
  if (!wait_by(
          w, wait_reason::shared_mutex_rlock, deadline, [&] { return queue_reader(w); },
          [&] { give_up(readers_, w); })) {
    return false;
  }
  detail::race_acquire(writers_edge(this));
  return true;
}

void shared_mutex::unlock_shared_slow() {
  detail::race_release_merge(readers_edge(this));
  detail::stand_back others;
  for (;;) {
    std::uint32_t now = state_.load(std::memory_order_acquire);
    if ((now & wide) != 0) {
      if (my_cell().try_add(0 - reader_cell::share, std::memory_order_release)) return;
      const detail::lock_guard until_settled(lock_);
      continue;
    }
    if (now < one) detail::unlock_of_unshared();
    if ((now & (shared | pending)) == shared) {
      if (state_.compare_exchange_weak(now, now - one, std::memory_order_release,
                                       std::memory_order_relaxed)) {
        return;
      }
      readers_collide();
      others.wait();
      continue;
    }
    detail::ready_list woken;
    lock_.lock();
    const bool done = leave_share(woken);
    lock_.unlock();
    woken.ready_all();
    if (done) return;
  }
}

// Inside lock_. Gives a share up in the regimes where only this changes state_. False: look again.
bool shared_mutex::leave_share(detail::ready_list& woken) noexcept {
  const std::uint32_t now = state_.load(std::memory_order_relaxed);
  if ((now & (shared | pending)) == shared) return false;
  if (now < one) detail::unlock_of_unshared();
  const std::uint32_t next = now - one;
  if (next < one) {
    if ((now & pending) != 0 && pass_on(false, woken)) return true;
    if ((now & shared) != 0) {
      state_.store(shared | one, std::memory_order_release);  // see "Destruction"
      return false;
    }
  }
  state_.store(next < one ? 0 : next, std::memory_order_release);
  return true;
}

void shared_mutex::locked(detail::selectable& object) noexcept {
  const auto& m = static_cast<shared_mutex&>(object);
  detail::race_acquire(writers_edge(&m));
  detail::race_acquire(readers_edge(&m));
}

void shared_mutex::locked_shared(detail::selectable& object) noexcept {
  detail::race_acquire(writers_edge(&static_cast<shared_mutex&>(object)));
}

}  // namespace runnel

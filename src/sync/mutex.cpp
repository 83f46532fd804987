// The mutex. Go: internal/sync/mutex.go.
//
// state_: locked (1), waiting (2), shared (4), let_pass (8).
//
// Two regimes
//  - Not shared: state_ changes only inside the object lock, by plain stores. A mutex used by the
//    goroutines of one thread has the object lock's bias and is locked and unlocked without any
//    locked instruction; used by several threads in turn it costs one for each, as Go's does.
//  - Shared, once several threads have met in the slow path: a free mutex is taken, and one without
//    waiters is freed, by compare-and-swap on state_ alone. A thread that the kernel preempts then
//    stops others only while it holds the mutex itself, not in the middle of any attempt.
//    Everything about waiters still happens inside the object lock. Goes back when one thread's
//    goroutines have taken it so 512 times running.
//    seems_shared_ tells the regime, or what it was a moment ago, without a look at state_: whoever
//    looks first and then changes it moves the cache line twice (two threads, 22 ns of work between
//    sections of a bare lock: 46 ns a section; by compare-and-swap at once, with the hint on a line
//    of its own, 20 to 40).
//
// Waiting. Waiters queue first come, first served. An unlock that finds waiters either
//  - hands the mutex to the first one (locked stays set; w.ok tells it), when it has waited over
//    1 ms or cannot try again (a select, which is decided by being woken); or
//  - frees the mutex and wakes the first one, which has to compete with newcomers: whoever runs
//    already may lock and unlock many times before a wakened waiter runs, and handing over each
//    time would make them all wait for it (Go's measurements, and ours: MutexWork-like loops run 10
//    times slower). It is remembered as coming_, and until it has come no other is woken. If it
//    finds the mutex taken it queues in front again. While it is coming, every 16th unlock looks
//    whether its 1 ms is over and hands it the mutex on its way (w.given).
//    Until it has come all unlocks go through the object lock, and if it is queued behind the one
//    who locks again and again that is for up to 1 ms. So where nobody else waits each 16th of them
//    asks (let_pass) the one who locks next to let it run first: then both merely take turns at the
//    processor, and nobody waits here. (Mutex at two processors 16 -> 2.4 ns, MutexWork 36 -> 23.
//    Where others wait, too, they would all be made runnable so, on both processors, to fight on:
//    MutexSlack 25 instead of 5.5.)
//
// Invariants, all guarded by the object lock
//  - waiters_ not empty or coming_ set implies `waiting`; `waiting` alone is harmless.
//  - let_pass implies that the mutex is free and not shared: whoever takes it clears it.
//  - Mutex free and waiters_ not empty implies coming_ set: somebody will look after them.
//  - While the mutex is locked and the object lock held, nobody else changes state_, so that plain
//    stores are enough even when shared.
//  - coming_ goes through the object lock before it leaves lock(), so it stays valid while set.
//
// Destruction. The object may go once the last unlock has been observed. Not shared: the observer
// came through the object lock, whose leaving was the unlocker's last touch. Shared: the freeing
// compare-and-swap is the last touch when there are no waiters; when there are, one of them is
// inside lock() until it has got the object lock after us.
#include <runnel/detail/fatal.hpp>
#include <runnel/detail/park.hpp>
#include <runnel/sync/mutex.hpp>

#include "sync/spin.hpp"
#include "sync/timed_park.hpp"

namespace runnel {

namespace detail {

struct mutex_waiter : waiter {
  steady_time since{};  // when its wait began
  claim_word word;      // its claim where it has a deadline
  // The mutex became its own while it was coming; written inside the object lock.
  std::atomic<bool> given{false};
  bool waited = false;  // it has been queued before
};

}  // namespace detail

namespace {

using detail::mutex_waiter;

constexpr std::chrono::milliseconds patience{1};
constexpr std::uint16_t passes_between_looks = 16;  // at 35 ns a look
constexpr std::uint16_t meetings_to_share = 16;
constexpr std::uint16_t streak_to_part = 512;
// Looks at the mutex are far apart, because each takes the cache line away from the one who works
// with it, and end after about 1 us: some short critical sections, well under the price of a futex
// wake. (With 16 looks in 2 us the holder of an empty section is slowed down twofold; with 4, two
// that fight for a mutex come together on one processor less often: MutexWork 145 instead of 125.)
constexpr int looks = 2;
constexpr int relax_per_look = 30;

bool overdue(const mutex_waiter& w) noexcept {
  return std::chrono::steady_clock::now() - w.since > patience;
}

}  // namespace

bool mutex::try_take() noexcept {
  if (seems_shared_.load(std::memory_order_relaxed)) {
    std::uint32_t free = shared;
    if (state_.compare_exchange_strong(free, shared | locked, std::memory_order_acquire)) {
      note_taker();
      return true;
    }
    if ((free & locked) != 0) return false;
  }
  detail::stand_back others;
  for (;;) {
    std::uint32_t now = state_.load(std::memory_order_relaxed);
    if ((now & locked) != 0) return false;
    if ((now & shared) != 0) {
      if (state_.compare_exchange_weak(now, now | locked, std::memory_order_acquire)) {
        note_taker();
        return true;
      }
      others.wait();
      continue;
    }
    const detail::lock_guard guard(lock_);
    now = state_.load(std::memory_order_relaxed);
    if ((now & shared) != 0) continue;
    if ((now & locked) != 0) return false;
    state_.store((now | locked) & ~let_pass, std::memory_order_relaxed);
    return true;
  }
}

// Looks for a free mutex for a while. False: still taken, or not worth looking.
bool mutex::spin(const detail::parker* me, const mutex_waiter* w) noexcept {
  for (int look = 0;; ++look) {
    if ((state_.load(std::memory_order_relaxed) & locked) == 0) return true;
    if (w != nullptr && w->given.load(std::memory_order_relaxed)) return true;
    const detail::parker* holder = holder_.load(std::memory_order_relaxed);
    if (look == looks || holder == me || !detail::is_running(holder)) return false;
    for (int i = 0; i < relax_per_look; ++i) detail::cpu_relax();
  }
}

// Inside the object lock. Takes the mutex; or else sees to it that its unlock comes in here too.
bool mutex::take_or_announce() noexcept {
  std::uint32_t now = state_.load(std::memory_order_relaxed);
  for (;;) {
    const bool free = (now & locked) == 0;
    if (!free && (now & waiting) != 0) return false;
    const std::uint32_t next = free ? (now | locked) & ~let_pass : now | waiting;
    if ((now & shared) == 0) {
      state_.store(next, std::memory_order_relaxed);
      return free;
    }
    if (state_.compare_exchange_weak(now, next, std::memory_order_acquire)) return free;
  }
}

// Inside the object lock, the mutex being the caller's (or locked anyway): makes `waiting` exact.
void mutex::settle() noexcept {
  const std::uint32_t now = state_.load(std::memory_order_relaxed);
  const bool any = coming_ != nullptr || !waiters_.empty();
  state_.store(any ? now | waiting : now & ~waiting, std::memory_order_relaxed);
}

// Inside the object lock, the mutex being locked. Counts the threads that meet here.
void mutex::note_contention() noexcept {
  const std::uint32_t now = state_.load(std::memory_order_relaxed);
  const detail::thread* me = detail::current_thread();
  if (last_ == me) return;
  last_ = me;
  meetings_ = (now & shared) == 0 ? static_cast<std::uint16_t>(meetings_ + 1) : 0;
  if ((now & shared) != 0 || meetings_ < meetings_to_share) return;
  state_.store(now | shared, std::memory_order_release);
  seems_shared_.store(true, std::memory_order_relaxed);
  meetings_ = 0;
}

// The mutex is the caller's, who took it by compare-and-swap. Ends the shared regime once it has
// become a matter of one thread's goroutines, as those that block each other end up on one
// processor.
void mutex::note_taker() noexcept {
  const detail::thread* me = detail::current_thread();
  if (taker_ != me) {
    taker_ = me;
    streak_ = 0;
    return;
  }
  if (++streak_ < streak_to_part) return;
  streak_ = 0;
  const detail::lock_guard guard(lock_);
  seems_shared_.store(false, std::memory_order_relaxed);
  state_.store(state_.load(std::memory_order_relaxed) & ~shared, std::memory_order_release);
}

// One attempt of a waiter: true if it has the mutex now, else it is queued and may park.
bool mutex::take_or_queue(mutex_waiter& w) noexcept {
  if (!w.waited) w.since = std::chrono::steady_clock::now();
  const detail::lock_guard guard(lock_);
  if (coming_ == &w) coming_ = nullptr;
  if (w.given.load(std::memory_order_relaxed) || take_or_announce()) {
    settle();
    return true;
  }
  note_contention();
  if (w.waited) {
    waiters_.push_front(w);
  } else {
    waiters_.push_back(w);
    w.waited = true;
  }
  return false;
}

void mutex::lock_slow() {
  detail::give_way();
  detail::parker* const me = detail::self();
  if (!seems_shared_.load(std::memory_order_relaxed) &&
      (state_.load(std::memory_order_relaxed) & let_pass) != 0 &&
      me->what == detail::parker::kind::goroutine) {
    detail::yield();
  }
  if (!try_take() && !(spin(me, nullptr) && try_take())) {
    mutex_waiter w;
    w.who = me;
    w.slot = &w;
    while (!take_or_queue(w)) {
      detail::park(detail::wait_reason::mutex_lock);
      if (w.ok) break;
      spin(me, &w);
    }
  }
  holder_.store(me, std::memory_order_relaxed);
  detail::race_acquire(this);
}

bool mutex::try_lock_slow() noexcept {
  if (!try_take()) return false;
  const detail::thread* t = detail::current_thread();
  holder_.store(t != nullptr ? t->running : nullptr, std::memory_order_relaxed);
  detail::race_acquire(this);
  return true;
}

bool mutex::lock_until(detail::steady_time deadline) {
  mutex_waiter w;
  w.who = detail::self();
  w.slot = &w;
  w.claim = &w.word;
  while (!take_or_queue(w)) {
    if (!detail::park_by(detail::wait_reason::mutex_lock, w, deadline)) {
      const detail::lock_guard guard(lock_);
      waiters_.remove(w);
      return false;
    }
    if (w.ok) break;
    w.word.reset();  // woken to try again: nobody but coming_ knows w now
    spin(w.who, &w);
  }
  holder_.store(w.who, std::memory_order_relaxed);
  detail::race_acquire(this);
  return true;
}

void mutex::unlock_slow() {
  detail::race_release(this);
  if (seems_shared_.load(std::memory_order_relaxed)) {
    std::uint32_t held = shared | locked;
    if (state_.compare_exchange_strong(held, shared, std::memory_order_release)) return;
  }
  for (;;) {
    std::uint32_t now = state_.load(std::memory_order_relaxed);
    if ((now & locked) == 0) detail::fatal("unlock of unlocked mutex");
    if (now == (shared | locked)) {
      if (state_.compare_exchange_weak(now, shared, std::memory_order_release)) return;
      continue;
    }
    lock_.lock();
    now = state_.load(std::memory_order_relaxed);
    if (coming_ != nullptr || !waiters_.empty()) {
      release_with_waiters(now);
      return;
    }
    // In the shared regime freeing it must be the last touch, after leaving the object lock.
    state_.store((now & shared) != 0 ? shared | locked : 0, std::memory_order_relaxed);
    lock_.unlock();
    if ((now & shared) == 0) return;
  }
}

// Inside the object lock, which it leaves. Hands the mutex on or frees it.
void mutex::release_with_waiters(std::uint32_t now) noexcept {
  detail::parker* woken = nullptr;
  if (coming_ != nullptr) {
    if (++passes_ % passes_between_looks == 0) {
      if (overdue(*coming_)) {
        coming_->given.store(true, std::memory_order_relaxed);
        holder_.store(coming_->who, std::memory_order_relaxed);
        lock_.unlock();
        return;
      }
      if ((now & shared) == 0 && waiters_.empty()) now |= let_pass;
    }
  } else if (detail::waiter* w = waiters_.pop()) {
    woken = w->who;
    auto* again = static_cast<mutex_waiter*>(w->slot);
    if (again == nullptr || overdue(*again)) {
      w->ok = true;
      holder_.store(woken, std::memory_order_relaxed);
      settle();
      lock_.unlock();
      detail::ready(woken);
      return;
    }
    coming_ = again;
  }
  state_.store(now & ~locked, std::memory_order_release);
  lock_.unlock();
  if (woken != nullptr) detail::ready(woken);
}

bool mutex::try_now(detail::selectable& object, void*) noexcept {
  auto& m = static_cast<mutex&>(object);
  if (!m.take_or_announce()) return false;
  m.holder_.store(detail::current_thread()->running, std::memory_order_relaxed);
  m.settle();
  return true;
}

void mutex::enqueue(detail::selectable& object, detail::waiter& w, void*) noexcept {
  w.slot = nullptr;
  static_cast<mutex&>(object).waiters_.push_back(w);
}

void mutex::dequeue(detail::selectable& object, detail::waiter& w, void*) noexcept {
  static_cast<mutex&>(object).waiters_.remove(w);
}

}  // namespace runnel

// The mutex. Go: internal/sync/mutex.go.
//
// state_: locked (1), waiting (2), shared (4), let_pass (8), on_its_way (16).
//
// Two regimes
//  - Not shared: state_ changes only inside the object lock, by plain stores. A mutex used by the
//    goroutines of one thread has the object lock's bias and is locked and unlocked without any
//    locked instruction; used by several threads in turn it costs one for each, as Go's does.
//  - Shared, once several threads have taken it in turn: a free mutex is taken, and one without
//    waiters is freed, by compare-and-swap on state_ alone. A thread that the kernel preempts then
//    stops others only while it holds the mutex itself, not in the middle of any attempt.
//    Everything about waiters still happens inside the object lock. Goes back when one thread's
//    goroutines have taken it so 512 times running.
//    seems_shared_ tells the regime, or what it was a moment ago, without a look at state_: whoever
//    looks first and then changes it moves the cache line twice (two threads, 22 ns of work between
//    sections of a bare lock: 46 ns a section; by compare-and-swap at once, with the hint on a line
//    of its own, 20 to 40).
//
// Together or apart. Those who fight for a mutex come together on one processor, where its word
// stays, or work at the same time and pay for its way. Threads measure which is faster
// (lock_pace.hpp, mutex_pace.cpp), and better_ tells. When the shared regime begins they try first
// what being apart costs; then, unless windows without others have told, what being together does.
// Who finds the mutex taken
//  - apart, or not known: lets those run who wait for his processor, for up to 1 ms of which his
//  own
//    wait counts, and tries again, as the section is likely to be over by then; if there is nobody,
//    or he had no luck, he looks on, then parks, and is woken on another processor if one is idle.
//    Parking at once made twenty goroutines with 36 ns of work 57 ns a section instead of 34, now
//    [Go 36, together 43]: whoever is woken joins his waker's queue, and one processor has them
//    all.
//  - together: parks at once, which brings him together with the holder.
// They are apart again after 10 ms, twice that and so on up to 640 ms, to see whether it has
// changed; and forget what being together costs when it has not been seen for 4096 windows.
// Where neighbours keep the processor for long, nobody lets them run so for a while.
//
// Waiting. Waiters queue first come, first served. An unlock that finds waiters either
//  - hands the mutex to the first one (locked stays set; w.ok tells it), when it has waited over
//    1 ms or cannot try again (a select, which is decided by being woken); or
//  - frees the mutex and wakes the first one, which has to compete with newcomers: whoever runs
//    already may lock and unlock many times before a wakened waiter runs, and handing over each
//    time would make them all wait for it (Go's measurements, and ours: MutexWork-like loops run 10
//    times slower). It is remembered as coming_, and until it has come no other is woken. If it
//    finds the mutex taken it queues in front again. While it is coming, every 16th unlock looks
//    whether its 1 ms is over and hands it the mutex on its way (w.given). (By sysmon's clock, and
//    each 128th by its own; by that each time, MutexSlack at one processor was 5.0 instead of 4.2.)
//    Until it has come (on_its_way) the other unlocks just free the mutex: not shared, inline where
//    they have the object lock's bias; shared, by compare-and-swap. If it is queued behind
//    the one who locks again and again that is for up to 1 ms. So where nobody else waits each 16th
//    of them asks the one who locks next to let it run first: then both merely take turns at the
//    processor, and nobody waits here. (Not shared: by let_pass. Shared: only if this thread woke
//    it and they are not better off apart, by a note that the thread follows when it next locks
//    this mutex.) Mutex at two processors 16 -> 2.4 ns. Where others wait, too, they would all be
//    made runnable so, on both processors, to fight on: MutexSlack 25 instead of 5.5. When each
//    unlock looked after the one who was coming it took 180 ns in the shared regime, and MutexSlack
//    was 10 instead of 5.5.
//
// Invariants, all guarded by the object lock
//  - waiters_ not empty or coming_ set implies `waiting`; `waiting` alone is harmless.
//  - let_pass implies that the mutex is free and not shared: whoever takes it clears it.
//  - Mutex free and waiters_ not empty implies coming_ set: somebody will look after them.
//  - on_its_way is set just while coming_ is. Whoever comes clears it, by a locked instruction,
//    before he looks whether the mutex is free: of him and the holder, who in the shared regime
//    frees it outside of the object lock only as long as it is set, one sees the other. If the
//    holder's swap came first, he finds the mutex free; if not, it fails, and the unlock comes in
//    here and finds him queued.
//  - While the mutex is locked and the object lock held, nobody outside of that but the mutex's
//    holder changes state_, and he only while `waiting` is clear or on_its_way set. So plain stores
//    are enough even when shared, for the holder himself and for whoever is inside while `waiting`
//    is set and on_its_way clear.
//  - coming_ goes through the object lock before it leaves lock(), so it stays valid while set.
//
// Destruction. The object may go once the last unlock has been observed. Not shared: the observer
// came through the object lock, whose leaving was the unlocker's last touch. Shared: what frees it,
// a compare-and-swap or, by who has the object lock's bias and takes the regime for the other one,
// a store, is the last touch when there
// are no waiters, or one is on its way, who is inside lock() still; when there are others, one of
// them is inside lock() until it has got the object lock after us.
#include <algorithm>
#include <runnel/detail/fatal.hpp>
#include <runnel/detail/park.hpp>
#include <runnel/sync/mutex.hpp>

#include "runtime/scheduler.hpp"
#include "sync/lock_pace.hpp"
#include "sync/mutex_patience.hpp"
#include "sync/spin.hpp"
#include "sync/timed_park.hpp"

namespace runnel {

namespace detail {

struct mutex_waiter : waiter {
  steady_time since{};  // when its wait began
  claim_word word;      // its claim where it has a deadline
  // The mutex became its own while it was coming; written inside the object lock.
  std::atomic<bool> given{false};
  const thread* woken_by = nullptr;  // guarded by the object lock
  bool waited = false;               // it has been queued before
};

}  // namespace detail

namespace {

using detail::mutex_waiter;

using detail::mutex_patience;
using detail::steady_time;
// Between looks at the mutex, doubling: each takes the cache line away from the one who works with
// it, but sections are mostly short. 30 pauses are about half a microsecond.
constexpr int most_pauses = 30;
constexpr int tries = 16;  // to take it when it was seen free; then one queues

// Looks at somebody who holds the mutex, on another CPU, before parking. Those who are better off
// apart wait so only for one whose CPU was taken away for a moment, or is slow to get the cache
// line; those who are not had better be together soon. The unknown may have long sections.
int looks(detail::better b) noexcept {
  switch (b) {
    case detail::better::together:
      return 0;
    case detail::better::apart:
      return 16;
    case detail::better::unknown:
      break;
  }
  return 8;
}

bool overdue(const mutex_waiter& w) noexcept {
  return std::chrono::steady_clock::now() - w.since > mutex_patience;
}

// The same, or false for what sysmon's clock does not know yet: some 1 ms.
bool known_overdue(const mutex_waiter& w) noexcept {
  const std::chrono::nanoseconds coarse(runtime::coarse_now.load(std::memory_order_relaxed));
  return steady_time(coarse) - w.since > mutex_patience;
}

}  // namespace

// The mutex is the caller's, who took it by compare-and-swap.
RUNNEL_INLINE void mutex::note_take(detail::thread* me) noexcept {
  ++takes_;
  if (me != nullptr && detail::window_ends(me->pace, this)) end_window(me);
}

// Takes the mutex if it is free.
bool mutex::try_take() noexcept {
  detail::stand_back others;
  for (;;) {
    std::uint32_t now = state_.load(std::memory_order_relaxed);
    if ((now & locked) != 0) return false;
    if ((now & shared) != 0) {
      if (state_.compare_exchange_weak(now, now | locked, std::memory_order_acquire)) {
        note_take(detail::current_thread());
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
    note_turn();
    return true;
  }
}

// The same where it seems shared, without a look at state_ before: see there. False: perhaps taken.
RUNNEL_INLINE bool mutex::take_shared(detail::thread* me) noexcept {
  if (!seems_shared_.load(std::memory_order_relaxed)) return false;
  std::uint32_t now = shared;
  do {
    if (state_.compare_exchange_strong(now, now | locked, std::memory_order_acquire)) {
      note_take(me);
      return true;
    }
  } while ((now & (locked | shared)) == shared);
  return false;
}

// Does the one who took it, as far as one sees, run on another CPU now?
bool mutex::held_elsewhere(const detail::parker* me) const noexcept {
  const detail::parker* holder = holder_.load(std::memory_order_relaxed);
  return holder != me && detail::is_running(holder);
}

// Looks for a free mutex for a while. False: still taken, or not worth looking.
bool mutex::spin(const detail::parker* me, const mutex_waiter* w) noexcept {
  const int most = looks(better_.load(std::memory_order_relaxed));
  for (int look = 0;; ++look) {
    if ((state_.load(std::memory_order_relaxed) & locked) == 0) return true;
    if (w != nullptr && w->given.load(std::memory_order_relaxed)) return true;
    if (look == most) return false;
    // Whoever took it just now, by compare-and-swap, has not written his name yet.
    const bool named = look != 0 || !seems_shared_.load(std::memory_order_relaxed);
    if (named && !held_elsewhere(me)) return false;
    const int pauses = std::min(2 << look, most_pauses);
    for (int i = 0; i < pauses; ++i) detail::cpu_relax();
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
    if (!state_.compare_exchange_weak(now, next, std::memory_order_acquire)) continue;
    if (free) {
      ++takes_;
      if (detail::thread* me = detail::current_thread()) detail::count_take(me->pace, this);
    }
    return free;
  }
}

// Inside the object lock, the mutex being the caller's (or locked anyway): makes `waiting` exact.
void mutex::settle() noexcept {
  const std::uint32_t now = state_.load(std::memory_order_relaxed);
  const bool any = coming_ != nullptr || !waiters_.empty();
  state_.store(any ? now | waiting : now & ~waiting, std::memory_order_relaxed);
}

// One attempt of a waiter: true if it has the mutex now, else it is queued and may park.
bool mutex::take_or_queue(mutex_waiter& w) noexcept {
  if (w.since == steady_time{}) w.since = std::chrono::steady_clock::now();
  const detail::lock_guard guard(lock_);
  if (coming_ == &w) {
    coming_ = nullptr;
    state_.fetch_and(~on_its_way, std::memory_order_relaxed);
  }
  if (w.given.load(std::memory_order_relaxed) || take_or_announce()) {
    settle();
    return true;
  }
  if (w.waited) {
    waiters_.push_front(w);
  } else {
    waiters_.push_back(w);
    w.waited = true;
  }
  return false;
}

// The notes of end_window and release_with_waiters. The caller holds no object lock.
[[gnu::noinline]] void mutex::run_errand(detail::thread* me) {
  detail::end_errand(me->pace);
  if (!me->pace.let_pass) {
    me->pace.disturbed = true;  // as waking somebody takes 4 us
    detail::call_for_help();
  } else if (me->running != me) {
    detail::yield();
  }
}

void mutex::lock_slow() {
  detail::give_way();
  detail::thread* me = detail::current_thread();
  if (me != nullptr && me->pace.errand_at == this) {
    run_errand(me);
    me = detail::current_thread();
  }
  if (me != nullptr && take_shared(me)) {
    holder_.store(me->running, std::memory_order_relaxed);
    detail::race_acquire(this);
  } else {
    lock_contended();
  }
}

// Apart from lock_slow, which is short so that the mutex is held as briefly as may be.
[[gnu::noinline]] void mutex::lock_contended() {
  detail::parker* const me = detail::self();
  if (better_.load(std::memory_order_relaxed) == detail::better::together) try_again_in_time();
  if (!seems_shared_.load(std::memory_order_relaxed) &&
      (state_.load(std::memory_order_relaxed) & let_pass) != 0 &&
      me->what == detail::parker::kind::goroutine) {
    detail::yield();
  }
  steady_time since{};
  bool mine = try_take() || take_after_neighbours(me, since);
  for (int n = 0; !mine && n < tries && spin(me, nullptr); ++n) mine = try_take();
  if (!mine) {
    mutex_waiter w;
    w.who = me;
    w.slot = &w;
    w.since = since;
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
  detail::thread* const t = detail::current_thread();
  if (!(t != nullptr && take_shared(t)) && !try_take()) return false;
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
  std::uint32_t now = state_.load(std::memory_order_relaxed);
  for (;;) {
    if ((now & locked) == 0) detail::fatal("unlock of unlocked mutex");
    if (now == (shared | locked) || ((now & shared) != 0 && passes(now))) {
      if (state_.compare_exchange_weak(now, now & ~locked, std::memory_order_release)) return;
      continue;
    }
    lock_.lock();
    now = state_.load(std::memory_order_relaxed);
    if (coming_ != nullptr || !waiters_.empty()) {
      release_with_waiters(now);
      return;
    }
    // In the shared regime freeing it must be the last touch, after leaving the object lock.
    const std::uint32_t next = (now & shared) != 0 ? shared | locked : 0;
    state_.store(next, std::memory_order_relaxed);
    lock_.unlock();
    if (next == 0) return;
    now = next;
  }
}

// Inside the object lock, which it leaves. Hands the mutex on or frees it.
void mutex::release_with_waiters(std::uint32_t now) noexcept {
  detail::parker* woken = nullptr;
  const bool apart = better_.load(std::memory_order_relaxed) != detail::better::together;
  if (coming_ != nullptr) {
    const std::uint16_t pass = passes_++;
    if (pass % passes_between_looks == 0) {
      // The clock takes as long as ten sections: it is asked each eighth time.
      if (pass % (8 * passes_between_looks) == 0 ? overdue(*coming_) : known_overdue(*coming_)) {
        coming_->given.store(true, std::memory_order_relaxed);
        holder_.store(coming_->who, std::memory_order_relaxed);
        lock_.unlock();
        return;
      }
      if (waiters_.empty()) {
        detail::thread* const me = detail::current_thread();
        if ((now & shared) == 0) {
          now |= let_pass;
        } else if (!apart && me != nullptr && coming_->woken_by == me) {
          detail::note_errand(me->pace, this, true);
        }
      }
    }
  } else if (detail::waiter* w = waiters_.pop()) {
    // Waking somebody takes longer than the window's other takes together.
    if (detail::thread* me = detail::current_thread(); me != nullptr) me->pace.disturbed = true;
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
    again->woken_by = detail::current_thread();
    coming_ = again;
    now |= on_its_way;
  }
  state_.store(now & ~locked, std::memory_order_release);
  lock_.unlock();
  if (woken == nullptr) return;
  if (apart) {
    detail::ready_elsewhere(woken);
  } else {
    detail::ready(woken);
  }
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

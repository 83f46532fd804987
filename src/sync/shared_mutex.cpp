// The reader-writer lock. Go: sync/rwmutex.go.
//
// state_: shares * 16 | wide (8) | shared (4) | pending (2) | writer (1).
//
// Three regimes
//  - Not shared: state_ changes only inside lock_, by plain stores; one thread's goroutines read
//  and
//    write without locked instructions, by lock_'s bias. (Go: two for a reader, four for a writer.)
//  - Shared, once several threads have met in slow paths: while `pending` is not set, shares and
//  the
//    writer's bit are taken and given back by compare-and-swap on state_. Never goes back.
//  - Wide, while readers collide and no writer comes: shares are counted in cells, one cache line
//    per processor, so that readers on different processors write no common line. state_ is then
//    only read. A writer closes the cells, which brings their sum into state_, and learns how many
//    readers there were meanwhile: if they were worth the price of closing and opening, it opens
//    them again when it is done; if not, they stay closed until readers have collided twice as
//    often as it took before.
//
// Invariants
//  - `pending` is set exactly while someone waits, and then state_ changes only inside lock_. It
//    implies that a writer holds the lock, or that one waits: readers wait for nothing else.
//  - wide implies neither writer nor pending. Cells are opened after `wide` was set and closed
//  before
//    it is cleared, so that whoever changes an open cell does so in the wide regime; who finds one
//    closed goes through lock_ and looks again.
//  - A share may be given back in another cell than it was taken from, or in state_: only the sum
//    counts. A share taken before the cells were closed is in the sum.
//  - Whoever gives up the last share, or the writer's, while someone waits passes the lock on
//  inside
//    lock_: a writer's successors are all waiting readers, else the next writer; the last reader's
//    is the next writer. Being woken is having it.
//
// Destruction. The object may go once the last unlock has been observed. A compare-and-swap is its
// author's last touch; so is leaving lock_ for one who handed on (the successors are made ready
// after that) or was not the last reader. One who finds nobody to hand on to in the shared regime
// settles `pending`, leaves lock_, and only then gives up what it holds.
#include <algorithm>
#include <bit>
#include <new>
#include <runnel/detail/cache_line.hpp>
#include <runnel/detail/fatal.hpp>
#include <runnel/detail/park.hpp>
#include <runnel/sync/shared_mutex.hpp>

#include "runtime/scheduler.hpp"
#include "sync/ready_list.hpp"
#include "sync/spin.hpp"
#include "sync/timed_park.hpp"

namespace runnel {

namespace detail {

// word: shares taken since it was opened * 2^32 | (taken - given back) * 2 | closed. The middle
// number may be negative; it has then borrowed one from the first.
struct alignas(cache_line) reader_cell {
  static constexpr std::uint64_t closed = 1;
  static constexpr std::uint64_t share = 2;
  static constexpr std::uint64_t taken = std::uint64_t{1} << 32;
  std::atomic<std::uint64_t> word{closed};
};

}  // namespace detail

namespace {

using detail::reader_cell;
using detail::wait_reason;

constexpr std::uint16_t changes_to_share = 4;
constexpr std::uint32_t least_collisions_to_open = 16;
constexpr std::uint32_t most_collisions_to_open = 4096;
// So many readers between two writers make up for closing and opening the cells (some 0.3 us, of
// which a reader that does not collide saves some 100 ns; at 16 one write in 10 is twice as slow).
constexpr std::uint64_t readers_worth_opening = 4;
constexpr int spin_rounds = 8;
constexpr int relax_per_round = 8;

// The two names under which the edges of the memory model are announced.
const void* writers_edge(const void* m) noexcept { return m; }
const void* readers_edge(const void* m) noexcept { return static_cast<const char*>(m) + 1; }

[[noreturn]] void unlocked() noexcept { detail::fatal("sync: Unlock of unlocked RWMutex"); }
[[noreturn]] void unshared() noexcept { detail::fatal("sync: RUnlock of unlocked RWMutex"); }

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

// Inside lock_. Counts the threads that meet here.
void shared_mutex::note_thread() noexcept {
  const detail::thread* me = detail::current_thread();
  std::uint32_t now = state_.load(std::memory_order_relaxed);
  if ((now & shared) != 0 || last_ == me) return;
  last_ = me;
  if (++changes_ >= changes_to_share) state_.store(now | shared, std::memory_order_release);
}

reader_cell& shared_mutex::my_cell() noexcept {
  const runtime::machine* m = runtime::current_machine();
  const runtime::processor* p = m != nullptr ? m->p : nullptr;
  const std::size_t index =
      p != nullptr ? p->index : reinterpret_cast<std::uintptr_t>(m) / sizeof(runtime::machine);
  return cells_[index & cell_mask_];
}

void shared_mutex::readers_collide() noexcept {
  const std::uint32_t n = collisions_.load(std::memory_order_relaxed) + 1;
  collisions_.store(n, std::memory_order_relaxed);
  if (n >= collisions_to_open_.load(std::memory_order_relaxed)) open_cells();
}

// Readers collide: begins the wide regime unless a writer has come.
void shared_mutex::open_cells() noexcept {
  const detail::lock_guard guard(lock_);
  std::uint32_t now = state_.load(std::memory_order_relaxed);
  collisions_.store(0, std::memory_order_relaxed);
  if (cells_ == nullptr) {
    const unsigned procs = runtime::sched != nullptr ? runtime::sched->procs.load() : 1U;
    const unsigned n = std::bit_ceil(std::clamp(procs, 2U, 64U));
    cells_ = new (std::nothrow) reader_cell[n];
    if (cells_ == nullptr) return;
    cell_mask_ = static_cast<std::uint8_t>(n - 1);
  }
  do {
    if ((now & flags) != shared) return;
  } while (!change(now, now | wide));
  fill_cells(0);
}

// Inside lock_, `wide` being set.
void shared_mutex::fill_cells(std::uint64_t word) noexcept {
  for (std::size_t i = 0; i <= cell_mask_; ++i) {
    cells_[i].word.store(word, std::memory_order_release);
  }
}

// Inside lock_. Ends the wide regime if it is on.
void shared_mutex::close_cells() noexcept {
  const std::uint32_t now = state_.load(std::memory_order_relaxed);
  if ((now & wide) == 0) return;
  std::int64_t shares = now / one;
  std::uint64_t readers = 0;
  for (std::size_t i = 0; i <= cell_mask_; ++i) {
    const std::uint64_t word =
        cells_[i].word.exchange(reader_cell::closed, std::memory_order_acq_rel);
    readers += word / reader_cell::taken;
    shares += static_cast<std::int32_t>(static_cast<std::uint32_t>(word)) >> 1;
  }
  if (shares < 0) unshared();
  reopen_ = readers >= readers_worth_opening;
  const std::uint32_t n = collisions_to_open_.load(std::memory_order_relaxed);
  collisions_to_open_.store(
      reopen_ ? least_collisions_to_open : std::min(2 * n, most_collisions_to_open),
      std::memory_order_relaxed);
  state_.store(static_cast<std::uint32_t>(shares) * one + shared, std::memory_order_release);
}

// The last one to unlock may still be inside lock_, having opened the cells.
void shared_mutex::free_cells() noexcept {
  lock_.lock();
  lock_.unlock();
  delete[] cells_;
}

bool shared_mutex::try_exclusive() noexcept {
  std::uint32_t now = state_.load(std::memory_order_relaxed);
  for (;;) {
    if ((now & (writer | pending)) != 0 || ((now & wide) == 0 && now >= one)) return false;
    if ((now & (shared | wide)) == shared) {
      if (state_.compare_exchange_weak(now, now | writer, std::memory_order_acquire,
                                       std::memory_order_relaxed)) {
        return true;
      }
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
  std::uint32_t now = state_.load(std::memory_order_acquire);
  for (;;) {
    if ((now & (writer | pending)) != 0) return false;
    if ((now & wide) != 0) {
      auto& cell = my_cell().word;
      std::uint64_t n = cell.load(std::memory_order_relaxed);
      while ((n & reader_cell::closed) == 0) {
        if (cell.compare_exchange_weak(n, n + reader_cell::taken + reader_cell::share,
                                       std::memory_order_acquire, std::memory_order_relaxed)) {
          return true;
        }
      }
      const detail::lock_guard until_settled(lock_);
    } else if ((now & shared) != 0) {
      if (state_.compare_exchange_weak(now, now + one, std::memory_order_acquire,
                                       std::memory_order_relaxed)) {
        return true;
      }
      readers_collide();
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

// True: the caller holds the lock. False: it is queued and must park.
bool shared_mutex::queue_writer(detail::waiter& w) noexcept {
  const detail::lock_guard guard(lock_);
  note_thread();
  close_cells();
  std::uint32_t now = state_.load(std::memory_order_acquire);
  for (;;) {
    const bool free = (now & (writer | pending)) == 0 && now < one;
    if (!change(now, now | (free ? writer : pending))) continue;
    if (!free) writers_.push_back(w);
    return free;
  }
}

bool shared_mutex::queue_reader(detail::waiter& w) noexcept {
  const detail::lock_guard guard(lock_);
  note_thread();
  std::uint32_t now = state_.load(std::memory_order_acquire);
  for (;;) {
    if ((now & wide) != 0) {
      my_cell().word.fetch_add(reader_cell::taken + reader_cell::share, std::memory_order_acquire);
      return true;
    }
    const bool free = (now & (writer | pending)) == 0;
    if (!change(now, free ? now + one : now | pending)) continue;
    if (!free) readers_.push_back(w);
    return free;
  }
}

// Inside lock_. Gives each waiting reader its share.
void shared_mutex::admit_readers(std::uint32_t& now, detail::ready_list& woken) noexcept {
  while (detail::waiter* w = readers_.pop()) {
    woken.add(w);
    now += one;
  }
}

// Inside lock_; the caller is the last to hold the lock, `now` is state_ without what it holds.
// Passes the lock on; false: to nobody, and nothing has changed.
bool shared_mutex::hand_on(std::uint32_t now, bool readers_first,
                           detail::ready_list& woken) noexcept {
  now &= shared;
  if (readers_first) admit_readers(now, woken);
  if (now < one) {
    if (detail::waiter* w = writers_.pop()) {
      woken.add(w);
      now |= writer;
      holder_.store(w->who, std::memory_order_relaxed);
    } else {
      admit_readers(now, woken);
      if (now < one) return false;
    }
  }
  state_.store(someone_waits() ? now | pending : now, std::memory_order_release);
  return true;
}

// A wait ended without the lock. Those it kept out may go on.
void shared_mutex::give_up(detail::wait_queue& queue, detail::waiter& w) noexcept {
  detail::ready_list woken;
  lock_.lock();
  queue.remove(w);
  std::uint32_t now = state_.load(std::memory_order_relaxed);
  if ((now & pending) != 0) {
    if ((now & writer) == 0 && writers_.empty()) admit_readers(now, woken);
    if (!someone_waits()) now &= ~pending;
    state_.store(now, std::memory_order_release);
  }
  lock_.unlock();
  woken.ready_all();
}

// Looks on for a moment; true: it was free.
bool shared_mutex::spin(bool for_share) noexcept {
  for (int round = 0; round < spin_rounds; ++round) {
    const std::uint32_t now = state_.load(std::memory_order_relaxed);
    if ((now & pending) != 0) return false;
    if ((now & writer) != 0) {
      if (!detail::is_running(holder_.load(std::memory_order_relaxed))) return false;
    } else if (for_share || now < one) {
      return true;
    } else if ((now & shared) == 0) {
      return false;  // the readers share this thread, or have not been seen on another
    }
    for (int i = 0; i < relax_per_round; ++i) detail::cpu_relax();
  }
  return false;
}

void shared_mutex::lock_slow() {
  detail::waiter w;
  w.who = detail::self();
  if (!try_exclusive() && !(spin(false) && try_exclusive()) && !queue_writer(w)) {
    detail::park(wait_reason::shared_mutex_lock);
  }
  holder_.store(w.who, std::memory_order_relaxed);
  detail::race_acquire(writers_edge(this));
  detail::race_acquire(readers_edge(this));
}

bool shared_mutex::try_lock_slow() noexcept {
  if (!try_exclusive()) return false;
  const detail::thread* t = detail::current_thread();
  holder_.store(t != nullptr ? t->running : nullptr, std::memory_order_relaxed);
  detail::race_acquire(writers_edge(this));
  detail::race_acquire(readers_edge(this));
  return true;
}

bool shared_mutex::lock_until(detail::steady_time deadline) {
  detail::claim_word claim;
  detail::waiter w;
  w.who = detail::self();
  w.claim = &claim;
  if (!queue_writer(w) && !detail::park_by(wait_reason::shared_mutex_lock, w, deadline)) {
    give_up(writers_, w);
    return false;
  }
  holder_.store(w.who, std::memory_order_relaxed);
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
  if (hand_on(now, true, woken)) return true;
  if ((now & shared) == 0) {
    state_.store(0, std::memory_order_release);
    return true;
  }
  if (!reopen_) {
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
  if (!try_share() && !(spin(true) && try_share())) {
    detail::waiter w;
    w.who = detail::self();
    if (!queue_reader(w)) detail::park(wait_reason::shared_mutex_rlock);
  }
  detail::race_acquire(writers_edge(this));
}

bool shared_mutex::try_lock_shared_slow() noexcept {
  if (!try_share()) return false;
  detail::race_acquire(writers_edge(this));
  return true;
}

bool shared_mutex::lock_shared_until(detail::steady_time deadline) {
  detail::claim_word claim;
  detail::waiter w;
  w.who = detail::self();
  w.claim = &claim;
  if (!queue_reader(w) && !detail::park_by(wait_reason::shared_mutex_rlock, w, deadline)) {
    give_up(readers_, w);
    return false;
  }
  detail::race_acquire(writers_edge(this));
  return true;
}

void shared_mutex::unlock_shared_slow() {
  detail::race_release_merge(readers_edge(this));
  for (;;) {
    std::uint32_t now = state_.load(std::memory_order_acquire);
    if ((now & wide) != 0) {
      auto& cell = my_cell().word;
      std::uint64_t n = cell.load(std::memory_order_relaxed);
      while ((n & reader_cell::closed) == 0) {
        if (cell.compare_exchange_weak(n, n - reader_cell::share, std::memory_order_release,
                                       std::memory_order_relaxed)) {
          return;
        }
      }
      const detail::lock_guard until_settled(lock_);
      continue;
    }
    if (now < one) unshared();
    if ((now & (shared | pending)) == shared) {
      if (state_.compare_exchange_weak(now, now - one, std::memory_order_release,
                                       std::memory_order_relaxed)) {
        return;
      }
      readers_collide();
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
  if (now < one) unshared();
  const std::uint32_t next = now - one;
  if (next < one) {
    if (hand_on(next, false, woken)) return true;
    if ((now & shared) != 0) {
      state_.store(shared | one, std::memory_order_release);  // see "Destruction"
      return false;
    }
  }
  state_.store(next < one ? 0 : next, std::memory_order_release);
  return true;
}

}  // namespace runnel

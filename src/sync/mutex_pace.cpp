// How a mutex learns whether those who fight for it are better off together or apart, and what they
// do while they are apart. See the head of mutex.cpp; the measuring itself is lock_pace.hpp.
#include <algorithm>
#include <chrono>
#include <runnel/detail/park.hpp>
#include <runnel/sync/mutex.hpp>

#include "runtime/scheduler.hpp"
#include "sync/lock_pace.hpp"
#include "sync/mutex_patience.hpp"

namespace runnel {

namespace {

constexpr std::uint16_t turns_to_share = 16;
constexpr std::uint16_t streak_to_part = 512;
constexpr std::uint16_t longest_truce_ms = 640;
constexpr int most_yields = 4;

std::uint32_t coarse_ms() noexcept {
  return static_cast<std::uint32_t>(runtime::coarse_now.load(std::memory_order_relaxed) /
                                    1'000'000);
}

/// Has sysmon asked this thread to let others have its processor?
bool wanted_by_others() noexcept {
  const runtime::machine* m = runtime::current_machine();
  return m != nullptr && m->p != nullptr && m->p->attention.load(std::memory_order_relaxed);
}

}  // namespace

// The mutex is the caller's. Every thread that takes it finds at the end of its window that what it
// knows of being apart is of before.
void mutex::begin_trial(detail::thread* me) noexcept {
  takes_ += detail::regimes_apart;
  if (me != nullptr) detail::next_window(me->pace, this, takes_, arch::ticks());
  tried_ms_.store(coarse_ms(), std::memory_order_relaxed);
  better_.store(detail::better::unknown, std::memory_order_relaxed);
}

// Inside the object lock, not shared, the mutex being the caller's since just now.
void mutex::note_turn() noexcept {
  detail::thread* const me = detail::current_thread();
  if (last_ == me) return;
  last_ = me;
  if (++turns_ < turns_to_share) return;
  turns_ = 0;
  streak_ = 0;
  try_anew_.store(false, std::memory_order_relaxed);
  begin_trial(me);
  state_.store(state_.load(std::memory_order_relaxed) | shared, std::memory_order_release);
  seems_shared_.store(true, std::memory_order_relaxed);
}

// The mutex is the caller's. Ends the shared regime once it has become a matter of one thread's
// goroutines.
void mutex::end_window(detail::thread* me) noexcept {
  // What is inline does not give way.
  if (me->pace.errand_at != this && wanted_by_others()) {
    detail::note_errand(me->pace, this, true);
  }
  const std::uint32_t threads = std::max(2U, runtime::sched->procs.load(std::memory_order_relaxed));
  const detail::window kind =
      detail::next_window(me->pace, this, takes_, arch::ticks(), 4 * detail::pace_window * threads);
  if (kind == detail::window::nothing) return;
  if (try_anew_.load(std::memory_order_relaxed)) {
    try_anew_.store(false, std::memory_order_relaxed);
    begin_trial(me);
    return;
  }
  const detail::better b = detail::judge(me->pace);
  if (b != detail::better::unknown && b != better_.load(std::memory_order_relaxed)) {
    better_.store(b, std::memory_order_relaxed);
    if (b == detail::better::apart) {
      try_after_ms_.store(first_truce_ms, std::memory_order_relaxed);
    }
  }
  if (kind == detail::window::alone && b != detail::better::together && me->pace.calls != 0) {
    --me->pace.calls;
    detail::note_errand(me->pace, this, false);
  }
  streak_ =
      kind == detail::window::alone ? static_cast<std::uint16_t>(streak_ + detail::pace_window) : 0;
  if (streak_ < streak_to_part) return;
  streak_ = 0;
  const detail::lock_guard guard(lock_);
  seems_shared_.store(false, std::memory_order_relaxed);
  state_.store(state_.load(std::memory_order_relaxed) & ~shared, std::memory_order_release);
}

// Those who are better off together do not stay apart long enough to find that this has changed.
void mutex::try_again_in_time() noexcept {
  const std::uint32_t now = coarse_ms();
  const std::uint16_t after = try_after_ms_.load(std::memory_order_relaxed);
  if (static_cast<std::int32_t>(now - tried_ms_.load(std::memory_order_relaxed)) < after) return;
  tried_ms_.store(now, std::memory_order_relaxed);
  if (after < longest_truce_ms) {
    try_after_ms_.store(static_cast<std::uint16_t>(2 * after), std::memory_order_relaxed);
  }
  better_.store(detail::better::unknown, std::memory_order_relaxed);
  try_anew_.store(true, std::memory_order_relaxed);
}

// Lets those run who wait for the caller's processor, one turn each, while the holder runs on
// another one as far as one sees, and tries again. (On this one he would be in no hurry, as nobody
// would be queued here.) `since` is set to when that began. True: taken.
bool mutex::take_after_neighbours(const detail::parker* me, detail::steady_time& since) noexcept {
  if (me->what != detail::parker::kind::goroutine) return false;
  // Before the clock is asked.
  if (better_.load(std::memory_order_relaxed) == detail::better::together) return false;
  const auto begun = std::chrono::steady_clock::now();
  auto now = begun;
  for (int n = 0; n < most_yields && now - begun < detail::mutex_patience; ++n) {
    if (better_.load(std::memory_order_relaxed) == detail::better::together) return false;
    const runtime::machine* m = runtime::current_machine();
    if (m->p == nullptr || m->p->looks_empty() || !held_elsewhere(me)) return false;
    if (!detail::neighbours_are_quick(m->pace, now)) return false;
    since = begun;
    detail::yield();
    const auto then = std::chrono::steady_clock::now();
    detail::note_neighbours(detail::current_thread()->pace, now, then);
    now = then;
    if (try_take()) return true;
  }
  return false;
}

}  // namespace runnel

// The rare half of detail/object_lock.hpp; the protocol is written there.
#include <runnel/detail/object_lock.hpp>

#include "arch/runtime_lock.hpp"
#include "arch/ticks.hpp"
#include "runtime/fence.hpp"
#include "runtime/join.hpp"

namespace runnel::detail {
namespace {

// How often running one thread must have taken the lock before it is biased to it. A revocation
// costs about 150 locked instructions (1.1 us against 7.5 ns), hence the first threshold; it
// doubles with every revocation up to 2^max_doublings times: revocations then cost at most a
// seventh of what a bias saves. (Up to 2^5, a mutex whose goroutines meet in vain now and then is
// hardly ever biased: MutexWorkSlack at two processors 32 instead of 24 ns.)
constexpr std::uint32_t first_streak = 128;
constexpr std::uint8_t max_doublings = 3;

}  // namespace

void object_lock::acquire_word() noexcept {
  if (word_.exchange(1, std::memory_order_acquire) != 0) wait_for_word();
}

// False: only after a nap or more.
bool object_lock::wait_for_word() noexcept {
  // Each look takes the cache line away from whoever is inside, and what it guards with it, for
  // half a microsecond. Looks therefore grow rare, up to 10 us: a lock that two threads fight for
  // then stays with one for some hundred sections at a time. (One look after each pause:
  // ChanContended at two processors 18.5 us, so 8.)
  constexpr int most_pauses = 256;
  for (int pauses = 8; pauses <= most_pauses; pauses *= 2) {
    for (int i = 0; i < pauses; ++i) runtime::cpu_relax();
    if (word_.load(std::memory_order_relaxed) == 0 &&
        word_.exchange(1, std::memory_order_acquire) == 0) {
      return true;
    }
  }
  runtime::backoff b;
  do {
    while (word_.load(std::memory_order_relaxed) != 0) b.wait();
  } while (word_.exchange(1, std::memory_order_acquire) != 0);
  return false;
}

void object_lock::revoke(thread* owner) noexcept {
  owner_.store(nullptr, std::memory_order_relaxed);
  runtime::heavy_fence();
  runtime::backoff b;
  for (auto& slot : owner->holding) {
    while (slot.load(std::memory_order_acquire) == this) b.wait();
  }
}

void object_lock::lock_slow(thread* me) noexcept {
  acquire_word();
  note_entry(me);
}

// Inside word_, which me has waited for. True: it was left, and the goroutine has gone over.
bool object_lock::join_last(thread* me, std::uint64_t begun, bool soon) noexcept {
  if (!soon) {
    runtime::forget_lock_waits(me->crowd);
    return false;
  }
  const std::uint32_t crowded = runtime::note_lock_wait(me->crowd, begun, arch::ticks());
  const bool went_last = went_ == me->number + 1;
  thread* const with = last_;
  if (crowded < (went_last ? runtime::crowded_again : runtime::crowded_first) || with == nullptr ||
      with == me) {
    return false;
  }
  runtime::forget_lock_waits(me->crowd);
  went_ = me->number + 1;
  word_.store(0, std::memory_order_release);
  runtime::join_processor_of(with);
  return true;
}

void object_lock::lock_joining_slow() noexcept {
  thread* me = current_thread();
  if (word_.exchange(1, std::memory_order_acquire) != 0) {
    const std::uint64_t begun = arch::ticks();
    const bool soon = wait_for_word();
    if (me != nullptr && join_last(me, begun, soon)) {
      me = current_thread();
      if (enter_biased(me, 0)) return;
      acquire_word();
    }
  }
  note_entry(me);
}

// Inside word_, since just now.
void object_lock::note_entry(thread* me) noexcept {
  thread* owner = owner_.load(std::memory_order_relaxed);
  if (owner != nullptr) {
    // The owner comes here only after a visit (unlock_visit gave the bias back meanwhile); it is
    // inside through word_ this once and keeps its bias.
    if (owner == me) return;
    revoke(owner);
    if (revocations_ < max_doublings) ++revocations_;
    last_ = me;
    streak_ = 0;
    return;
  }
  if (last_ != me || me == nullptr) {
    last_ = me;
    streak_ = 0;
    return;
  }
  if (streak_ < 0xffff) ++streak_;
  if (streak_ >= first_streak << revocations_ && runtime::heavy_fence_enabled()) {
    // From now on this thread enters through the bias; it is inside through word_ this once.
    owner_.store(me, std::memory_order_relaxed);
    streak_ = 0;
  }
}

void object_lock::lock_plain() noexcept {
  acquire_word();
  thread* owner = owner_.load(std::memory_order_relaxed);
  if (owner == current_thread()) {
    owner_.store(nullptr, std::memory_order_relaxed);
  } else if (owner != nullptr) {
    revoke(owner);
  }
  last_ = nullptr;
  streak_ = 0;
}

bool object_lock::try_lock_visit() noexcept {
  if (word_.load(std::memory_order_relaxed) != 0 ||
      word_.exchange(1, std::memory_order_acquire) != 0) {
    return false;
  }
  thread* owner = owner_.load(std::memory_order_relaxed);
  if (owner != nullptr) revoke(owner);
  return true;
}

}  // namespace runnel::detail

#include <runnel/detail/countdown.hpp>
#include <runnel/detail/fatal.hpp>
#include <runnel/detail/park.hpp>

#include "sync/race.hpp"
#include "sync/ready_list.hpp"

namespace runnel::detail {
namespace {

// So many changes of hands in slow paths make an object shared. One fan-out over two processors
// makes two or three, and a short-lived object is better off with its bias.
constexpr std::uint32_t changes_to_share = 4;

}  // namespace

// Inside the lock. Counts the threads that meet here; true if the object is shared.
bool countdown::become_shared() noexcept {
  const std::int64_t now = state_.load(std::memory_order_relaxed);
  if ((now & shared) != 0) return true;
  const thread* me = current_thread();
  if (last_ == me) return false;
  last_ = me;
  if (++changes_ < changes_to_share) return false;
  state_.store(now | shared, std::memory_order_release);
  known_shared_.store(true, std::memory_order_release);
  return true;
}

void countdown::add_slow(std::int64_t n, const char* negative) {
  if (n < 0) race_release_merge(this);
  if (known_shared_.load(std::memory_order_acquire)) return add_shared(n, negative);
  lock_.lock();
  if (become_shared()) {
    lock_.unlock();  // before the count changes: see "Destruction"
    add_shared(n, negative);
    return;
  }
  const std::int64_t now = state_.load(std::memory_order_relaxed);
  std::int64_t next = now + n * one;
  if (next < 0) {
    lock_.unlock();
    throw_panic(negative);
  }
  ready_list released;
  if (next == waiting) {
    next = 0;
    released.add_all(waiters_);
  }
  state_.store(next, std::memory_order_relaxed);
  if (n > 0 && now < one) race_read(&waiters_);
  lock_.unlock();
  released.ready_all();
}

void countdown::add_shared(std::int64_t n, const char* negative) {
  const std::int64_t before = state_.fetch_add(n * one, std::memory_order_acq_rel);
  const std::int64_t after = before + n * one;
  if (after < 0) {
    state_.fetch_sub(n * one, std::memory_order_relaxed);
    throw_panic(negative);
  }
  if (n > 0) {
    if (before >= one) return;
    race_read(&waiters_);
    if ((before & waiting) == 0) return;
    lock_.lock();
    const bool in_wait = !waiters_.empty();
    lock_.unlock();
    if (!in_wait) return;
    state_.fetch_sub(n * one, std::memory_order_relaxed);
    throw_panic("sync: WaitGroup misuse: Add called concurrently with Wait");
  }
  if (after != (shared | waiting)) return;
  lock_.lock();
  ready_list released;
  released.add_all(waiters_);
  state_.fetch_and(~waiting, std::memory_order_release);
  lock_.unlock();
  released.ready_all();
}

// Inside the lock. True if the count is zero; else nobody brings it there without taking the lock.
bool countdown::announce_waiter() noexcept {
  std::int64_t now = state_.load(std::memory_order_acquire);
  for (;;) {
    if (now < one) return true;
    if ((now & waiting) != 0) return false;
    if ((now & shared) == 0) {
      state_.store(now | waiting, std::memory_order_relaxed);
      return false;
    }
    if (state_.compare_exchange_weak(now, now | waiting, std::memory_order_acquire)) return false;
  }
}

void countdown::wait_slow(wait_reason reason) {
  waiter w;
  w.who = self();
  lock_.lock();
  become_shared();
  const bool zero = announce_waiter();
  const bool first = waiters_.empty();
  if (!zero) waiters_.push_back(w);
  lock_.unlock();
  if (!zero) {
    if (first) race_write(&waiters_);
    park(reason);
  }
  race_acquire(this);
}

bool countdown::is_zero() noexcept {
  lock_guard guard(lock_);
  const bool zero = state_.load(std::memory_order_acquire) < one;
  if (zero) race_acquire(this);
  return zero;
}

bool countdown::try_now(selectable& object, void*) noexcept {
  return static_cast<countdown&>(object).announce_waiter();
}

void countdown::enqueue(selectable& object, waiter& w, void*) noexcept {
  static_cast<countdown&>(object).waiters_.push_back(w);
}

void countdown::dequeue(selectable& object, waiter& w, void*) noexcept {
  static_cast<countdown&>(object).waiters_.remove(w);
}

}  // namespace runnel::detail

// counting_semaphore: a count and a queue under the object's lock.
//
// Invariants, all guarded by the lock
//  - count_ > 0 implies that nobody waits: release hands permits to waiters before it counts any.
//    So a permit never passes by the one who has waited longest, and waking is deciding, which is
//    what select needs. (Overtaking as in mutex was not considered: a semaphore's holders are meant
//    to be busy for long.)
//
// Destruction: every acquire that did not park saw its permit inside the lock, whose leaving was
// the releaser's last touch; one that parked was made ready after that.
#include <runnel/detail/park.hpp>
#include <runnel/sync/semaphore.hpp>

#include "sync/ready_list.hpp"
#include "sync/timed_park.hpp"

namespace runnel::detail {

bool semaphore_core::try_acquire_slow() noexcept {
  lock_.lock();
  const bool free = count_ > 0;
  if (free) --count_;
  lock_.unlock();
  if (free) race_acquire(this);
  return free;
}

bool semaphore_core::take_or_queue(waiter& w) noexcept {
  w.who = self();
  const lock_guard guard(lock_);
  if (count_ > 0) {
    --count_;
    return true;
  }
  waiters_.push_back(w);
  return false;
}

void semaphore_core::acquire_slow() {
  give_way();
  waiter w;
  if (!take_or_queue(w)) park(wait_reason::semacquire);
  race_acquire(this);
}

bool semaphore_core::acquire_until(steady_time deadline) {
  claim_word claim;
  waiter w;
  w.claim = &claim;
  if (!take_or_queue(w) && !park_by(wait_reason::semacquire, w, deadline)) {
    const lock_guard guard(lock_);
    waiters_.remove(w);
    return false;
  }
  race_acquire(this);
  return true;
}

void semaphore_core::release_slow(std::ptrdiff_t n, std::ptrdiff_t max) {
  race_release_merge(this);
  ready_list released;
  lock_.lock();
  if (n < 0 || n > max - count_) {
    lock_.unlock();
    throw_panic("semaphore: count out of range");
  }
  for (; n > 0; --n) {
    waiter* w = waiters_.pop();
    if (w == nullptr) break;
    released.add(w);
  }
  count_ += n;
  lock_.unlock();
  released.ready_all();
}

bool semaphore_core::try_now(selectable& object, void*) noexcept {
  auto& s = static_cast<semaphore_core&>(object);
  if (s.count_ == 0) return false;
  --s.count_;
  return true;
}

void semaphore_core::enqueue(selectable& object, waiter& w, void*) noexcept {
  static_cast<semaphore_core&>(object).waiters_.push_back(w);
}

void semaphore_core::dequeue(selectable& object, waiter& w, void*) noexcept {
  static_cast<semaphore_core&>(object).waiters_.remove(w);
}

}  // namespace runnel::detail

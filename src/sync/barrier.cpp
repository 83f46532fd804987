// barrier: phases counted under the object's lock.
//
// Invariants
//  - missing_ is zero only between the last arrival of a phase and end_phase(): the completion
//    function runs then, outside the lock since it is the user's, and nobody may arrive (who does
//    has not been expected: all that are expected have arrived and wait, or may not arrive twice).
//  - A waiter is in waiters_ for the phase that is current; end_phase() empties it. (One whose
//    select has taken another case may still be in it for a moment.) Afterwards
//    nothing of the barrier is touched, so that the barrier may be destroyed when all have
//    returned.
#include <runnel/detail/fatal.hpp>
#include <runnel/detail/park.hpp>
#include <runnel/sync/barrier.hpp>

#include "sync/ready_list.hpp"

namespace runnel::detail {

barrier_core::barrier_core(std::ptrdiff_t expected) : expected_(expected), missing_(expected) {
  if (expected < 0) throw_panic("barrier: negative count");
}

barrier_core::arrival barrier_core::arrive(std::ptrdiff_t n, std::ptrdiff_t drop) {
  race_release_merge(this);
  lock_.lock();
  if (n <= 0 || n > missing_) {
    lock_.unlock();
    throw_panic("barrier: more arrivals than expected");
  }
  missing_ -= n;
  expected_ -= drop;
  const arrival a{phase_, missing_ == 0};
  lock_.unlock();
  if (a.last) race_acquire(this);
  return a;
}

void barrier_core::end_phase() noexcept {
  race_release_merge(this);
  ready_list released;
  lock_.lock();
  ++phase_;
  missing_ = expected_;
  released.add_all(waiters_);
  lock_.unlock();
  released.ready_all();
}

void barrier_core::wait(std::uint64_t phase) {
  waiter w;
  w.who = self();
  lock_.lock();
  const bool over = phase_ != phase;
  if (!over) waiters_.push_back(w);
  lock_.unlock();
  if (!over) park(wait_reason::barrier);
  race_acquire(this);
}

bool barrier_core::try_now(selectable& object, void* argument) noexcept {
  return static_cast<barrier_core&>(object).phase_ != *static_cast<const std::uint64_t*>(argument);
}

void barrier_core::enqueue(selectable& object, waiter& w, void*) noexcept {
  static_cast<barrier_core&>(object).waiters_.push_back(w);
}

void barrier_core::dequeue(selectable& object, waiter& w, void*) noexcept {
  static_cast<barrier_core&>(object).waiters_.remove(w);
}

}  // namespace runnel::detail

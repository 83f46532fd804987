// weighted_semaphore without its contexts. Go: x/sync/semaphore.
//
// Invariant, guarded by the lock: the first waiter wants more than there is; whatever makes room
// (release) or takes the first waiter away (a select that ends otherwise) serves the waiters in
// order until one does not fit. A select that gives up cannot serve others from its dequeue, where
// nobody may be made ready; gave_up does it afterwards. Until then waiters behind it wait a moment
// longer than they need.
//
// Destruction: as semaphore.cpp.
#include <runnel/detail/fatal.hpp>
#include <runnel/detail/park.hpp>
#include <runnel/sync/weighted_semaphore.hpp>

#include "sync/ready_list.hpp"

namespace runnel::detail {
namespace {

std::int64_t wanted(const waiter& w) noexcept { return *static_cast<const std::int64_t*>(w.slot); }

// Inside the lock.
void serve(wait_queue& waiters, std::int64_t size, std::int64_t& held,
           ready_list& served) noexcept {
  while (waiter* w = waiters.front()) {
    const bool decided = w->claim != nullptr && w->claim->winner() != 0;
    if (!decided && size - held < wanted(*w)) return;
    waiters.remove(*w);
    if (decided || (w->claim != nullptr && !w->claim->try_claim(w->tag))) continue;
    held += wanted(*w);
    served.add(w);
  }
}

}  // namespace

std::int64_t weighted_core::check_size(std::int64_t size) {
  if (size < 0) throw_panic("semaphore: size < 0");
  return size;
}

void weighted_core::check(std::int64_t n) {
  if (n < 0) throw_panic("semaphore: n < 0");
}

bool weighted_core::try_acquire_slow(std::int64_t n) {
  check(n);
  lock_.lock();
  const bool taken = take(n);
  lock_.unlock();
  if (taken) race_acquire(this);
  return taken;
}

void weighted_core::acquire_slow(std::int64_t n) {
  check(n);
  give_way();
  waiter w;
  w.who = self();
  w.slot = &n;
  lock_.lock();
  const bool taken = take(n);
  // One that can never be served must not keep others from it: it waits outside the queue.
  if (!taken && n <= size_) waiters_.push_back(w);
  lock_.unlock();
  if (!taken) {
    do {
      park(wait_reason::semacquire);
    } while (n > size_);
  }
  race_acquire(this);
}

void weighted_core::release_slow(std::int64_t n) {
  check(n);
  race_release_merge(this);
  ready_list served;
  lock_.lock();
  if (n > held_) {
    lock_.unlock();
    throw_panic("semaphore: released more than held");
  }
  held_ -= n;
  serve(waiters_, size_, held_, served);
  lock_.unlock();
  served.ready_all();
}

void weighted_core::acquired() noexcept { race_acquire(this); }

bool weighted_core::try_now(selectable& object, void* argument) noexcept {
  return static_cast<weighted_core&>(object).take(*static_cast<const std::int64_t*>(argument));
}

void weighted_core::enqueue(selectable& object, waiter& w, void* argument) noexcept {
  w.slot = argument;
  static_cast<weighted_core&>(object).waiters_.push_back(w);
}

void weighted_core::dequeue(selectable& object, waiter& w, void*) noexcept {
  static_cast<weighted_core&>(object).waiters_.remove(w);
}

void weighted_core::gave_up(selectable& object) noexcept {
  auto& s = static_cast<weighted_core&>(object);
  ready_list served;
  s.lock_.lock();
  serve(s.waiters_, s.size_, s.held_, served);
  s.lock_.unlock();
  served.ready_all();
}

}  // namespace runnel::detail

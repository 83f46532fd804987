// condition_variable's list of those who wait.
//
// A notification pops waiters under the list's lock, first come, first served. A wait that can end
// early (deadline, stop) has a claim: notifier, timer and stop compete for it.
//
// Destruction. The list may go once everyone has been notified, although they have not returned. So
// after its wakeup a notified waiter touches nothing of the list. The difficulty is a waiter whose
// wait ended early just before: it has to unlink itself, while to the notifier nobody waits any
// more. They settle it by `place`:
//  - linked → unlinked, by the notifier (inside the lock), who unlinks it: the waiter keeps off.
//  - linked → leaving, by the waiter, who then takes the lock and unlinks itself: a notifier who
//    meets it stays until it has. That takes the waiter a few instructions, no park.
//
// A select waits in the list by a ticket, which a notifier pops like any waiter: then it is noted
// in the ticket that a notification has come, and the select is claimed if it waits already. If
// another case won, leave() passes the notification on. The ticket's lock nests in the list's, in a
// holding slot of its own, so that outside the list's lock a ticket is either queued or dealt with.
// The list must live until the select has returned.
#include <runnel/detail/park.hpp>
#include <runnel/sync/condition_variable.hpp>
#include <utility>

#include "arch/runtime_lock.hpp"
#include "sync/ready_list.hpp"
#include "sync/timed_park.hpp"

namespace runnel::detail {
namespace {

constexpr std::uint32_t notified_tag = 1;
constexpr std::uint32_t ended_early_tag = 2;

bool move(notify_waiter& w, std::uint8_t to) noexcept {
  std::uint8_t from = notify_waiter::linked;
  return w.place.compare_exchange_strong(from, to, std::memory_order_acq_rel);
}

}  // namespace

void notify_list::join(notify_waiter& w, bool may_end_early) {
  w.who = self();
  w.tag = notified_tag;
  if (may_end_early) w.claim = &w.word;
  const lock_guard guard(lock_);
  waiters_.push_back(w);
}

void notify_list::wait(notify_waiter&) { park(wait_reason::cond_wait); }

bool notify_list::wait_until(notify_waiter& w, std::optional<steady_time> deadline) {
  park_by(wait_reason::cond_wait, w, deadline.value_or(steady_time::max()));
  if (w.word.winner() == notified_tag) return true;
  leave(w);
  return false;
}

void notify_list::end_early(notify_waiter& w) noexcept {
  parker* who = w.who;
  if (w.word.try_claim(ended_early_tag)) ready(who);
}

void notify_list::cancel(notify_waiter& w) noexcept {
  lock_.lock();
  const bool notified = !w.queued;
  waiters_.remove(w);
  lock_.unlock();
  if (!notified) return;
  park(wait_reason::cond_wait);  // takes the wakeup that is on its way
  notify_one();
}

// The caller has won its own claim, or somebody did for it other than a notifier.
void notify_list::leave(notify_waiter& w) noexcept {
  if (!move(w, notify_waiter::leaving)) return;
  const lock_guard guard(lock_);
  waiters_.remove(w);
}

// Inside the lock.
bool notify_list::someone_leaves() const noexcept {
  for (waiter* w = waiters_.front(); w != nullptr; w = w->next) {
    if (static_cast<notify_waiter*>(w)->place.load(std::memory_order_acquire) ==
        notify_waiter::leaving) {
      return true;
    }
  }
  return false;
}

void notify_list::join(notify_ticket& t) noexcept {
  t.place_.slot = &t;
  const lock_guard guard(lock_);
  waiters_.push_back(t.place_);
}

void notify_list::leave(notify_ticket& t) noexcept {
  lock_.lock();
  waiters_.remove(t.place_);
  lock_.unlock();
  // Nobody knows the ticket any more.
  if (std::exchange(t.notified_, false)) notify_one();
}

// Inside the list's lock. Returns the select's waiter if it is to be made ready.
waiter* notify_ticket::take_notification() noexcept {
  constexpr std::size_t slot = 1;
  lock_.lock(slot);
  waiter* w = select_.pop();
  if (w == nullptr) notified_ = true;
  lock_.unlock(slot);
  return w;
}

bool notify_ticket::try_now(selectable& object, void*) noexcept {
  return std::exchange(static_cast<notify_ticket&>(object).notified_, false);
}

void notify_ticket::enqueue(selectable& object, waiter& w, void*) noexcept {
  static_cast<notify_ticket&>(object).select_.push_back(w);
}

void notify_ticket::dequeue(selectable& object, waiter& w, void*) noexcept {
  static_cast<notify_ticket&>(object).select_.remove(w);
}

void notify_list::notify(bool all) noexcept {
  ready_list woken;
  bool wait_for_leavers = false;
  lock_.lock();
  for (waiter* next = waiters_.front(); next != nullptr;) {
    auto* w = static_cast<notify_waiter*>(next);
    next = w->next;
    if (w->slot != nullptr) {
      waiters_.remove(*w);
      if (waiter* s = static_cast<notify_ticket*>(w->slot)->take_notification()) woken.add(s);
      if (!all) break;
    } else if (w->claim == nullptr || w->word.try_claim(notified_tag)) {
      waiters_.remove(*w);
      woken.add(w);
      if (!all) break;
    } else if (move(*w, notify_waiter::unlinked)) {
      waiters_.remove(*w);
    } else {
      wait_for_leavers = true;
    }
  }
  lock_.unlock();
  // Those who leave touch the list, so the list is still there; whoever has been popped may end its
  // life. So first the ones, then the others.
  for (runtime::backoff pause; wait_for_leavers; pause.wait()) {
    const lock_guard guard(lock_);
    wait_for_leavers = someone_leaves();
  }
  woken.ready_all();
}

}  // namespace runnel::detail

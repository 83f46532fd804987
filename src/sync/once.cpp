// call_once's waiting room: one word, so that finishing is one exchange and touches nothing after
// it (a flag may be destroyed as soon as any call_once has returned).
//
// state_: idle | done | running, the last with the address of the latest waiter in the upper bits.
// Waiters link to the one that came before (next).
//
// Invariants
//  - Others only push in front of the list. Everything behind its first waiter belongs to the one
//    who runs the function.
//  - A waiter is woken once, with ok set: the function has run; or not set: it runs it now (the
//  flag
//    has stayed `running` for it). Passing the turn on, rather than waking all to try again, keeps
//    a function that fails n times from costing n * n wakeups; who waited longest is next.
//  - A waiter with a slot is the place of a once_ticket, whose owner may have left: then its turn
//    goes to the next.
#include <runnel/detail/park.hpp>
#include <runnel/sync/once.hpp>

#include "sync/once_ticket.hpp"

namespace runnel {

using detail::latest_in_line;

namespace {

/// Wakes one who has been taken out of the line. False: it has left.
bool tell(detail::waiter& w, bool has_run) noexcept {
  using verdict = detail::once_ticket::verdict;
  if (w.slot != nullptr) {
    return static_cast<detail::once_ticket*>(w.slot)->tell(has_run ? verdict::has_run
                                                                   : verdict::your_turn);
  }
  w.ok = has_run;
  detail::ready(w.who);
  return true;
}

}  // namespace

bool once_flag::is_done_slow() noexcept {
  if (state_.load(std::memory_order_acquire) != done) return false;
  detail::race_acquire(this);
  return true;
}

bool once_flag::begin() {
  detail::waiter w;
  w.who = detail::self();
  std::uintptr_t now = state_.load(std::memory_order_acquire);
  for (;;) {
    if (now == done) {
      detail::race_acquire(this);
      return false;
    }
    if (now == idle) {
      if (!state_.compare_exchange_weak(now, running, std::memory_order_acquire)) continue;
      detail::race_acquire(this);
      return true;
    }
    w.next = latest_in_line(now);
    const std::uintptr_t pushed = reinterpret_cast<std::uintptr_t>(&w) | running;
    if (state_.compare_exchange_weak(now, pushed, std::memory_order_acq_rel,
                                     std::memory_order_acquire)) {
      break;
    }
  }
  detail::park(detail::wait_reason::once);
  detail::race_acquire(this);
  return !w.ok;
}

void once_flag::finish() noexcept {
  detail::race_release(this);
  detail::waiter* w = latest_in_line(state_.exchange(done, std::memory_order_acq_rel));
  detail::waiter* oldest = nullptr;
  while (w != nullptr) {
    detail::waiter* before = w->next;
    w->next = oldest;
    oldest = w;
    w = before;
  }
  while (oldest != nullptr) {
    detail::waiter* after = oldest->next;
    tell(*oldest, true);
    oldest = after;
  }
}

void once_flag::fail() noexcept {
  detail::race_release(this);
  std::uintptr_t now = state_.load(std::memory_order_acquire);
  for (;;) {
    detail::waiter* w = latest_in_line(now);
    if (w == nullptr || w->next == nullptr) {
      if (!state_.compare_exchange_weak(now, w == nullptr ? idle : running,
                                        std::memory_order_acq_rel, std::memory_order_acquire)) {
        continue;
      }
    } else {
      while (w->next->next != nullptr) w = w->next;
      detail::waiter* oldest = w->next;
      w->next = nullptr;
      w = oldest;
    }
    if (w == nullptr || tell(*w, false)) return;
    now = state_.load(std::memory_order_acquire);
  }
}

}  // namespace runnel

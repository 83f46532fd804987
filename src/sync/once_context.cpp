// The waits of call_once that end with a context.
#include <memory>
#include <runnel/context.hpp>
#include <runnel/detail/park.hpp>
#include <runnel/select.hpp>
#include <runnel/sync/once.hpp>

#include "sync/once_ticket.hpp"

namespace runnel {

using detail::once_ticket;

std::error_code once_flag::begin_within(const context& ctx, bool& mine) {
  std::unique_ptr<once_ticket> unlinked;
  std::uintptr_t now = state_.load(std::memory_order_acquire);
  for (;;) {
    if (now == done) {
      detail::race_acquire(this);
      return {};
    }
    if (const std::error_code ended = ctx.err()) return ended;
    if (now == idle) {
      if (!state_.compare_exchange_weak(now, running, std::memory_order_acquire)) continue;
      detail::race_acquire(this);
      mine = true;
      return {};
    }
    if (unlinked == nullptr) unlinked = once_ticket::make();
    detail::waiter& place = unlinked->place();
    place.next = detail::latest_in_line(now);
    const std::uintptr_t pushed = reinterpret_cast<std::uintptr_t>(&place) | running;
    if (state_.compare_exchange_weak(now, pushed, std::memory_order_acq_rel,
                                     std::memory_order_acquire)) {
      break;
    }
  }
  once_ticket& ticket = *unlinked.release();
  const bool gave_up =
      select(detail::object_case(ticket, once_ticket::ops, nullptr), on_done(ctx)) == 1;
  const once_ticket::verdict told = ticket.leave();
  if (told == once_ticket::verdict::none) return ctx.err();
  detail::race_acquire(this);
  if (told == once_ticket::verdict::has_run) return {};
  if (gave_up) {
    fail();  // the next in line may have a context that has not ended
    return ctx.err();
  }
  mine = true;
  return {};
}

}  // namespace runnel

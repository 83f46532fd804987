#include "sync/once_ticket.hpp"

#include <runnel/detail/park.hpp>

#include "chan/race_tokens.hpp"

namespace runnel::detail {

// Who makes and who frees a ticket is no event of the program: one that gave up is not ordered with
// those who were in the function.
std::unique_ptr<once_ticket> once_ticket::make() {
  const race_ignore ignore;
  return std::unique_ptr<once_ticket>(new once_ticket);
}

bool once_ticket::tell(verdict v) noexcept {
  lock_.lock();
  const bool stayed = !left_;
  told_ = v;
  waiter* w = select_.pop();  // null, too, if another case of the select has won
  if (w != nullptr) w->ok = true;
  lock_.unlock();
  if (w != nullptr) ready(w->who);
  drop();
  return stayed;
}

once_ticket::verdict once_ticket::leave() noexcept {
  lock_.lock();
  left_ = true;
  const verdict told = told_;
  lock_.unlock();
  drop();
  return told;
}

void once_ticket::drop() noexcept {
  if (references_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  const race_ignore ignore;
  delete this;
}

bool once_ticket::try_now(selectable& object, void*) noexcept {
  return static_cast<once_ticket&>(object).told_ != verdict::none;
}

void once_ticket::enqueue(selectable& object, waiter& w, void*) noexcept {
  static_cast<once_ticket&>(object).select_.push_back(w);
}

void once_ticket::dequeue(selectable& object, waiter& w, void*) noexcept {
  static_cast<once_ticket&>(object).select_.remove(w);
}

}  // namespace runnel::detail

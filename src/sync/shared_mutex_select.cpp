// What select does with a shared_mutex; the algorithm is in shared_mutex.cpp.
#include <runnel/detail/park.hpp>
#include <runnel/sync/shared_mutex.hpp>

#include "sync/ready_list.hpp"

namespace runnel {

// Inside lock_, for select. False: it is not to be had, nor will it be before lock_ is left. That
// is brought about by going back to "not shared" and not by `pending`, which nobody would take away
// if the select has something else to do.
bool shared_mutex::take_now(bool exclusive) noexcept {
  if (exclusive) close_cells();
  std::uint32_t now = state_.load(std::memory_order_acquire);
  for (;;) {
    if ((now & wide) != 0) {
      share_wide();
      return true;
    }
    const bool free = (now & (writer | pending)) == 0 && (!exclusive || now < one);
    if (!change(now, free ? now + (exclusive ? writer : one) : now & ~shared)) continue;
    if (!free) meetings_ = 0;
    return free;
  }
}

// Inside lock_, directly after take_now.
void shared_mutex::enqueue(detail::wait_queue& queue, detail::waiter& w) noexcept {
  const std::uint32_t now = state_.load(std::memory_order_relaxed);
  state_.store(now | pending, std::memory_order_release);
  w.slot = nullptr;  // it cannot try again
  queue.push_back(w);
}

bool shared_mutex::lock_now(detail::selectable& object, void*) noexcept {
  return static_cast<shared_mutex&>(object).take_now(true);
}

bool shared_mutex::share_now(detail::selectable& object, void*) noexcept {
  return static_cast<shared_mutex&>(object).take_now(false);
}

void shared_mutex::enqueue_writer(detail::selectable& object, detail::waiter& w, void*) noexcept {
  auto& m = static_cast<shared_mutex&>(object);
  m.enqueue(m.writers_, w);
}

void shared_mutex::enqueue_reader(detail::selectable& object, detail::waiter& w, void*) noexcept {
  auto& m = static_cast<shared_mutex&>(object);
  m.enqueue(m.readers_, w);
}

void shared_mutex::dequeue_writer(detail::selectable& object, detail::waiter& w, void*) noexcept {
  static_cast<shared_mutex&>(object).writers_.remove(w);
}

void shared_mutex::dequeue_reader(detail::selectable& object, detail::waiter& w, void*) noexcept {
  static_cast<shared_mutex&>(object).readers_.remove(w);
}

void shared_mutex::gave_up(detail::selectable& object) noexcept {
  auto& m = static_cast<shared_mutex&>(object);
  detail::ready_list woken;
  m.lock_.lock();
  m.settle(woken);
  m.lock_.unlock();
  woken.ready_all();
}

}  // namespace runnel

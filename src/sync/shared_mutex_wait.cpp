// Waiting for a shared_mutex and passing it on. The protocol is described in shared_mutex.cpp.
#include <runnel/detail/fatal.hpp>

#include "sync/rw_waiter.hpp"

namespace runnel {

namespace {

using detail::rw_waiter;

constexpr std::chrono::nanoseconds patience = std::chrono::milliseconds(1);

// Whether it gets the lock by being woken.
bool is_due(const detail::waiter& w, std::chrono::steady_clock::rep now) noexcept {
  const auto* again = static_cast<const rw_waiter*>(w.slot);
  if (again == nullptr) return true;
  const auto since = again->since.load(std::memory_order_relaxed);
  return since != rw_waiter::not_yet && std::chrono::steady_clock::duration(now - since) > patience;
}

void queue_up(detail::wait_queue& queue, rw_waiter& w) noexcept {
  if (w.waited) {
    queue.push_front(w);
  } else {
    queue.push_back(w);
    w.waited = true;
  }
}

}  // namespace

void detail::unlock_of_unshared() noexcept { fatal("sync: RUnlock of unlocked RWMutex"); }

// One attempt of a waiter. True: it holds the lock. False: it is queued and must park.
bool shared_mutex::queue_writer(rw_waiter& w) noexcept {
  detail::ready_list nobody;
  const detail::lock_guard guard(lock_);
  note_thread();
  const bool free = own_or_queue(w);
  arrive(w, nobody);
  return free;
}

// Inside lock_.
bool shared_mutex::own_or_queue(rw_waiter& w) noexcept {
  if (w.coming && given_) return true;
  close_cells();
  std::uint32_t now = state_.load(std::memory_order_acquire);
  for (;;) {
    const bool free = (now & (writer | pending)) == 0 && now < one;
    if (!change(now, now | (free ? writer : pending))) continue;
    if (!free) queue_up(writers_, w);
    return free;
  }
}

bool shared_mutex::queue_reader(rw_waiter& w) noexcept {
  detail::ready_list woken;
  lock_.lock();
  note_thread();
  const bool free = share_or_queue(w);
  arrive(w, woken);
  lock_.unlock();
  woken.ready_all();
  return free;
}

// Inside lock_.
bool shared_mutex::share_or_queue(rw_waiter& w) noexcept {
  if (w.coming && given_) return true;
  std::uint32_t now = state_.load(std::memory_order_acquire);
  for (;;) {
    if ((now & wide) != 0) {
      share_wide();
      return true;
    }
    const bool free = (now & (w.coming ? writer : writer | pending)) == 0;
    if (!change(now, free ? now + one : now | pending)) continue;
    if (!free) queue_up(readers_, w);
    return free;
  }
}

// Inside lock_, after an attempt. If w was coming, those behind it count again.
void shared_mutex::arrive(rw_waiter& w, detail::ready_list& woken) noexcept {
  if (!w.coming) return;
  w.coming = false;
  if (--coming_ == 0) given_ = false;
  if (!someone_waits()) return;
  std::uint32_t now = state_.load(std::memory_order_relaxed);
  while (!change(now, now | pending)) {
  }
  settle(woken);
}

// Inside lock_. Gives each waiting reader its share.
void shared_mutex::admit_readers(std::uint32_t& now, detail::ready_list& woken) noexcept {
  while (detail::waiter* w = readers_.pop()) {
    woken.add(w);
    now += one;
  }
}

// Inside lock_. Whether those who wait are to be handed the lock: one has waited for long, or a
// reader cannot try again. While others are coming, who may do so one by one, only the first ones
// are looked at.
bool shared_mutex::someone_is_due() const noexcept {
  const auto now = rw_waiter::now();
  if (!writers_.empty() && is_due(*writers_.front(), now)) return true;
  for (const detail::waiter* w = readers_.front(); w != nullptr; w = w->next) {
    if (is_due(*w, now)) return true;
    if (coming_ != 0) return false;
  }
  return false;
}

// Inside lock_. Gives w what it waits for, or wakes it to try again.
void shared_mutex::wake(detail::waiter* w, std::uint32_t what, bool due, std::uint32_t& now,
                        detail::ready_list& woken) noexcept {
  if (due || w->slot == nullptr) {
    woken.add(w);
    now += what;
    return;
  }
  static_cast<rw_waiter*>(w->slot)->coming = true;
  readers_come_ = what == one;
  ++coming_;
  woken.add_to_try(w);
}

// Inside lock_, `pending` being set; the caller is the last to hold the lock and gives it up. Hands
// it on, or frees it for those who are coming. False: nobody waits, and nothing has changed.
bool shared_mutex::pass_on(bool readers_first, detail::ready_list& woken) noexcept {
  if (!someone_waits()) return false;
  std::uint32_t now = state_.load(std::memory_order_relaxed) & shared;
  const bool due = now == shared || someone_is_due();
  if (coming_ == 0) {
    const auto done = [&] { return coming_ != 0 || (now & ~shared) != 0; };
    const auto wake_readers = [&] {
      while (detail::waiter* w = readers_.pop()) wake(w, one, due, now, woken);
    };
    if (readers_first) wake_readers();
    if (!done()) {
      if (detail::waiter* w = writers_.pop()) wake(w, writer, due, now, woken);
    }
    if (!done()) wake_readers();
    if (!done()) return false;
  } else if (due) {
    given_ = true;
    now += readers_come_ ? coming_ * one : writer;
  }
  const bool free = (now & ~shared) == 0;
  state_.store(!free && someone_waits() ? now | pending : now, std::memory_order_release);
  return true;
}

// A wait ended without the lock. Those it kept out may go on.
void shared_mutex::give_up(detail::wait_queue& queue, detail::waiter& w) noexcept {
  detail::ready_list woken;
  lock_.lock();
  queue.remove(w);
  settle(woken);
  lock_.unlock();
  woken.ready_all();
}

// Inside lock_, after someone has left a queue without the lock.
void shared_mutex::settle(detail::ready_list& woken) noexcept {
  std::uint32_t now = state_.load(std::memory_order_relaxed);
  if ((now & pending) == 0) return;
  if ((now & writer) == 0 && writers_.empty()) admit_readers(now, woken);
  if (!someone_waits()) now &= ~pending;
  state_.store(now, std::memory_order_release);
}

}  // namespace runnel

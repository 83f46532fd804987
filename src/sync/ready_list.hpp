// Waiters that were popped inside an object's lock, to be made ready after it has been left.
#pragma once

#include <runnel/detail/park.hpp>
#include <runnel/detail/waiter.hpp>

namespace runnel::detail {

/// First in, first out. Links the waiters by `next`, which a popped waiter has no other use for.
class ready_list {
 public:
  void add(waiter* w) noexcept {
    w->ok = true;  // for select: what it waits for is its own
    add_to_try(w);
  }

  /// One who is woken to try again.
  void add_to_try(waiter* w) noexcept {
    w->next = nullptr;
    *end_ = w;
    end_ = &w->next;
  }

  /// Adds everyone in the queue whose claim can be won.
  void add_all(wait_queue& from) noexcept {
    while (waiter* w = from.pop()) add(w);
  }

  /// Outside all object locks. The object that the waiters waited for may be gone after the first.
  void ready_all() noexcept {
    while (first_ != nullptr) {
      waiter* w = first_;
      first_ = w->next;
      ready(w->who);
    }
  }

 private:
  waiter* first_ = nullptr;
  waiter** end_ = &first_;
};

}  // namespace runnel::detail

// Who waits for a shared_mutex; see shared_mutex.cpp.
#pragma once

#include <atomic>
#include <chrono>
#include <runnel/detail/park.hpp>
#include <runnel/sync/shared_mutex.hpp>

#include "sync/ready_list.hpp"
#include "sync/timed_park.hpp"

namespace runnel::detail {

/// A waiter that can try again. (A select cannot; its waiters have no slot.)
struct rw_waiter : waiter {
  rw_waiter() noexcept {
    who = self();
    slot = this;
  }

  /// Notes when its wait began. By itself, once it has been queued and has left the object lock: a
  /// clock costs as much as everything else that is done inside.
  void stamp() noexcept {
    if (since.load(std::memory_order_relaxed) == not_yet) {
      since.store(now(), std::memory_order_relaxed);
    }
  }
  static std::chrono::steady_clock::rep now() noexcept {
    return std::chrono::steady_clock::now().time_since_epoch().count();
  }

  static constexpr std::chrono::steady_clock::rep not_yet = 0;

  std::atomic<std::chrono::steady_clock::rep> since{not_yet};
  claim_word word;      // its claim where it has a deadline
  bool waited = false;  // it has been queued before; guarded by the object lock, as the next
  bool coming = false;  // it was woken to try again and has not yet done so
};

[[noreturn]] void unlock_of_unshared() noexcept;

}  // namespace runnel::detail

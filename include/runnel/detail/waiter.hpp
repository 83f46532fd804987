// One blocked wait on one object, and the FIFO of them that every waitable object has. Go: sudog.
//
// Protocol
//  - A waiter lives on the waiting stack. It is linked into and unlinked from a wait_queue only
//    under the object's lock.
//  - A waiter without a claim has one possible waker: whoever pops it from its queue. A waiter
//    with a claim (select, timed wait) shares the claim word with its siblings: wake, time-out and
//    cancellation compete by one compare-and-swap, the winner alone readies the parker.
//  - The winner writes slot/ok before ready(); the woken side reads them after park() returns.
//    Between pop and ready() the waiter stays valid; after ready() it must not be touched (read
//    `who` first).
//  - A loser's waiter may still be queued when its owner wakes; the owner unlinks it under the
//    object's lock before the waiter's storage ends.
#pragma once

#include <atomic>
#include <cstdint>
#include <runnel/detail/config.hpp>
#include <runnel/detail/thread.hpp>

namespace runnel::detail {

/// The word by which exactly one of several wakers wins. 0: open; else the winner's tag.
class claim_word {
 public:
  bool try_claim(std::uint32_t tag) noexcept {
    std::uint32_t open = 0;
    return state_.load(std::memory_order_relaxed) == 0 &&
           state_.compare_exchange_strong(open, tag, std::memory_order_acq_rel,
                                          std::memory_order_relaxed);
  }
  std::uint32_t winner() const noexcept { return state_.load(std::memory_order_acquire); }
  void reset() noexcept { state_.store(0, std::memory_order_relaxed); }

 private:
  std::atomic<std::uint32_t> state_{0};
};

/// Tag with which a time-out wins; tags of other wakers are smaller and not 0.
inline constexpr std::uint32_t timed_out_tag = 0xffffffff;

struct waiter {
  waiter* next = nullptr;
  waiter* prev = nullptr;
  parker* who = nullptr;
  claim_word* claim = nullptr;  // null: sole waiter
  void* slot = nullptr;         // the object's own: where a value comes from or goes to
  std::uint32_t tag = 1;        // what the winner writes into the claim
  bool ok = false;              // the object's own: how the wait ended
  bool queued = false;          // linked now; guarded by the object's lock
};

class wait_queue {
 public:
  bool empty() const noexcept { return first_.load(std::memory_order_relaxed) == nullptr; }
  waiter* front() const noexcept { return first_.load(std::memory_order_relaxed); }

  void push_back(waiter& w) noexcept {
    w.next = nullptr;
    w.prev = last_;
    w.queued = true;
    if (last_ != nullptr) {
      last_->next = &w;
    } else {
      first_.store(&w, std::memory_order_relaxed);
    }
    last_ = &w;
  }

  void push_front(waiter& w) noexcept {
    waiter* first = front();
    w.prev = nullptr;
    w.next = first;
    w.queued = true;
    if (first != nullptr) {
      first->prev = &w;
    } else {
      last_ = &w;
    }
    first_.store(&w, std::memory_order_relaxed);
  }

  void remove(waiter& w) noexcept {
    if (!w.queued) return;
    (w.next != nullptr ? w.next->prev : last_) = w.prev;
    if (w.prev != nullptr) {
      w.prev->next = w.next;
    } else {
      first_.store(w.next, std::memory_order_relaxed);
    }
    w.queued = false;
  }

  /// Unlinks and returns the first waiter whose claim could be won, or null. Waiters that were
  /// claimed elsewhere are unlinked on the way.
  waiter* pop() noexcept {
    while (waiter* w = front()) {
      remove(*w);
      if (w->claim == nullptr || w->claim->try_claim(w->tag)) return w;
    }
    return nullptr;
  }

 private:
  // first_ is atomic only so that try_* may look without the lock; links change under it.
  std::atomic<waiter*> first_{nullptr};
  waiter* last_ = nullptr;
};

}  // namespace runnel::detail

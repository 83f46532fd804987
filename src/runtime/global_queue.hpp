// The global queue: goroutines that belong to no processor's own queue. Go: sched.runq.
//
// Two lists, of batches of pointers.
//  - `queued`, first in, first out: those that have run before.
//  - `spilled`: new ones that did not fit into a processor's ring. Whoever is out of work takes the
//    newest of these first, so that a tree of goroutines is walked in depth, nearly: with the
//    oldest first it is walked in breadth, and 70000 instead of 3000 of a million goroutines live
//    at once, each on a page of its own (skynet, five times slower; see
//    docs/design/performance.md). A thief takes the oldest, which promise it the most work.
//
// Nobody starves. The lists take turns, at each 61st pick, which takes one, and when a processor is
// out of work, which takes its share. And every 10 ms the oldest of the spilled, if they have
// waited for so long, go before the newest. (Rejected: the oldest at each 61st pick. That alone
// starts every node near the root of a tree before the first of them is done.)
//
// Go links the goroutines themselves, but then whoever takes a share out has to follow the links: a
// cache miss and, with each control block on a page of its own, a TLB miss for each goroutine, one
// after the other. (A million goroutines woken by one close: 1.8 us each; with batches and the
// prefetch in processor::pick, see docs/design/performance.md.)
//
// Batches come from mappings that are kept for ever, as stacks are: a push must not fail, and may
// happen where the allocator must not be called. If there is no memory even for those, goroutines
// are linked by `next` after all.
//
// Invariants: all but size() is guarded by the lock. size() is the number of goroutines in both
// lists whenever the lock is free. No batch in a list is empty.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "arch/runtime_lock.hpp"
#include "runtime/goroutine.hpp"

namespace runnel::runtime {

class global_queue {
 public:
  /// What a processor out of work wants.
  enum class wish : std::uint8_t { newest_first, oldest_first };

  /// Relaxed by itself: see scheduler.hpp for the fences that go with it.
  std::uint32_t size(std::memory_order order = std::memory_order_relaxed) const noexcept {
    return size_.load(order);
  }

  /// Holds the lock and lets goroutines in or out.
  class access {
   public:
    explicit access(global_queue& q) noexcept : q_(q) { q_.lock_.lock(); }
    ~access() { q_.lock_.unlock(); }
    access(const access&) = delete;
    access& operator=(const access&) = delete;

    /// To the end of `queued`.
    void put(goroutine* g) noexcept { q_.put(q_.queued_, g); }
    /// To the new end of `spilled`.
    void spill(goroutine* g) noexcept { q_.put(q_.spilled_, g); }
    /// One of the list whose turn it is; null: both are empty.
    goroutine* take() noexcept { return q_.take(); }
    /// Up to n of one list, into out; returns how many. 0: both are empty.
    std::uint32_t take_share(goroutine** out, std::uint32_t n, wish w) noexcept {
      return q_.take_share(out, n, w);
    }
    /// As many of the oldest spilled ones, if they have waited for too long; else 0.
    std::uint32_t take_overdue(goroutine** out, std::uint32_t n) noexcept {
      return q_.oldest_spilled_first() ? q_.take_from(q_.spilled_, true, out, n) : 0;
    }

   private:
    global_queue& q_;
  };

  void push(goroutine* g) noexcept { access(*this).put(g); }
  /// A chain by `next`, which may begin with null.
  void push_chain(goroutine* first) noexcept;

 private:
  struct batch {
    batch* next;      // newer
    batch* previous;  // older
    std::int64_t since;
    std::uint32_t begin;
    std::uint32_t end;
    std::array<goroutine*, 124> g;
  };
  struct list {
    batch* first = nullptr;
    batch* last = nullptr;
  };
  static constexpr std::size_t slab_size = 64UL * 1024;
  static constexpr std::int64_t patience_ns = 10'000'000;

  void put(list& l, goroutine* g) noexcept;
  goroutine* take() noexcept;
  list* list_in_turn() noexcept;
  std::uint32_t take_share(goroutine** out, std::uint32_t n, wish w) noexcept;
  bool add_batch(list& l) noexcept;
  void remove_batch(list& l, batch* b) noexcept;
  goroutine* take_first(list& l) noexcept;
  goroutine* take_last(list& l) noexcept;
  std::uint32_t take_from(list& l, bool oldest, goroutine** out, std::uint32_t n) noexcept;
  bool oldest_spilled_first() noexcept;

  std::atomic<std::uint32_t> size_{0};
  runtime_lock lock_;
  bool spilled_had_turn_ = false;
  std::int64_t oldest_had_turn_ = 0;
  list queued_;
  list spilled_;
  batch* spare_ = nullptr;
  goroutine* linked_first_ = nullptr;  // those for which there was no batch
  goroutine* linked_last_ = nullptr;
};

}  // namespace runnel::runtime

// The global queue: goroutines that belong to no processor's own queue. Go: sched.runq.
//
// First in, first out, as a list of batches of pointers. Go links the goroutines themselves, but
// then whoever takes a share out has to follow the links: a cache miss and, with each control block
// on a page of its own, a TLB miss for each goroutine, one after the other. (A million goroutines
// woken by one close: 1.8 us each; with batches and the prefetch in processor::pick, see
// docs/design/performance.md.)
//
// Batches come from mappings that are kept for ever, as stacks are: a push must not fail, and may
// happen where the allocator must not be called. If there is no memory even for those, goroutines
// are linked by `next` after all.
//
// Invariants: all but size() is guarded by the lock. size() is the number of goroutines queued
// whenever the lock is free.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "arch/runtime_lock.hpp"
#include "runtime/goroutine.hpp"

namespace runnel::runtime {

class global_queue {
 public:
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

    void put(goroutine* g) noexcept { q_.put(g); }
    /// The oldest one; null: the queue is empty.
    goroutine* take() noexcept { return q_.take(); }

   private:
    global_queue& q_;
  };

  void push(goroutine* g) noexcept { access(*this).put(g); }
  /// A chain by `next`, which may begin with null.
  void push_chain(goroutine* first) noexcept;

 private:
  struct batch {
    batch* next;
    std::uint32_t begin;
    std::uint32_t end;
    std::array<goroutine*, 126> g;
  };
  static constexpr std::size_t slab_size = 64 * 1024;

  void put(goroutine* g) noexcept;
  goroutine* take() noexcept;
  bool add_batch() noexcept;

  std::atomic<std::uint32_t> size_{0};
  runtime_lock lock_;
  batch* first_ = nullptr;
  batch* last_ = nullptr;
  batch* spare_ = nullptr;
  goroutine* linked_first_ = nullptr;  // those for which there was no batch
  goroutine* linked_last_ = nullptr;
};

}  // namespace runnel::runtime

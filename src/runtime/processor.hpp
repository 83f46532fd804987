// P: the right to run goroutines, with the queue of those that are to run next.
//
// Invariants
//  - There are max_procs processors in scheduler::all; at most one machine holds each.
//  - The queue is guarded by `lock`, which is biased to the holder where the kernel has membarrier:
//    the holder pushes and picks with plain stores, and only a thief pays (about 1 us, for half of
//    the queue). A Go-style ring whose owner takes by compare-and-swap cost 8 ns more per pick
//    here.
//  - head, tail and run_next are atomics only so that thieves may look before they lock.
//  - A detached processor (its machine was found blocked or hogging, or max_procs shrank) has an
//  empty
//    queue and takes nothing in: push reports it, pick returns null. Its machine gives it up the
//    next time it enters the scheduler. `detached` is written under the scheduler's lock and
//    `lock`.
//  - free_list, fresh, seeds, counters, tick are the holder's alone; counters are read by others
//  (relaxed).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <runnel/detail/cache_line.hpp>
#include <runnel/detail/object_lock.hpp>

#include "arch/stack.hpp"
#include "runtime/global_queue.hpp"
#include "runtime/goroutine.hpp"
#include "runtime/machine.hpp"

namespace runnel::runtime {

/// A counter with one writer at a time and any number of readers.
class counter {
 public:
  void add(std::uint64_t n = 1) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  std::uint64_t read() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

inline constexpr std::size_t queue_lock_slot = detail::holding_slots - 1;

struct alignas(detail::cache_line) processor {
  static constexpr std::uint32_t ring_size = 256;
  // How often running run_next may be preferred to the ring: two goroutines that keep readying each
  // other must not starve the rest.
  static constexpr std::uint32_t max_next_streak = 64;
  static constexpr std::uint32_t global_interval = 61;
  // So many waiting goroutines are shared out however they behave.
  static constexpr std::uint32_t crowd = 128;
  // From this value of help_from on run_next stays: two thefts have bounced.
  static constexpr std::uint32_t next_help_from = 4;

  detail::object_lock lock;
  std::atomic<goroutine*> run_next{nullptr};
  std::atomic<std::uint32_t> head{0};
  std::atomic<std::uint32_t> tail{0};
  bool detached = false;
  std::uint32_t next_streak = 0;

  // Raised by others (sysmon, stop, chaos): the next pick takes the slow road.
  std::atomic<bool> attention{false};
  std::uint32_t until_global = global_interval;
  std::uint64_t yields_until_global = global_interval;  // of `yields`: each counts for itself
  std::uint64_t yields_exchanged = 0;                   // `yields` at the last exchange
  std::atomic<std::uint32_t> tick{0};  // picks, but for those of a yield that goes straight on
  std::atomic<machine*> m{nullptr};
  unsigned index = 0;
  std::uint64_t next_id = 0, last_id = 0;  // batch of goroutine ids
  std::uint32_t id_epoch = 0;              // the batch is void when it is not the scheduler's

  // Whether others should help (see find_runnable.cpp). Hints, written by thieves and sysmon.
  std::atomic<std::uint32_t> help_from{1};  // with so many waiting; at most `crowd`

  goroutine* free_list = nullptr;
  std::uint32_t free_count = 0;
  arch::stack_range fresh;          // stacks that nobody has touched
  std::uint32_t rights_to_end = 0;  // reservations of seeds that were planted on some of them
  std::uint32_t seed_count = 0;
  goroutine* seeds = nullptr;  // see seed_depot.hpp

  counter spawned, finished, parked, picked, steals, stolen, yields;
  counter dormant_timers;  // become so less those that ceased to be, modulo 2^64

  // The scheduler's lists; guarded by its lock.
  processor* next_idle = nullptr;
  processor* next_made = nullptr;
  bool idle = false;

  // sysmon's memory of this processor.
  std::uint32_t seen_tick = 0;
  std::int64_t seen_at = 0;
  std::int64_t seen_cpu = 0;
  std::int64_t cpu_seen_at = 0;
  std::int64_t alone_since = 0;  // when help_from was first seen raised

  std::array<goroutine*, ring_size> ring{};

  std::uint32_t ring_count() const noexcept {
    return tail.load(std::memory_order_relaxed) - head.load(std::memory_order_relaxed);
  }
  /// Something beyond run_next waits here that another processor should take.
  bool wants_help() const noexcept {
    return ring_count() >= help_from.load(std::memory_order_relaxed);
  }
  /// Others may take run_next, if it has waited for long: thefts have not bounced of late.
  bool parts_with_next() const noexcept {
    return help_from.load(std::memory_order_relaxed) < next_help_from;
  }
  /// What stands still is one goroutine running.
  std::uint32_t ticks() const noexcept {
    return tick.load(std::memory_order_relaxed) + static_cast<std::uint32_t>(yields.read());
  }
  bool looks_empty() const noexcept {
    return ring_count() == 0 && run_next.load(std::memory_order_relaxed) == nullptr;
  }

  enum class pushed : std::uint8_t { as_next, queued, refused };

  /// Holder only. Puts g in, as the one to run next or at the end. `queued`: something waits beyond
  /// run_next, so another processor could help. refused: detached, nothing was done.
  pushed push(machine* me, goroutine* g, bool as_next) noexcept;
  /// Holder only. Takes the next one, or null.
  goroutine* pick(machine* me) noexcept;
  /// Holder only. Takes one of the global queue, and moves up to 1/procs of it here. Null: it was
  /// empty.
  goroutine* refill(machine* me, global_queue& from, unsigned procs, global_queue::wish w) noexcept;
  /// Holder only. Takes one of the oldest of the global queue, and gives it as many of the youngest
  /// here, for as many of its oldest, as have yielded since the last time: those that yield without
  /// end must not keep a queue to themselves while others wait in the global one. Null: that one
  /// was empty.
  goroutine* exchange(machine* me, global_queue& with) noexcept;
  /// Any thread but the holder: moves half of the ring (and run_next if take_next and nothing else
  /// is there) out; returns how many were written to `out`, which has room for ring_size / 2 + 1.
  std::uint32_t steal(goroutine** out, bool take_next) noexcept;
  /// Any thread: puts g at the end if `holder` holds this processor and there is ample room. The
  /// holder then runs it, or sees it after it has given the processor up.
  bool take_in(goroutine* g, const machine* holder) noexcept;
  /// Any thread: empties the queue into `out` (chained by next) and, if `detach`, refuses more.
  /// Returns the number; first and last of the chain.
  std::uint32_t drain(goroutine*& first, goroutine*& last, bool detach) noexcept;

  /// Holder only. Puts g, which runs, at the end of the ring and takes another one from there;
  /// null: there is none, or the slow road must be taken, and nothing was done.
  goroutine* rotate(machine* me, goroutine* g) noexcept;

 private:
  void put_ring(goroutine* g) noexcept;
  void end_visit() noexcept;
  pushed push_locked(goroutine* g, bool as_next) noexcept;
  goroutine* pick_locked() noexcept;
  void prefetch_after(std::uint32_t h) const noexcept;
};

/// Of the two that follow, brings in the control block of the further one and the stack of the
/// nearer one, whose block came in last time. Beyond the tail lie old pointers, to blocks that are
/// never freed. Pays from some thousand goroutines on, when their stacks are in no cache.
RUNNEL_INLINE void processor::prefetch_after(std::uint32_t h) const noexcept {
  const goroutine* far = ring[(h + 2) % ring_size];
  const goroutine* near = ring[(h + 1) % ring_size];
  __builtin_prefetch(far);
  if (near == nullptr) return;
  // Its last machine may still be writing it; then the hint is useless, no more.
  const std::uintptr_t stack = __atomic_load_n(&near->context.sp, __ATOMIC_RELAXED);
  __builtin_prefetch(reinterpret_cast<const void*>(stack));
  __builtin_prefetch(reinterpret_cast<const void*>(stack + detail::cache_line));
}

RUNNEL_INLINE goroutine* processor::pick_locked() noexcept {
  goroutine* g = run_next.load(std::memory_order_relaxed);
  const std::uint32_t h = head.load(std::memory_order_relaxed);
  if (g != nullptr &&
      (++next_streak < max_next_streak || h == tail.load(std::memory_order_relaxed))) {
    run_next.store(nullptr, std::memory_order_relaxed);
    return g;
  }
  next_streak = 0;
  if (h == tail.load(std::memory_order_relaxed)) return nullptr;
  g = ring[h % ring_size];
  head.store(h + 1, std::memory_order_relaxed);
  prefetch_after(h);
  return g;
}

RUNNEL_INLINE goroutine* processor::pick(machine* me) noexcept {
  if (__builtin_expect(lock.try_lock_biased(me, queue_lock_slot), 1)) {
    goroutine* g = pick_locked();
    lock.unlock_biased(me, queue_lock_slot);
    return g;
  }
  lock.lock(queue_lock_slot);
  goroutine* g = pick_locked();
  lock.unlock(me, queue_lock_slot);
  return g;
}

RUNNEL_INLINE processor::pushed processor::push(machine* me, goroutine* g, bool as_next) noexcept {
  if (__builtin_expect(lock.try_lock_biased(me, queue_lock_slot), 1)) {
    if (as_next && run_next.load(std::memory_order_relaxed) == nullptr) {
      run_next.store(g, std::memory_order_relaxed);
      const bool more = ring_count() != 0;
      lock.unlock_biased(me, queue_lock_slot);
      return more ? pushed::queued : pushed::as_next;
    }
  } else {
    lock.lock(queue_lock_slot);
  }
  const pushed result = push_locked(g, as_next);
  lock.unlock(me, queue_lock_slot);
  return result;
}

RUNNEL_INLINE goroutine* processor::rotate(machine* me, goroutine* g) noexcept {
  if (__builtin_expect(!lock.try_lock_biased(me, queue_lock_slot), 0)) return nullptr;
  const std::uint32_t h = head.load(std::memory_order_relaxed);
  const std::uint32_t t = tail.load(std::memory_order_relaxed);
  goroutine* next = nullptr;
  if (__builtin_expect(h != t && run_next.load(std::memory_order_relaxed) == nullptr, 1)) {
    next = ring[h % ring_size];
    head.store(h + 1, std::memory_order_relaxed);
    ring[t % ring_size] = g;
    tail.store(t + 1, std::memory_order_relaxed);
  }
  lock.unlock_biased(me, queue_lock_slot);
  return next;
}

}  // namespace runnel::runtime

// The engine of wait_group and latch: a count, and waiters who are let go when it is zero.
//
// Layout of state_: count * 4 | waiting (2) | shared (1).
//
// Invariants
//  - Not shared: state_ changes only inside lock_, by plain stores. This is how every object
//    begins; while one thread uses it the lock is biased and no locked instruction is spent.
//  - Shared: the count changes by atomic additions without the lock, so that many threads can count
//    at once (under the lock the two-thread case costs 3 times Go's atomic addition). `waiting`
//    still changes only inside lock_. An object becomes shared once several threads have met in its
//    slow paths, and never goes back: an addition that was decided on while shared may come at any
//    time.
//  - waiters_ not empty implies `waiting`. `waiting` with no waiter is allowed (a select looked, or
//    gave up) and only costs the one who counts to zero a look.
//  - Whoever brings the count to zero and sees `waiting` takes the lock and lets all waiters go.
//
// Destruction. The object may go as soon as wait() has returned, although the last add(-1) has not.
//  - A waiter that parked is popped inside the lock and made ready after the lock was left; nothing
//    of the object is touched after that.
//  - A waiter that saw zero without parking either saw it inside the lock (the one who stored it
//    has left: leaving was its last touch) or saw exactly `shared`: then the atomic addition that
//    made it zero was its author's last touch. For the latter the step from unshared to shared is
//    made before the count is changed, in a section of its own.
#pragma once

#include <atomic>
#include <cstdint>
#include <runnel/detail/cache_line.hpp>
#include <runnel/detail/config.hpp>
#include <runnel/detail/section.hpp>
#include <runnel/detail/selectable.hpp>
#include <runnel/detail/wait_reason.hpp>

namespace runnel::detail {

class countdown : public selectable {
 public:
  constexpr explicit countdown(std::int64_t count) noexcept : state_(count * one) {}
  countdown(const countdown&) = delete;
  countdown& operator=(const countdown&) = delete;

  /// Changes the count by n. Throws panic(negative) and changes nothing where it would fall below
  /// 0.
  RUNNEL_INLINE void add(std::int64_t n, const char* negative) {
    if constexpr (inline_paths) {
      thread* me = current_thread();
      if (lock_.try_lock_biased(me)) {
        const std::int64_t now = state_.load(std::memory_order_relaxed);
        const std::int64_t next = now + n * one;
        const bool simple = (now & shared) == 0 && (next == 0 || next >= one);
        if (simple) state_.store(next, std::memory_order_relaxed);
        leave_biased(me);
        if (__builtin_expect(simple, 1)) return;
      }
    }
    add_slow(n, negative);
  }

  RUNNEL_INLINE void wait(wait_reason reason) {
    if constexpr (inline_paths) {
      if (state_.load(std::memory_order_acquire) == shared) return;
      thread* me = current_thread();
      if (lock_.try_lock_biased(me)) {
        const bool zero = state_.load(std::memory_order_relaxed) < one;
        leave_biased(me);
        if (__builtin_expect(zero, 1)) return;
      }
    }
    wait_slow(reason);
  }

  /// Is the count zero?
  RUNNEL_API bool is_zero() noexcept;

  // For select; see selectable_ops.
  RUNNEL_API static bool try_now(selectable& object, void* argument) noexcept;
  RUNNEL_API static void enqueue(selectable& object, waiter& w, void* argument) noexcept;
  RUNNEL_API static void dequeue(selectable& object, waiter& w, void* argument) noexcept;

 private:
  static constexpr std::int64_t shared = 1;
  static constexpr std::int64_t waiting = 2;
  static constexpr std::int64_t one = 4;

  RUNNEL_API void add_slow(std::int64_t n, const char* negative);
  RUNNEL_API void wait_slow(wait_reason reason);
  void add_shared(std::int64_t n, const char* negative);
  bool become_shared() noexcept;
  bool announce_waiter() noexcept;

  wait_queue waiters_;            // guarded by lock_
  const thread* last_ = nullptr;  // guarded by lock_: who came through a slow path last
  std::uint32_t changes_ = 0;     // guarded by lock_: how often that was another one than before
  // Whether `shared` is set. Not in the line of state_: to look there, and then to change it, would
  // take two round trips to the CPU that changed it last, where to change it at once takes one.
  std::atomic<bool> known_shared_{false};
  alignas(cache_line) std::atomic<std::int64_t> state_;
};

}  // namespace runnel::detail

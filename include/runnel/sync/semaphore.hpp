// Counting permits.
#pragma once

#include <chrono>
#include <cstddef>
#include <limits>
#include <runnel/detail/config.hpp>
#include <runnel/detail/deadline.hpp>
#include <runnel/detail/fatal.hpp>
#include <runnel/detail/section.hpp>
#include <runnel/detail/selectable.hpp>

namespace runnel {

namespace detail {

struct sync_access;

/// What counting_semaphore does that does not depend on its limit; see src/sync/semaphore.cpp.
class semaphore_core : public selectable {
 public:
  constexpr explicit semaphore_core(std::ptrdiff_t count) noexcept : count_(count) {}
  semaphore_core(const semaphore_core&) = delete;
  semaphore_core& operator=(const semaphore_core&) = delete;

  RUNNEL_INLINE bool try_acquire() noexcept {
    if constexpr (inline_paths) {
      thread* me = current_thread();
      if (lock_.try_lock_biased(me)) {
        const bool free = count_ > 0;
        if (free) --count_;
        leave_biased(me);
        return free;
      }
    }
    return try_acquire_slow();
  }

  RUNNEL_INLINE void acquire() {
    if constexpr (inline_paths) {
      if (__builtin_expect(try_acquire(), 1)) return;
    }
    acquire_slow();
  }

  RUNNEL_INLINE void release(std::ptrdiff_t n, std::ptrdiff_t max) {
    if constexpr (inline_paths) {
      thread* me = current_thread();
      if (lock_.try_lock_biased(me)) {
        const bool simple = n >= 0 && n <= max - count_ && waiters_.empty();
        if (simple) count_ += n;
        leave_biased(me);
        if (__builtin_expect(simple, 1)) return;
      }
    }
    release_slow(n, max);
  }

  RUNNEL_API bool acquire_until(steady_time deadline);

  // For select; see selectable_ops.
  RUNNEL_API static bool try_now(selectable& object, void* argument) noexcept;
  RUNNEL_API static void enqueue(selectable& object, waiter& w, void* argument) noexcept;
  RUNNEL_API static void dequeue(selectable& object, waiter& w, void* argument) noexcept;

 private:
  RUNNEL_API bool try_acquire_slow() noexcept;
  RUNNEL_API void acquire_slow();
  bool take_or_queue(waiter& w) noexcept;
  RUNNEL_API void release_slow(std::ptrdiff_t n, std::ptrdiff_t max);

  std::ptrdiff_t count_;  // guarded by lock_
  wait_queue waiters_;    // guarded by lock_
};

}  // namespace detail

/// A number of permits; as std::counting_semaphore. Waiters are served first come, first served: a
/// released permit goes to the one who has waited longest. It may be destroyed as soon as the last
/// release() has been observed by an acquire. It can be neither copied nor moved.
///
/// Synchronizes: release() → the return of an acquire, or successful try_acquire*, that follows it.
template <std::ptrdiff_t LeastMaxValue = std::numeric_limits<std::ptrdiff_t>::max()>
class counting_semaphore {
  static_assert(LeastMaxValue >= 0);

 public:
  static constexpr std::ptrdiff_t max() noexcept { return LeastMaxValue; }

  /// Throws panic("semaphore: count out of range") unless 0 <= desired <= max().
  constexpr explicit counting_semaphore(std::ptrdiff_t desired) : core_(checked(desired)) {}
  counting_semaphore(const counting_semaphore&) = delete;
  counting_semaphore& operator=(const counting_semaphore&) = delete;

  /// Gives n permits back. Never blocks. Throws panic("semaphore: count out of range"), changing
  /// nothing, if n is negative or the count would exceed max(). O(1 + waiters let go).
  RUNNEL_INLINE void release(std::ptrdiff_t n = 1) { core_.release(n, LeastMaxValue); }

  /// Blocks until it has a permit.
  RUNNEL_INLINE void acquire() { core_.acquire(); }

  /// Takes a permit if there is one. Never blocks, never fails without cause.
  RUNNEL_INLINE bool try_acquire() noexcept { return core_.try_acquire(); }

  /// Blocks until it has a permit or the time is over. False: time-out.
  template <class Rep, class Period>
  bool try_acquire_for(const std::chrono::duration<Rep, Period>& d) {
    return try_acquire() || core_.acquire_until(detail::deadline_after(d));
  }

  /// As try_acquire_for, up to a point in time of any clock.
  template <class Clock, class Duration>
  bool try_acquire_until(const std::chrono::time_point<Clock, Duration>& t) {
    return try_acquire() || detail::wait_until_on(t, [this](detail::steady_time by) {
             return core_.acquire_until(by);
           });
  }

 private:
  friend struct detail::sync_access;

  static constexpr std::ptrdiff_t checked(std::ptrdiff_t n) {
    if (n < 0 || n > LeastMaxValue) detail::throw_panic("semaphore: count out of range");
    return n;
  }

  detail::semaphore_core core_;
};

/// A semaphore with at most one permit.
using binary_semaphore = counting_semaphore<1>;

}  // namespace runnel

// Mutual exclusion. The algorithm is described in src/sync/mutex.cpp.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <runnel/detail/config.hpp>
#include <runnel/detail/deadline.hpp>
#include <runnel/detail/prefetch.hpp>
#include <runnel/detail/section.hpp>
#include <runnel/detail/selectable.hpp>
#include <runnel/detail/thread.hpp>

namespace runnel {

namespace detail {
struct sync_access;
struct mutex_waiter;
enum class better : std::uint8_t;
}  // namespace detail

/// A mutual exclusion lock for goroutines and plain threads. Go: sync.Mutex. Meets the standard's
/// TimedLockable (as std::timed_mutex), so std::lock_guard, std::unique_lock and std::scoped_lock
/// work on it.
///
/// A mutex is not bound to its holder: another goroutine or thread may unlock it, and a goroutine
/// may park while holding it. It is not recursive: who locks it twice waits for ever (and is
/// reported as a deadlock). Under load it is fair: newcomers may overtake waiters, but a waiter
/// that has waited over 1 ms gets it next. It may be destroyed as soon as the last unlock has been
/// observed, by locking it for instance, even while that unlock() has not returned. It can be
/// neither copied nor moved. Constant-initialised: usable as a global.
///
/// Synchronizes: unlock() → the return of the next lock(), or successful try_lock*().
class mutex : private detail::selectable {
 public:
  constexpr mutex() noexcept = default;
  mutex(const mutex&) = delete;
  mutex& operator=(const mutex&) = delete;

  /// Blocks until the mutex is the caller's. O(1).
  RUNNEL_INLINE void lock() {
    if constexpr (detail::inline_paths) {
      if (__builtin_expect(seems_shared_.load(std::memory_order_relaxed), 0)) {
        if (lock_shared_regime()) return;
      } else if (__builtin_expect(lock_biased(), 1)) {
        return;
      }
    }
    lock_slow();
  }

  /// Takes the mutex if it is free. Never blocks, never fails without cause.
  RUNNEL_INLINE bool try_lock() noexcept {
    if constexpr (detail::inline_paths) {
      if (__builtin_expect(lock_biased(), 1)) return true;
    }
    return try_lock_slow();
  }

  /// Blocks until the mutex is the caller's or the time is over. False: time-out.
  template <class Rep, class Period>
  bool try_lock_for(const std::chrono::duration<Rep, Period>& d) {
    return try_lock() || lock_until(detail::deadline_after(d));
  }

  /// As try_lock_for, up to a point in time of any clock.
  template <class Clock, class Duration>
  bool try_lock_until(const std::chrono::time_point<Clock, Duration>& t) {
    return try_lock() ||
           detail::wait_until_on(t, [this](detail::steady_time by) { return lock_until(by); });
  }

  /// Gives the mutex up. Never blocks. If it is not locked the program ends with
  /// `fatal error: unlock of unlocked mutex`, exit status 2. O(1).
  RUNNEL_INLINE void unlock() {
    if constexpr (detail::inline_paths) {
      if (__builtin_expect(seems_shared_.load(std::memory_order_relaxed), 0)) {
        if (unlock_shared_regime()) return;
      } else if (__builtin_expect(unlock_biased(), 1)) {
        return;
      }
    }
    unlock_slow();
  }

 private:
  friend struct detail::sync_access;

  // Bits of state_; see mutex.cpp.
  static constexpr std::uint32_t locked = 1;
  static constexpr std::uint32_t waiting = 2;
  static constexpr std::uint32_t shared = 4;
  static constexpr std::uint32_t let_pass = 8;
  static constexpr std::uint32_t on_its_way = 16;

  static constexpr std::uint16_t first_truce_ms = 10;
  static constexpr std::uint16_t passes_between_looks = 16;  // at 35 ns a look

  // The whole uncontended operation, where this thread has the object lock's bias.
  RUNNEL_INLINE bool lock_biased() noexcept {
    detail::thread* me = detail::current_thread();
    if (!lock_.try_lock_biased(me)) return false;
    const std::uint32_t now = state_.load(std::memory_order_relaxed);
    const bool free = (now & (locked | shared | let_pass)) == 0;
    if (free) {
      state_.store(now | locked, std::memory_order_relaxed);
      holder_.store(me->running, std::memory_order_relaxed);
    }
    detail::leave_biased(me);
    return free;
  }
  RUNNEL_INLINE bool unlock_biased() noexcept {
    detail::thread* me = detail::current_thread();
    if (!lock_.try_lock_biased(me)) return false;
    const std::uint32_t now = state_.load(std::memory_order_relaxed);
    const bool simple = now == locked || passes(now);
    // Shared, it is taken by whoever sees this, without the object lock.
    if (simple) state_.store(now & ~locked, std::memory_order_release);
    detail::leave_biased(me);
    return simple;
  }

  // The same in the shared regime, for the mutex that this thread measures. All that it needs of
  // its own is read while the cache line is on its way, since the locked instruction that frees the
  // mutex waits for every load. (Two threads, 36 ns of work between sections, for a section and the
  // work: 36 by calls, 32.5 inline, 31 with the prefetch, 30.3 so; Go 28.)
  RUNNEL_INLINE bool lock_shared_regime() noexcept {
    detail::prefetch_to_write(&state_);
    detail::thread* me = detail::current_thread();
    if (me == nullptr || me->pace.quick != this) return false;
    detail::parker* const running = me->running;
    const std::uint32_t left = me->pace.left - 1;
    std::uint32_t now = shared;
    if (!state_.compare_exchange_strong(now, shared | locked, std::memory_order_acquire,
                                        std::memory_order_relaxed)) {
      return false;
    }
    ++takes_;
    holder_.store(running, std::memory_order_relaxed);
    me->pace.left = left;
    if (left == 0) end_window(me);
    return true;
  }
  RUNNEL_INLINE bool unlock_shared_regime() noexcept {
    std::uint32_t now = shared | locked;
    return state_.compare_exchange_strong(now, shared, std::memory_order_release,
                                          std::memory_order_relaxed);
  }

  // An unlock in this state that need not look after the waiter who is on its way; the holder's.
  RUNNEL_INLINE bool passes(std::uint32_t now) noexcept {
    if ((now & (locked | on_its_way)) != (locked | on_its_way)) return false;
    if (passes_ % passes_between_looks == 0) return false;
    ++passes_;
    return true;
  }

  RUNNEL_API void lock_slow();
  RUNNEL_API bool try_lock_slow() noexcept;
  RUNNEL_API bool lock_until(detail::steady_time deadline);
  RUNNEL_API void unlock_slow();

  void run_errand(detail::thread* me);
  bool take_after_neighbours(const detail::parker* me, detail::steady_time& since) noexcept;
  void begin_trial(detail::thread* me) noexcept;
  void try_again_in_time() noexcept;
  void lock_contended();
  bool take_shared(detail::thread* me) noexcept;
  bool try_take() noexcept;
  bool take_or_announce() noexcept;
  bool take_or_queue(detail::mutex_waiter& w) noexcept;
  bool held_elsewhere(const detail::parker* me) const noexcept;
  bool spin(const detail::parker* me, const detail::mutex_waiter* w) noexcept;
  void settle() noexcept;
  void note_turn() noexcept;
  void note_take(detail::thread* me) noexcept;
  RUNNEL_API void end_window(detail::thread* me) noexcept;
  void release_with_waiters(std::uint32_t now) noexcept;

  RUNNEL_API static bool try_now(detail::selectable& object, void* argument) noexcept;
  RUNNEL_API static void enqueue(detail::selectable& object, detail::waiter& w, void*) noexcept;
  RUNNEL_API static void dequeue(detail::selectable& object, detail::waiter& w, void*) noexcept;

  // The order matters: whoever locks looks at lock_'s owner and at seems_shared_, which hardly ever
  // change, and must not take the cache line of state_ from the holder twice. So that is a line
  // away from both, wherever the mutex lies.
  std::atomic<bool> seems_shared_{false};  // has state_ `shared`? Written inside lock_; a hint
  std::atomic<detail::better> better_{};   // a hint; written by the holder
  std::uint16_t turns_ = 0;                // guarded by lock_: takes that followed another thread's
  detail::wait_queue waiters_;             // guarded by lock_
  detail::mutex_waiter* coming_ = nullptr;  // guarded by lock_
  const detail::thread* last_ = nullptr;    // guarded by lock_: who took it last inside lock_
  static_assert(sizeof(selectable) == 24 && sizeof(waiters_) == 16);
  std::atomic<std::uint32_t> tried_ms_{0};  // when they were apart to see what it costs
  // After how long those who are together try being apart again; doubles while that does not help.
  std::atomic<std::uint16_t> try_after_ms_{first_truce_ms};
  std::atomic<bool> try_anew_{false};  // the one who ends a window next is to begin a trial
  std::array<std::byte, 15> gap_{};
  std::atomic<std::uint32_t> state_{0};
  std::uint32_t takes_ = 0;  // the holder's: times taken in the shared regime
  // Who locked it last; written by the one who locks, a hint for waiters.
  std::atomic<const detail::parker*> holder_{nullptr};
  std::uint16_t streak_ = 0;  // the holder's: takes in windows without others, running
  std::uint16_t passes_ = 0;  // the holder's: unlocks while somebody was coming
};

}  // namespace runnel

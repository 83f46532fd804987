// Shared and exclusive locking. The algorithm is described in src/sync/shared_mutex.cpp.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <runnel/detail/config.hpp>
#include <runnel/detail/deadline.hpp>
#include <runnel/detail/section.hpp>
#include <runnel/detail/selectable.hpp>
#include <runnel/detail/thread.hpp>
#include <runnel/detail/waiter.hpp>

namespace runnel {

namespace detail {
struct reader_cell;
struct rw_waiter;
struct sync_access;
class ready_list;
}  // namespace detail

/// A lock that many readers or one writer can hold. Go: sync.RWMutex. Meets the standard's
/// SharedTimedLockable (as std::shared_timed_mutex), so std::unique_lock, std::shared_lock and
/// std::scoped_lock work on it.
///
/// A waiting writer keeps new readers out, so that readers cannot starve it; the readers that came
/// while a writer held the lock go before the next writer, so that writers cannot starve them.
/// While nobody holds the lock whoever runs may take it, before those who have waited and been
/// woken, but not once they have waited for over 1 ms. Hence a reader must not lock again what it
/// has locked: a writer between the two would block it for ever. Readers on several processors do
/// not disturb each other while no writer comes. Another goroutine or thread may unlock it. It may
/// be destroyed as soon as the last unlock has been observed, by locking it exclusively for
/// instance, even while that unlock has not returned. It can be neither copied nor moved.
/// Constant-initialised.
///
/// Synchronizes: unlock() → the return of later lock() and lock_shared(); unlock_shared() → the
/// return of the next lock().
class shared_mutex : private detail::selectable {
 public:
  constexpr shared_mutex() noexcept = default;
  ~shared_mutex() {
    if (cells_ != nullptr) free_cells();
  }
  shared_mutex(const shared_mutex&) = delete;
  shared_mutex& operator=(const shared_mutex&) = delete;

  /// Blocks until nobody else holds the lock. Go: Lock.
  RUNNEL_INLINE void lock() {
    if constexpr (detail::inline_paths) {
      if (__builtin_expect(change_biased(~0U, 0, writer), 1)) return;
    }
    lock_slow();
  }

  /// Takes the lock if nobody holds it or waits for it, not counting who has just been woken to
  /// take it and those behind. Never blocks. Go: TryLock.
  RUNNEL_INLINE bool try_lock() noexcept {
    if constexpr (detail::inline_paths) {
      if (__builtin_expect(change_biased(~0U, 0, writer), 1)) return true;
    }
    return try_lock_slow();
  }

  /// Blocks until nobody else holds the lock or the time is over. False: time-out.
  template <class Rep, class Period>
  bool try_lock_for(const std::chrono::duration<Rep, Period>& d) {
    return try_lock() || lock_until(detail::deadline_after(d));
  }
  template <class Clock, class Duration>
  bool try_lock_until(const std::chrono::time_point<Clock, Duration>& t) {
    return try_lock() ||
           detail::wait_until_on(t, [this](detail::steady_time by) { return lock_until(by); });
  }

  /// Gives the exclusive lock up. Never blocks. If it is not so locked the program ends with
  /// `fatal error: sync: Unlock of unlocked RWMutex`, exit status 2. Go: Unlock.
  RUNNEL_INLINE void unlock() {
    if constexpr (detail::inline_paths) {
      if (__builtin_expect(change_biased(~0U, writer, 0U - writer), 1)) return;
    }
    unlock_slow();
  }

  /// Blocks until no writer holds the lock or waits for it. Go: RLock.
  RUNNEL_INLINE void lock_shared() {
    if constexpr (detail::inline_paths) {
      if (__builtin_expect(change_biased(flags, 0, one), 1)) return;
    }
    lock_shared_slow();
  }

  /// Takes a share if no writer holds the lock or waits for it. Never blocks. Go: TryRLock.
  RUNNEL_INLINE bool try_lock_shared() noexcept {
    if constexpr (detail::inline_paths) {
      if (__builtin_expect(change_biased(flags, 0, one), 1)) return true;
    }
    return try_lock_shared_slow();
  }

  /// As lock_shared, or until the time is over. False: time-out.
  template <class Rep, class Period>
  bool try_lock_shared_for(const std::chrono::duration<Rep, Period>& d) {
    return try_lock_shared() || lock_shared_until(detail::deadline_after(d));
  }
  template <class Clock, class Duration>
  bool try_lock_shared_until(const std::chrono::time_point<Clock, Duration>& t) {
    return try_lock_shared() || detail::wait_until_on(t, [this](detail::steady_time by) {
             return lock_shared_until(by);
           });
  }

  /// Gives a share up. Never blocks. If there is none the program ends with
  /// `fatal error: sync: RUnlock of unlocked RWMutex`, exit status 2: at once, or, while readers on
  /// several processors use the lock, when the next writer comes. Go: RUnlock.
  RUNNEL_INLINE void unlock_shared() {
    if constexpr (detail::inline_paths) {
      detail::thread* me = detail::current_thread();
      if (lock_.try_lock_biased(me)) {
        const std::uint32_t now = state_.load(std::memory_order_relaxed);
        const bool simple = (now & flags) == 0 && now >= one;
        if (simple) state_.store(now - one, std::memory_order_relaxed);
        detail::leave_biased(me);
        if (__builtin_expect(simple, 1)) return;
      }
    }
    unlock_shared_slow();
  }

 private:
  friend struct detail::sync_access;

  // state_; see shared_mutex.cpp.
  static constexpr std::uint32_t writer = 1;
  static constexpr std::uint32_t pending = 2;
  static constexpr std::uint32_t shared = 4;
  static constexpr std::uint32_t wide = 8;
  static constexpr std::uint32_t flags = 15;
  static constexpr std::uint32_t one = 16;

  // Adds `change` to state_ if (state_ & mask) == expected, where this thread has lock_'s bias.
  RUNNEL_INLINE bool change_biased(std::uint32_t mask, std::uint32_t expected,
                                   std::uint32_t change) noexcept {
    detail::thread* me = detail::current_thread();
    if (!lock_.try_lock_biased(me)) return false;
    const std::uint32_t now = state_.load(std::memory_order_relaxed);
    const bool simple = (now & mask) == expected;
    if (simple) state_.store(now + change, std::memory_order_relaxed);
    detail::leave_biased(me);
    return simple;
  }

  RUNNEL_API void lock_slow();
  RUNNEL_API bool try_lock_slow() noexcept;
  RUNNEL_API bool lock_until(detail::steady_time deadline);
  RUNNEL_API void unlock_slow();
  RUNNEL_API void lock_shared_slow();
  RUNNEL_API bool try_lock_shared_slow() noexcept;
  RUNNEL_API bool lock_shared_until(detail::steady_time deadline);
  RUNNEL_API void unlock_shared_slow();
  RUNNEL_API void free_cells() noexcept;

  bool try_exclusive() noexcept;
  bool try_share() noexcept;
  bool queue_writer(detail::rw_waiter& w) noexcept;
  bool queue_reader(detail::rw_waiter& w) noexcept;
  bool own_or_queue(detail::rw_waiter& w) noexcept;
  bool share_or_queue(detail::rw_waiter& w) noexcept;
  void arrive(detail::rw_waiter& w, detail::ready_list& woken) noexcept;
  void wake(detail::waiter* w, std::uint32_t what, bool due, std::uint32_t& now,
            detail::ready_list& woken) noexcept;
  bool someone_is_due() const noexcept;
  void give_up(detail::wait_queue& queue, detail::waiter& w) noexcept;
  void settle(detail::ready_list& woken) noexcept;
  void share_wide() noexcept;
  bool take_now(bool exclusive) noexcept;
  void enqueue(detail::wait_queue& queue, detail::waiter& w) noexcept;
  bool pass_on(bool readers_first, detail::ready_list& woken) noexcept;
  bool leave_share(detail::ready_list& woken) noexcept;
  bool leave_exclusive(std::uint32_t& now, detail::ready_list& woken) noexcept;
  bool change(std::uint32_t& now, std::uint32_t next) noexcept;
  void note_thread() noexcept;
  void readers_collide() noexcept;
  void open_cells() noexcept;
  void fill_cells(std::uint64_t word) noexcept;
  void close_cells() noexcept;
  detail::reader_cell& my_cell() noexcept;
  void admit_readers(std::uint32_t& now, detail::ready_list& woken) noexcept;
  bool someone_waits() const noexcept { return !writers_.empty() || !readers_.empty(); }

  // For select; see selectable_ops and sync_access.
  RUNNEL_API static bool lock_now(detail::selectable& object, void*) noexcept;
  RUNNEL_API static bool share_now(detail::selectable& object, void*) noexcept;
  RUNNEL_API static void enqueue_writer(detail::selectable& object, detail::waiter& w,
                                        void*) noexcept;
  RUNNEL_API static void enqueue_reader(detail::selectable& object, detail::waiter& w,
                                        void*) noexcept;
  RUNNEL_API static void dequeue_writer(detail::selectable& object, detail::waiter& w,
                                        void*) noexcept;
  RUNNEL_API static void dequeue_reader(detail::selectable& object, detail::waiter& w,
                                        void*) noexcept;
  RUNNEL_API static void gave_up(detail::selectable& object) noexcept;
  RUNNEL_API static void locked(detail::selectable& object) noexcept;
  RUNNEL_API static void locked_shared(detail::selectable& object) noexcept;

  std::atomic<std::uint32_t> state_{0};
  std::atomic<std::uint32_t> collisions_{0};  // a heuristic: increments may be lost
  std::atomic<std::uint32_t> collisions_to_open_{16};
  std::uint16_t meetings_ = 0;  // guarded by lock_, as the next
  std::uint16_t meetings_to_part_ = 32;
  bool reopen_ = false;         // written inside lock_: the cells were worth their while
  std::uint8_t cell_mask_ = 0;  // written once, before cells_ are first opened
  bool readers_come_ = false;   // guarded by lock_, as the next
  bool given_ = false;          // it became theirs while they were coming
  std::uint32_t coming_ = 0;  // guarded by lock_: those woken to try again who have not yet done so
  detail::reader_cell* cells_ = nullptr;  // likewise
  detail::wait_queue writers_;            // guarded by lock_
  detail::wait_queue readers_;            // guarded by lock_
  const detail::thread* last_ = nullptr;  // guarded by lock_
};

}  // namespace runnel

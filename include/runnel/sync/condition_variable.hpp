// Waiting for a condition on data that a lock guards.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <optional>
#include <runnel/detail/config.hpp>
#include <runnel/detail/deadline.hpp>
#include <runnel/detail/object_lock.hpp>
#include <runnel/detail/selectable.hpp>
#include <runnel/detail/waiter.hpp>
#include <stop_token>
#include <utility>

namespace runnel {

namespace detail {

struct sync_access;

/// One wait for a notification; see src/sync/notify_list.cpp.
struct notify_waiter : waiter {
  enum : std::uint8_t { linked, unlinked, leaving };
  claim_word word;  // its claim, where the wait can also end without a notification
  std::atomic<std::uint8_t> place{linked};
};

/// A select's place in a notify_list, and what its engine waits on: a notification that has come to
/// the place. See src/sync/notify_list.cpp.
class notify_ticket : public selectable {
 public:
  notify_ticket() noexcept = default;

  RUNNEL_API static bool try_now(selectable& object, void* argument) noexcept;
  RUNNEL_API static void enqueue(selectable& object, waiter& w, void* argument) noexcept;
  RUNNEL_API static void dequeue(selectable& object, waiter& w, void* argument) noexcept;
  static constexpr selectable_ops ops{&try_now, &enqueue, &dequeue};

 private:
  friend class notify_list;
  waiter* take_notification() noexcept;

  notify_waiter place_;    // guarded by the list's lock; its slot points to this object
  wait_queue select_;      // guarded by lock_, as all that follows: the select's waiter
  bool notified_ = false;  // and not yet used
};

/// What condition_variable does once the lock is given up. Go: notifyList.
class notify_list {
 public:
  constexpr notify_list() noexcept = default;
  notify_list(const notify_list&) = delete;
  notify_list& operator=(const notify_list&) = delete;

  /// Makes the caller one of those whom a notification may go to; then it must wait() or cancel().
  RUNNEL_API void join(notify_waiter& w, bool may_end_early);
  RUNNEL_API void wait(notify_waiter& w);
  /// False: the deadline came (or end_early) and no notification was used up.
  RUNNEL_API bool wait_until(notify_waiter& w, std::optional<steady_time> deadline);
  /// Gives up a wait that has not begun; a notification that it has had goes to another.
  RUNNEL_API void cancel(notify_waiter& w) noexcept;
  /// Ends a wait that may end early. Any thread; does nothing if the wait has ended otherwise.
  RUNNEL_API static void end_early(notify_waiter& w) noexcept;

  /// The same for a select. Every join is followed by a leave; a notification that came and was not
  /// used goes to another then.
  RUNNEL_API void join(notify_ticket& t) noexcept;
  RUNNEL_API void leave(notify_ticket& t) noexcept;

  RUNNEL_INLINE void notify_one() noexcept {
    if (!inline_paths || !waiters_.empty()) notify(false);
  }
  RUNNEL_INLINE void notify_all() noexcept {
    if (!inline_paths || !waiters_.empty()) notify(true);
  }

 private:
  RUNNEL_API void notify(bool all) noexcept;
  void leave(notify_waiter& w) noexcept;
  bool someone_leaves() const noexcept;

  object_lock lock_;
  wait_queue waiters_;  // of notify_waiters; guarded by lock_
};

}  // namespace detail

/// Where goroutines and threads wait until others have made a condition true. Go: sync.Cond. The
/// interface of std::condition_variable_any: works with any lock that has lock() and unlock(),
/// std::unique_lock<runnel::mutex> and runnel::mutex itself among them.
///
///     std::unique_lock lock(mu);
///     cv.wait(lock, [&] { return ready; });
///
/// Waits do not end without cause, but another goroutine may have been quicker to use what was
/// announced: use the forms with a condition. Waiters are notified first come, first served. A
/// condition_variable may be destroyed once all who wait have been notified, even if they have not
/// returned yet. It can be neither copied nor moved. If the lock cannot be taken again after a wait
/// (it throws) the program is terminated, as the standard says.
///
/// Synchronizes: nothing by itself; the lock does.
class condition_variable {
 public:
  constexpr condition_variable() noexcept = default;
  condition_variable(const condition_variable&) = delete;
  condition_variable& operator=(const condition_variable&) = delete;

  /// Wakes the one who has waited longest, if any. Never blocks. Go: Signal.
  RUNNEL_INLINE void notify_one() noexcept { list_.notify_one(); }

  /// Wakes everyone who waits. Never blocks. O(waiters). Go: Broadcast.
  RUNNEL_INLINE void notify_all() noexcept { list_.notify_all(); }

  /// Gives the lock up and blocks until notified, in one step; takes the lock again. Go: Wait.
  template <class Lock>
  void wait(Lock& lock) {
    detail::notify_waiter w;
    list_.join(w, false);
    unlock(lock, w);
    const relock again(lock);
    list_.wait(w);
  }

  /// Waits until condition() is true, which it calls with the lock held.
  template <class Lock, class Condition>
  void wait(Lock& lock, Condition condition) {
    while (!condition()) wait(lock);
  }

  /// As wait(lock), but blocks no longer than until t, a point in time of any clock.
  template <class Lock, class Clock, class Duration>
  std::cv_status wait_until(Lock& lock, const std::chrono::time_point<Clock, Duration>& t) {
    detail::notify_waiter w;
    list_.join(w, true);
    unlock(lock, w);
    const relock again(lock);
    // One round: on a clock that was set back meanwhile this is a time-out too early, which the
    // standard counts among the spurious wakeups.
    const bool notified = list_.wait_until(w, detail::deadline_at(t));
    return notified || !detail::has_come(t) ? std::cv_status::no_timeout : std::cv_status::timeout;
  }

  /// Waits until condition() is true or the time has come. Returns condition().
  template <class Lock, class Clock, class Duration, class Condition>
  bool wait_until(Lock& lock, const std::chrono::time_point<Clock, Duration>& t,
                  Condition condition) {
    while (!condition()) {
      if (wait_until(lock, t) == std::cv_status::timeout) return condition();
    }
    return true;
  }

  /// As wait_until, for a duration.
  template <class Lock, class Rep, class Period>
  std::cv_status wait_for(Lock& lock, const std::chrono::duration<Rep, Period>& d) {
    return wait_until(lock, detail::deadline_after(d));
  }
  template <class Lock, class Rep, class Period, class Condition>
  bool wait_for(Lock& lock, const std::chrono::duration<Rep, Period>& d, Condition condition) {
    return wait_until(lock, detail::deadline_after(d), std::move(condition));
  }

  /// Waits until condition() is true or a stop is requested. Returns condition().
  template <class Lock, class Condition>
  bool wait(Lock& lock, std::stop_token stop, Condition condition) {
    while (!stop.stop_requested()) {
      if (condition()) return true;
      wait_stoppable(lock, stop, std::nullopt);
    }
    return condition();
  }

  /// Waits until condition() is true, a stop is requested or the time has come. Returns
  /// condition().
  template <class Lock, class Clock, class Duration, class Condition>
  bool wait_until(Lock& lock, std::stop_token stop,
                  const std::chrono::time_point<Clock, Duration>& t, Condition condition) {
    while (!stop.stop_requested()) {
      if (condition()) return true;
      if (detail::has_come(t)) return false;
      wait_stoppable(lock, stop, detail::deadline_at(t));
    }
    return condition();
  }
  template <class Lock, class Rep, class Period, class Condition>
  bool wait_for(Lock& lock, std::stop_token stop, const std::chrono::duration<Rep, Period>& d,
                Condition condition) {
    return wait_until(lock, std::move(stop), detail::deadline_after(d), std::move(condition));
  }

 private:
  friend struct detail::sync_access;

  // The lock is taken again on every way out; noexcept, as the standard wants it.
  template <class Lock>
  struct relock {
    explicit relock(Lock& l) noexcept : lock(l) {}
    ~relock() { lock.lock(); }
    Lock& lock;
  };

  template <class Lock>
  void unlock(Lock& lock, detail::notify_waiter& w) {
    struct undo {
      detail::notify_list* list;
      detail::notify_waiter& w;
      ~undo() {
        if (list != nullptr) list->cancel(w);
      }
    } u{&list_, w};
    lock.unlock();
    u.list = nullptr;
  }

  template <class Lock>
  void wait_stoppable(Lock& lock, std::stop_token& stop, std::optional<detail::steady_time> by) {
    detail::notify_waiter w;
    list_.join(w, true);
    unlock(lock, w);
    const relock again(lock);
    // Outside the lock: where the stop has been requested already the callback runs at once.
    const auto end = [&w] { detail::notify_list::end_early(w); };
    const std::stop_callback<decltype(end)> on_stop(stop, end);
    list_.wait_until(w, by);
  }

  detail::notify_list list_;
};

}  // namespace runnel

// Select over what is not a channel: mutexes, conditions, wait groups, latches, barriers,
// semaphores.
//
//     runnel::select(on_lock(mu, [&] { ...; mu.unlock(); }), on_done(ctx));
//     runnel::select(on_wait(wg), on_timeout(5s, give_up));
//     while (queue.empty() && !ctx.err()) runnel::select(on_wait(cv, lock), on_done(ctx));
//
// Each case does its operation exactly if it is the one chosen, as the cases on channels do. The
// object must live until the select has returned.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <runnel/detail/park.hpp>
#include <runnel/detail/select_core.hpp>
#include <runnel/sync/barrier.hpp>
#include <runnel/sync/condition_variable.hpp>
#include <runnel/sync/latch.hpp>
#include <runnel/sync/mutex.hpp>
#include <runnel/sync/semaphore.hpp>
#include <runnel/sync/shared_mutex.hpp>
#include <runnel/sync/wait_group.hpp>
#include <type_traits>
#include <utility>

namespace runnel {

namespace detail {

/// The way in to the engines of the objects.
struct sync_access {
  static selectable& object(mutex& m) noexcept { return m; }
  static selectable& object(shared_mutex& m) noexcept { return m; }
  static selectable& object(wait_group& wg) noexcept { return wg.count_; }
  static selectable& object(const latch& l) noexcept { return l.count_; }
  static notify_list& list(condition_variable& cv) noexcept { return cv.list_; }
  template <std::ptrdiff_t Max>
  static selectable& object(counting_semaphore<Max>& s) noexcept {
    return s.core_;
  }
  template <class F>
  static barrier_core& object(const barrier<F>& b) noexcept {
    return b.core_;
  }
  template <class Token>
  static std::uint64_t phase(const Token& token) noexcept {
    return token.phase_;
  }
  static constexpr selectable_ops mutex_ops{&mutex::try_now, &mutex::enqueue, &mutex::dequeue};
  static constexpr selectable_ops countdown_ops{&countdown::try_now, &countdown::enqueue,
                                                &countdown::dequeue};
  static constexpr selectable_ops semaphore_ops{&semaphore_core::try_now, &semaphore_core::enqueue,
                                                &semaphore_core::dequeue};

  /// The two ways to hold a shared_mutex: their operations, and what their holders come after.
  struct exclusively {
    static constexpr selectable_ops ops{&shared_mutex::lock_now, &shared_mutex::enqueue_writer,
                                        &shared_mutex::dequeue_writer, &shared_mutex::gave_up};
    static void begin(selectable& object) noexcept { shared_mutex::locked(object); }
  };
  struct shared {
    static constexpr selectable_ops ops{&shared_mutex::share_now, &shared_mutex::enqueue_reader,
                                        &shared_mutex::dequeue_reader, &shared_mutex::gave_up};
    static void begin(selectable& object) noexcept { shared_mutex::locked_shared(object); }
  };
};

/// A case on an object of this library. An lvalue f is kept by reference.
template <class F>
class sync_case {
 public:
  sync_case(selectable& object, const selectable_ops& ops, F f)
      : object_(&object), ops_(&ops), f_(std::forward<F>(f)) {}
  void prepare(select_record& r) noexcept { r.wait_for(object_, ops_); }
  void finish(const select_record&) {
    race_acquire(object_);
    f_();
  }
  auto owned() && { return sync_case<std::decay_t<F>>(*object_, *ops_, std::forward<F>(f_)); }

 private:
  selectable* object_;
  const selectable_ops* ops_;
  F f_;
};

/// A case on a shared_mutex.
template <class How, class F>
class shared_mutex_case {
 public:
  shared_mutex_case(selectable& object, F f) : object_(&object), f_(std::forward<F>(f)) {}
  void prepare(select_record& r) noexcept { r.wait_for(object_, &How::ops); }
  void finish(const select_record&) {
    How::begin(*object_);
    f_();
  }
  auto owned() && { return shared_mutex_case<How, std::decay_t<F>>(*object_, std::forward<F>(f_)); }

 private:
  selectable* object_;
  F f_;
};

/// A case on a barrier.
template <class F>
class barrier_case {
 public:
  barrier_case(barrier_core& core, std::uint64_t phase, F f)
      : core_(&core), phase_(phase), f_(std::forward<F>(f)) {}
  void prepare(select_record& r) noexcept { r.wait_for(core_, &barrier_core::ops, &phase_); }
  void finish(const select_record&) {
    race_acquire(core_);
    f_();
  }
  auto owned() && { return barrier_case<std::decay_t<F>>(*core_, phase_, std::forward<F>(f_)); }

 private:
  barrier_core* core_;
  std::uint64_t phase_;
  F f_;
};

/// A case on a condition_variable: it joins the list of those who wait, then gives the lock up, and
/// takes it again when the select's wait is over, whichever case was chosen.
template <class M, class F>
class condition_case {
 public:
  condition_case(notify_list& list, std::unique_lock<M>& lock, F f)
      : list_(&list), lock_(&lock), f_(std::forward<F>(f)) {}
  // Only before prepare, whence the ticket need not come along.
  condition_case(condition_case&& other) noexcept(std::is_nothrow_constructible_v<F, F&&>)
      : list_(other.list_), lock_(other.lock_), f_(std::forward<F>(other.f_)) {}

  void prepare(select_record& r) noexcept {
    r.wait_for(&ticket_, &notify_ticket::ops);
    list_->join(ticket_);
  }
  // Of several such cases with one lock the first gives it up, when all have joined.
  void before_wait() noexcept {
    gave_up_ = lock_->owns_lock();
    if (gave_up_) lock_->unlock();
  }
  void after_wait() noexcept {
    list_->leave(ticket_);
    if (gave_up_) lock_->lock();
  }
  void finish(const select_record&) { f_(); }
  auto owned() && {
    return condition_case<M, std::decay_t<F>>(*list_, *lock_, std::forward<F>(f_));
  }

 private:
  notify_list* list_;
  std::unique_lock<M>* lock_;
  F f_;
  notify_ticket ticket_;
  bool gave_up_ = false;
};

}  // namespace detail

/// A case that locks the mutex, then calls f() with it locked (f, or whoever comes after the
/// select, unlocks it). Waits in turn with those in lock(), but is never overtaken once it is
/// first.
template <class F = detail::no_handler>
auto on_lock(mutex& m, F&& f = {}) {
  using access = detail::sync_access;
  return detail::sync_case<F>(access::object(m), access::mutex_ops, std::forward<F>(f));
}

/// A case that locks the shared_mutex exclusively, then calls f() with it so locked (f, or whoever
/// comes after the select, unlocks it). Waits in turn with those in lock(), and keeps new readers
/// out meanwhile as they do; if another case is chosen, those it kept out go on. O(1), and as
/// lock() while many readers share it. Go has none: an RWMutex is waited for to the end.
template <class F = detail::no_handler>
auto on_lock(shared_mutex& m, F&& f = {}) {
  using access = detail::sync_access;
  return detail::shared_mutex_case<access::exclusively, F>(access::object(m), std::forward<F>(f));
}

/// A case that takes a share of the shared_mutex, then calls f() with it (f, or whoever comes after
/// the select, calls unlock_shared). Waits in turn with those in lock_shared(). O(1).
template <class F = detail::no_handler>
auto on_lock_shared(shared_mutex& m, F&& f = {}) {
  using access = detail::sync_access;
  return detail::shared_mutex_case<access::shared, F>(access::object(m), std::forward<F>(f));
}

/// A case that is ready when the counter is zero; then f() is called. Go has none; one starts a
/// goroutine that waits and closes a channel.
template <class F = detail::no_handler>
auto on_wait(wait_group& wg, F&& f = {}) {
  using access = detail::sync_access;
  return detail::sync_case<F>(access::object(wg), access::countdown_ops, std::forward<F>(f));
}

/// A case that is ready when the latch is open; then f() is called.
template <class F = detail::no_handler>
auto on_wait(const latch& l, F&& f = {}) {
  using access = detail::sync_access;
  return detail::sync_case<F>(access::object(l), access::countdown_ops, std::forward<F>(f));
}

/// A case that is ready when the phase that `token` was got in has ended, as wait(token) would
/// return; then f() is called. An arrival cannot be taken back: if another case is chosen the phase
/// still counts it, and the token may be waited for again, or dropped. The barrier must live until
/// every select on it has returned, too. O(1). Go has no barrier.
template <class C, class F = detail::no_handler>
auto on_wait(const barrier<C>& b, const typename barrier<C>::arrival_token& token, F&& f = {}) {
  using access = detail::sync_access;
  return detail::barrier_case<F>(access::object(b), access::phase(token), std::forward<F>(f));
}

/// A case that is ready when cv notifies, as condition_variable::wait(lock) would return; then f()
/// is called. `lock`, a std::unique_lock, must be held: it is given up while the select waits, and
/// held again, whichever case was chosen, before any handler is called and when select returns. If
/// another case is chosen no notification is used up. Never ready at once: look at the condition
/// before, and again after. A select may have several of these, with one lock. Made into a
/// select_case it allocates.
template <class M, class F = detail::no_handler>
auto on_wait(condition_variable& cv, std::unique_lock<M>& lock, F&& f = {}) {
  using access = detail::sync_access;
  return detail::condition_case<M, F>(access::list(cv), lock, std::forward<F>(f));
}

/// A case that takes a permit, then calls f(). Waits in turn with those in acquire().
template <std::ptrdiff_t Max, class F = detail::no_handler>
auto on_acquire(counting_semaphore<Max>& s, F&& f = {}) {
  using access = detail::sync_access;
  return detail::sync_case<F>(access::object(s), access::semaphore_ops, std::forward<F>(f));
}

}  // namespace runnel

// Select over what is not a channel: mutexes, wait groups, latches, semaphores.
//
//     runnel::select(on_lock(mu, [&] { ...; mu.unlock(); }), on_done(ctx));
//     runnel::select(on_wait(wg), on_timeout(5s, give_up));
//
// Each case does its operation exactly if it is the one chosen, as the cases on channels do. The
// object must live until the select has returned.
#pragma once

#include <cstddef>
#include <runnel/detail/park.hpp>
#include <runnel/detail/select_core.hpp>
#include <runnel/sync/latch.hpp>
#include <runnel/sync/mutex.hpp>
#include <runnel/sync/semaphore.hpp>
#include <runnel/sync/wait_group.hpp>
#include <type_traits>
#include <utility>

namespace runnel {

namespace detail {

/// The way in to the engines of the objects.
struct sync_access {
  static selectable& object(mutex& m) noexcept { return m; }
  static selectable& object(wait_group& wg) noexcept { return wg.count_; }
  static selectable& object(latch& l) noexcept { return l.count_; }
  template <std::ptrdiff_t Max>
  static selectable& object(counting_semaphore<Max>& s) noexcept {
    return s.core_;
  }
  static constexpr selectable_ops mutex_ops{&mutex::try_now, &mutex::enqueue, &mutex::dequeue};
  static constexpr selectable_ops countdown_ops{&countdown::try_now, &countdown::enqueue,
                                                &countdown::dequeue};
  static constexpr selectable_ops semaphore_ops{&semaphore_core::try_now, &semaphore_core::enqueue,
                                                &semaphore_core::dequeue};
};

/// A case on an object of this library. An lvalue f is kept by reference.
template <class F>
class sync_case {
 public:
  sync_case(selectable& object, const selectable_ops& ops, F f)
      : object_(&object), ops_(&ops), f_(std::forward<F>(f)) {}
  void prepare(select_record& r) noexcept {
    r.object = object_;
    r.slot = nullptr;
    r.ops = ops_;
    r.kind = select_kind::object;
  }
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

}  // namespace detail

/// A case that locks the mutex, then calls f() with it locked (f, or whoever comes after the
/// select, unlocks it). Waits in turn with those in lock(), but is never overtaken once it is
/// first.
template <class F = detail::no_handler>
auto on_lock(mutex& m, F&& f = {}) {
  using access = detail::sync_access;
  return detail::sync_case<F>(access::object(m), access::mutex_ops, std::forward<F>(f));
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
auto on_wait(latch& l, F&& f = {}) {
  using access = detail::sync_access;
  return detail::sync_case<F>(access::object(l), access::countdown_ops, std::forward<F>(f));
}

/// A case that takes a permit, then calls f(). Waits in turn with those in acquire().
template <std::ptrdiff_t Max, class F = detail::no_handler>
auto on_acquire(counting_semaphore<Max>& s, F&& f = {}) {
  using access = detail::sync_access;
  return detail::sync_case<F>(access::object(s), access::semaphore_ops, std::forward<F>(f));
}

}  // namespace runnel

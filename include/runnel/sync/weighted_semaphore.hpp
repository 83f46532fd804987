// Permits taken in different quantities.
#pragma once

#include <cstdint>
#include <runnel/context.hpp>
#include <runnel/detail/config.hpp>
#include <runnel/detail/section.hpp>
#include <runnel/detail/selectable.hpp>
#include <runnel/select.hpp>
#include <system_error>
#include <type_traits>
#include <utility>

namespace runnel {

namespace detail {

struct weighted_access;

/// What weighted_semaphore does without a context; see src/sync/weighted_semaphore.cpp.
class weighted_core : public selectable {
 public:
  explicit weighted_core(std::int64_t size) : size_(check_size(size)) {}
  weighted_core(const weighted_core&) = delete;
  weighted_core& operator=(const weighted_core&) = delete;

  RUNNEL_INLINE void acquire(std::int64_t n) {
    if (__builtin_expect(!take_biased(n), 0)) acquire_slow(n);
  }
  RUNNEL_INLINE bool try_acquire(std::int64_t n) { return take_biased(n) || try_acquire_slow(n); }
  RUNNEL_INLINE void release(std::int64_t n) {
    if (__builtin_expect(!give_biased(n), 0)) release_slow(n);
  }
  RUNNEL_API void acquired() noexcept;

  // The whole operations, where this thread has the lock's bias and nobody waits. False: perhaps
  // not; nothing was done.
  RUNNEL_INLINE bool take_biased(std::int64_t n) noexcept {
    if constexpr (!inline_paths) return false;
    thread* me = current_thread();
    if (!lock_.try_lock_biased(me)) return false;
    const bool taken = n >= 0 && take(n);
    leave_biased(me);
    return taken;
  }
  RUNNEL_INLINE bool give_biased(std::int64_t n) noexcept {
    if constexpr (!inline_paths) return false;
    thread* me = current_thread();
    if (!lock_.try_lock_biased(me)) return false;
    const bool simple = n >= 0 && n <= held_ && waiters_.empty();
    if (simple) held_ -= n;
    leave_biased(me);
    return simple;
  }

  std::int64_t size() const noexcept { return size_; }
  /// Throws panic unless n is a number that may be asked for.
  RUNNEL_API static void check(std::int64_t n);

  // For select; see selectable_ops. `argument` points to the number wanted.
  RUNNEL_API static bool try_now(selectable& object, void* argument) noexcept;
  RUNNEL_API static void enqueue(selectable& object, waiter& w, void* argument) noexcept;
  RUNNEL_API static void dequeue(selectable& object, waiter& w, void* argument) noexcept;
  RUNNEL_API static void gave_up(selectable& object) noexcept;
  static constexpr selectable_ops ops{&try_now, &enqueue, &dequeue, &gave_up};

 private:
  RUNNEL_API static std::int64_t check_size(std::int64_t size);
  RUNNEL_API void acquire_slow(std::int64_t n);
  RUNNEL_API bool try_acquire_slow(std::int64_t n);
  RUNNEL_API void release_slow(std::int64_t n);
  // Inside the lock.
  RUNNEL_INLINE bool take(std::int64_t n) noexcept {
    if (size_ - held_ < n || !waiters_.empty()) return false;
    held_ += n;
    return true;
  }

  const std::int64_t size_;
  std::int64_t held_ = 0;  // guarded by lock_
  wait_queue waiters_;     // guarded by lock_; slot: the number wanted
};

}  // namespace detail

/// A semaphore from which any number of its permits may be taken at once. Go: x/sync/semaphore.
///
/// First come, first served: a large request is not overtaken by small ones that would fit, so that
/// it cannot starve. May be destroyed as soon as the last release() has been observed by an
/// acquire. It can be neither copied nor moved. Where a number is negative: panic("semaphore:
/// n < 0").
///
/// Synchronizes: release() → the return of every acquire, or successful try_acquire, that follows
/// it.
class weighted_semaphore {
 public:
  /// n permits. Throws panic("semaphore: size < 0") for a negative number.
  explicit weighted_semaphore(std::int64_t n) : core_(n) {}
  weighted_semaphore(const weighted_semaphore&) = delete;
  weighted_semaphore& operator=(const weighted_semaphore&) = delete;

  /// Blocks until it has n permits; for ever if there are not so many.
  void acquire(std::int64_t n = 1) { core_.acquire(n); }

  /// As acquire(n), but ends, with ctx.err(), when the context does; then it has taken nothing. So
  /// it does if the context had ended already, even if there are permits. Throws std::bad_alloc.
  std::error_code acquire(const context& ctx, std::int64_t n = 1) {
    if (__builtin_expect(!detail::context_access::ended(ctx) && core_.take_biased(n), 1)) return {};
    return acquire_slow(ctx, n);
  }

  /// Takes n permits if they are there and nobody waits. Never blocks.
  bool try_acquire(std::int64_t n = 1) { return core_.try_acquire(n); }

  /// Gives n permits back. Never blocks. Throws panic("semaphore: released more than held"), giving
  /// back nothing. O(1 + waiters let go).
  void release(std::int64_t n = 1) { core_.release(n); }

 private:
  friend struct detail::weighted_access;

  std::error_code acquire_slow(const context& ctx, std::int64_t n) {
    detail::weighted_core::check(n);
    if (const std::error_code ended = ctx.err()) return ended;
    detail::give_way();
    if (core_.try_acquire(n)) return {};
    if (n > core_.size()) {
      select(on_recv(ctx.done()));
      return ctx.err();
    }
    bool got = false;
    select(on_recv(ctx.done()),
           detail::object_case(core_, detail::weighted_core::ops, &n, [&got] { got = true; }));
    if (!got) return ctx.err();
    core_.acquired();
    const std::error_code ended = ctx.err();
    if (ended) core_.release(n);
    return ended;
  }

  detail::weighted_core core_;
};

namespace detail {

/// The way in to the engine.
struct weighted_access {
  static weighted_core& core(weighted_semaphore& s) noexcept { return s.core_; }
};

/// A case on a weighted_semaphore. More permits than there are: never ready.
template <class F>
class weighted_case {
 public:
  weighted_case(weighted_core& core, std::int64_t n, F f)
      : core_(&core), n_(n), f_(std::forward<F>(f)) {}

  void prepare(select_record& r) noexcept {
    r.wait_for(n_ <= core_->size() ? core_ : nullptr, &weighted_core::ops, &n_);
  }
  void finish(const select_record&) {
    core_->acquired();
    f_();
  }
  auto owned() && { return weighted_case<std::decay_t<F>>(*core_, n_, std::forward<F>(f_)); }

 private:
  weighted_core* core_;
  std::int64_t n_;
  F f_;
};

}  // namespace detail

/// A case that takes n permits, then calls f(). Waits in turn with those in acquire(). Throws
/// panic("semaphore: n < 0").
template <class F = detail::no_handler>
auto on_acquire(weighted_semaphore& s, std::int64_t n, F&& f = {}) {
  detail::weighted_core::check(n);
  return detail::weighted_case<F>(detail::weighted_access::core(s), n, std::forward<F>(f));
}
template <class F = detail::no_handler>
requires std::is_invocable_v<F&>
auto on_acquire(weighted_semaphore& s, F&& f = {}) {
  return detail::weighted_case<F>(detail::weighted_access::core(s), 1, std::forward<F>(f));
}

}  // namespace runnel

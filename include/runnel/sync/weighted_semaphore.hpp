// Permits taken in different quantities.
#pragma once

#include <cstdint>
#include <runnel/context.hpp>
#include <runnel/detail/config.hpp>
#include <runnel/detail/selectable.hpp>
#include <runnel/select.hpp>
#include <system_error>

namespace runnel {

namespace detail {

/// What weighted_semaphore does without a context; see src/sync/weighted_semaphore.cpp.
class weighted_core : public selectable {
 public:
  constexpr explicit weighted_core(std::int64_t size) noexcept : size_(size) {}
  weighted_core(const weighted_core&) = delete;
  weighted_core& operator=(const weighted_core&) = delete;

  RUNNEL_API void acquire(std::int64_t n);
  RUNNEL_API bool try_acquire(std::int64_t n);
  RUNNEL_API void release(std::int64_t n);
  /// After a select gave up waiting: lets those go on whom it stood in the way of.
  RUNNEL_API void serve_waiters() noexcept;
  RUNNEL_API void acquired() noexcept;
  std::int64_t size() const noexcept { return size_; }

  // For select; see selectable_ops. `argument` points to the number wanted.
  RUNNEL_API static bool try_now(selectable& object, void* argument) noexcept;
  RUNNEL_API static void enqueue(selectable& object, waiter& w, void* argument) noexcept;
  RUNNEL_API static void dequeue(selectable& object, waiter& w, void* argument) noexcept;
  static constexpr selectable_ops ops{&try_now, &enqueue, &dequeue};

 private:
  bool take(std::int64_t n) noexcept;

  const std::int64_t size_;
  std::int64_t held_ = 0;  // guarded by lock_
  wait_queue waiters_;     // guarded by lock_; slot: the number wanted
};

}  // namespace detail

/// A semaphore from which any number of its permits may be taken at once. Go: x/sync/semaphore.
///
/// First come, first served: a large request is not overtaken by small ones that would fit, so that
/// it cannot starve. May be destroyed as soon as the last release() has been observed by an
/// acquire. It can be neither copied nor moved. Negative numbers: panic("semaphore: negative
/// weight").
///
/// Synchronizes: release() → the return of every acquire, or successful try_acquire, that follows
/// it.
class weighted_semaphore {
 public:
  /// n permits.
  explicit weighted_semaphore(std::int64_t n) : core_(n) {}
  weighted_semaphore(const weighted_semaphore&) = delete;
  weighted_semaphore& operator=(const weighted_semaphore&) = delete;

  /// Blocks until it has n permits; for ever if there are not so many.
  void acquire(std::int64_t n = 1) { core_.acquire(n); }

  /// As acquire(n), but ends, with ctx.err(), when the context does; then it has taken nothing. So
  /// it does if the context had ended already, even if there are permits. Throws std::bad_alloc.
  std::error_code acquire(const context& ctx, std::int64_t n = 1) {
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
    if (!got) {
      core_.serve_waiters();
      return ctx.err();
    }
    core_.acquired();
    const std::error_code ended = ctx.err();
    if (ended) core_.release(n);
    return ended;
  }

  /// Takes n permits if they are there and nobody waits. Never blocks.
  bool try_acquire(std::int64_t n = 1) { return core_.try_acquire(n); }

  /// Gives n permits back. Never blocks. Throws panic("semaphore: released more than held"), giving
  /// back nothing. O(1 + waiters let go).
  void release(std::int64_t n = 1) { core_.release(n); }

 private:
  detail::weighted_core core_;
};

}  // namespace runnel

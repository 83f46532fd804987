// Waiting for a number of goroutines to finish.
#pragma once

#include <optional>
#include <runnel/detail/countdown.hpp>
#include <runnel/detail/spawn.hpp>
#include <type_traits>
#include <utility>

namespace runnel {

namespace detail {
struct sync_access;
}

/// Waits for a collection of goroutines. Go: sync.WaitGroup.
///
///     runnel::wait_group wg;
///     for (auto& url : urls) wg.go([&] { fetch(url); });
///     wg.wait();
///
/// An add from zero must come before the wait it is meant for: add, or go, before starting what
/// will call done. A wait_group may be used again once every wait() on it has returned, and
/// destroyed as soon as wait() has returned, even while the last done() has not. It can be neither
/// copied nor moved.
///
/// Synchronizes: done(), or the end of a function started by go(f) → the return of every wait() it
/// lets go.
class wait_group {
 public:
  constexpr wait_group() noexcept = default;
  wait_group(const wait_group&) = delete;
  wait_group& operator=(const wait_group&) = delete;

  /// Adds n, which may be negative, to the counter; at zero every waiter goes on.
  /// Never blocks. Throws panic("sync: negative WaitGroup counter"), leaving the counter as it was,
  /// and panic("sync: WaitGroup misuse: Add called concurrently with Wait") where that was seen.
  /// O(1), at zero O(waiters).
  RUNNEL_INLINE void add(int n = 1) { count_.add(n, "sync: negative WaitGroup counter"); }

  /// add(-1).
  RUNNEL_INLINE void done() { add(-1); }

  /// Blocks until the counter is zero.
  RUNNEL_INLINE void wait() { count_.wait(detail::wait_reason::wait_group_wait); }

  /// Starts a goroutine that runs f() and then calls done(), also if f ends by goexit(). An
  /// exception that leaves f ends the program, as one that leaves a goroutine started by runnel::go
  /// does. Never blocks. Throws std::bad_alloc if no goroutine can be made; then the counter is
  /// unchanged.
  template <class F>
  void go(F&& f) {
    static_assert(std::is_invocable_v<std::decay_t<F>&>, "wait_group::go takes a callable f()");
    add(1);
    struct undo {
      wait_group* wg;
      ~undo() {
        if (wg != nullptr) wg->done();
      }
    } u{this};
    detail::spawn(job<std::decay_t<F>>(*this, std::forward<F>(f)));
    u.wg = nullptr;
  }

 private:
  friend struct detail::sync_access;

  // done() must come after f and what it captured are gone from the view of others: f may hold the
  // last handle of a channel whose closing or freeing a waiter relies on.
  template <class F>
  class job {
   public:
    template <class G>
    job(wait_group& wg, G&& g) : wg_(&wg), f_(std::in_place, std::forward<G>(g)) {}
    job(job&& other) noexcept(std::is_nothrow_move_constructible_v<F>)
        : wg_(other.wg_), f_(std::move(other.f_)) {}
    void operator()() {
      struct finish {
        job* self;
        ~finish() {
          self->f_.reset();
          self->wg_->done();
        }
      } at_end{this};
      (*f_)();
    }

   private:
    wait_group* wg_;
    std::optional<F> f_;
  };

  detail::countdown count_{0};
};

}  // namespace runnel

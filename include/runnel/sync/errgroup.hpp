// Goroutines that work on one task and fail together.
#pragma once

#include <exception>
#include <optional>
#include <runnel/chan.hpp>
#include <runnel/context.hpp>
#include <runnel/detail/caught_goexit.hpp>
#include <runnel/detail/config.hpp>
#include <runnel/detail/spawn.hpp>
#include <runnel/select.hpp>
#include <runnel/sync/once.hpp>
#include <runnel/sync/select_cases.hpp>
#include <runnel/sync/wait_group.hpp>
#include <system_error>
#include <type_traits>
#include <utility>

namespace runnel {

namespace detail {
struct errgroup_access;
}

/// Runs the parts of a task on goroutines and collects the first failure. Go: x/sync/errgroup.
///
///     runnel::errgroup group(ctx);
///     for (auto& url : urls) group.go([&] { fetch(group.ctx(), url); });
///     group.wait();
///
/// A function fails by throwing, or by returning a std::error_code that is not zero (then the
/// exception is a std::system_error with it). The first failure ends ctx(), with the exception as
/// its cause; the other functions should look at ctx() and stop. An exception does not end the
/// program here. The destructor ends ctx() and waits for the functions. It can be neither copied
/// nor moved.
///
/// Synchronizes: go → the start of f; the end of f → the return of wait(). With a limit n: the end
/// of the k-th function → the start of the (k+n)-th.
class errgroup {
 public:
  /// A group whose context is a child of the background. Throws std::bad_alloc.
  errgroup() : errgroup(background()) {}
  /// A group whose context is a child of `parent`. Throws std::bad_alloc. Go: WithContext.
  explicit errgroup(const context& parent) : scope_(with_cancel(parent)) {}
  ~errgroup() {
    scope_.cancel();
    running_.wait();
  }
  errgroup(const errgroup&) = delete;
  errgroup& operator=(const errgroup&) = delete;

  /// Ends with the first failure, or when wait() returns.
  const context& ctx() const noexcept { return scope_.ctx; }

  /// At most n functions at a time from now on; negative: no limit; 0: none at all. Throws
  /// panic("errgroup: modify limit while N goroutines in the group are still active") while there
  /// are functions started under a limit; std::bad_alloc.
  RUNNEL_API void set_limit(int n);

  /// Runs f() on a goroutine of its own. Blocks while as many run as the limit allows, also when
  /// ctx() has ended (as Go's does). Throws std::bad_alloc; then f was not started.
  template <class F>
  void go(F&& f) {
    if (slots_.has_value()) slots_->send();
    start(std::forward<F>(f));
  }

  /// As go(f), but gives up, with c.err(), when c ends; then f was not started. So it does if c had
  /// ended already, even if the limit allows f. With the group's own context a failure ends the
  /// starting of more, too. Throws std::bad_alloc; then f was not started. Go has none.
  ///
  ///     for (auto& url : urls) {
  ///       if (group.go(group.ctx(), [&] { fetch(group.ctx(), url); })) break;
  ///     }
  template <class F>
  std::error_code go(const context& c, F&& f) {
    if (const std::error_code ended = c.err()) return ended;
    if (slots_.has_value() && select(on_send(*slots_), on_done(c)) == 1) return c.err();
    start(std::forward<F>(f));
    return {};
  }

  /// As go, if the limit allows it now. Never blocks. False: it does not.
  template <class F>
  bool try_go(F&& f) {
    if (slots_.has_value() && slots_->try_send() != chan_status::ok) return false;
    start(std::forward<F>(f));
    return true;
  }

  /// Blocks until all functions have ended, ends ctx(), and rethrows the first exception if there
  /// was one. Go: Wait.
  RUNNEL_API void wait();

  /// As wait(), but gives up, with c.err(), when c ends: the functions go on, and ctx() stays as it
  /// is; the group still waits for them at its end. So it does if c had ended already, even if
  /// there is nothing to wait for. To end the functions, too, make c the parent of ctx(), and let
  /// them look at that. Synchronizes: as wait(), unless it gave up. Go has none.
  std::error_code wait(const context& c) {
    if (const std::error_code ended = c.err()) return ended;
    if (select(on_wait(running_), on_done(c)) == 1) return c.err();
    wait();
    return {};
  }

 private:
  friend struct detail::errgroup_access;
  template <class F>
  class job;

  template <class F>
  void start(F&& f) {
    static_assert(std::is_invocable_v<std::decay_t<F>&>, "errgroup::go takes a callable f()");
    struct undo {
      errgroup* group;
      ~undo() {
        if (group != nullptr) group->finished();
      }
    } u{this};
    running_.add();
    detail::spawn(job<std::decay_t<F>>(*this, std::forward<F>(f)));
    u.group = nullptr;
  }

  RUNNEL_API void failed(std::exception_ptr error) noexcept;
  /// One function has ended; may be the last touch of *this.
  RUNNEL_API void finished() noexcept;

  cancelable scope_;
  wait_group running_;
  std::optional<chan<void>> slots_;  // a running function's place, where there is a limit
  once_flag first_;
  std::exception_ptr error_;  // written under first_, read after running_.wait()
};

template <class F>
class errgroup::job {
 public:
  template <class G>
  job(errgroup& group, G&& f) : group_(&group), f_(std::in_place, std::forward<G>(f)) {}
  job(job&& other) noexcept(std::is_nothrow_move_constructible_v<F>)
      : group_(other.group_), f_(std::move(other.f_)) {}

  void operator()() {
    // Also when goexit unwinds: then f has neither failed nor anything to tell.
    struct finish {
      job* self;
      ~finish() {
        self->f_.reset();
        self->group_->finished();
      }
    } at_end{this};
    try {
      if constexpr (std::is_same_v<std::invoke_result_t<F&>, std::error_code>) {
        if (const std::error_code code = (*f_)()) throw std::system_error(code);
      } else {
        (*f_)();
      }
    } catch (...) {
      if (detail::caught_goexit()) throw;
      group_->failed(std::current_exception());
    }
  }

 private:
  errgroup* group_;
  std::optional<F> f_;
};

namespace detail {
struct errgroup_access {
  static wait_group& running(errgroup& group) noexcept { return group.running_; }
};
}  // namespace detail

/// A case that is ready when none of the group's functions is running; then f() is called. What
/// they threw comes out of group.wait(), which returns at once then. The group must live until the
/// select has returned. Go has none.
template <class F = detail::no_handler>
auto on_wait(errgroup& group, F&& f = {}) {
  return on_wait(detail::errgroup_access::running(group), std::forward<F>(f));
}

}  // namespace runnel

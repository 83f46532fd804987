// Trying again.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <runnel/context.hpp>
#include <runnel/detail/caught_goexit.hpp>
#include <runnel/detail/config.hpp>
#include <system_error>
#include <type_traits>
#include <utility>

namespace runnel {

/// How long to wait before each new attempt: initial, then factor times as long each time, but
/// never longer than max; of that a random part, up to the share `jitter`, is left out, so that
/// those who failed together do not come back together.
struct backoff {
  std::chrono::nanoseconds initial = std::chrono::milliseconds(100);
  std::chrono::nanoseconds max = std::chrono::seconds(10);
  double factor = 2;
  double jitter = 0.5;   ///< 0: always the whole time; 1: anything down to none
  int max_attempts = 0;  ///< calls in all; 0: any number
};

namespace detail {

/// The waits of one retry.
class backoff_steps {
 public:
  RUNNEL_API explicit backoff_steps(const backoff& how) noexcept;
  /// Waits before the next attempt. False: there is to be none, for ctx has ended or the attempts
  /// are used up.
  RUNNEL_API bool wait(const context& ctx);
  /// The length of the next wait; u: a random number from [0, 1).
  RUNNEL_API std::chrono::nanoseconds next(double u) noexcept;

 private:
  backoff how_;
  double step_;  // nanoseconds, before the jitter
  int attempts_ = 1;
};

}  // namespace detail

/// Calls f() until it returns, and returns what it returned. An exception that leaves f is a
/// failure: after a wait f is called again. When ctx ends, or max_attempts calls have failed, the
/// last exception is rethrown. If ctx has ended before the first call:
/// std::system_error(ctx.err()). Blocks.
///
///     auto page = runnel::retry(ctx, {.max_attempts = 5}, [&] { return fetch(url); });
template <class F>
auto retry(const context& ctx, backoff how, F&& f) -> std::invoke_result_t<F&> {
  if (const std::error_code ended = ctx.err()) throw std::system_error(ended);
  detail::backoff_steps steps(how);
  for (;;) {
    std::exception_ptr failure;
    try {
      return std::invoke(f);
    } catch (...) {
      if (detail::caught_goexit()) throw;
      failure = std::current_exception();
    }
    // Outside of the handler: a goroutine that parks in one takes the exception along.
    if (!steps.wait(ctx)) std::rethrow_exception(std::move(failure));
  }
}

}  // namespace runnel

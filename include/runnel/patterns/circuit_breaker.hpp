// Not calling what keeps failing.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <mutex>
#include <runnel/detail/caught_goexit.hpp>
#include <runnel/detail/config.hpp>
#include <runnel/errc.hpp>
#include <runnel/sync/mutex.hpp>
#include <utility>

namespace runnel {

/// Stands before a service that may fail. Closed, it lets every call through. After so many
/// failures in a row it is open: calls are refused at once, and the service is left alone. After a
/// while it is half open: a few probes are let through; if all succeed it closes, if one fails it
/// opens again.
///
///     runnel::circuit_breaker breaker({.failures = 3, .open_for = 5s});
///     auto answer = breaker.call([&] { return ask(server); });
///
/// Usable from any number of goroutines and threads.
class circuit_breaker {
  /// Nothing can be turned into one, so a list of them is empty.
  struct nothing {
    explicit nothing(const circuit_breaker& key);
  };

 public:
  struct options {
    int failures = 5;  ///< in a row; at least 1
    std::chrono::nanoseconds open_for = std::chrono::seconds(1);
    int probes = 1;  ///< at least 1
  };
  enum class state : std::uint8_t { closed, open, half_open };

  /// The default settings.
  RUNNEL_API circuit_breaker();
  /// Never blocks. Implicit, so that a circuit_breaker is made from settings wherever one is due.
  RUNNEL_API circuit_breaker(options o);
  /// circuit_breaker b({}): the default settings. Without this, {} would be options and a breaker
  /// to be copied alike. (Nor can the constructor above have a default argument: in C++ the
  /// defaults of a nested class's members are not known before its outer class is complete.)
  circuit_breaker(std::initializer_list<nothing>) : circuit_breaker() {}
  circuit_breaker(const circuit_breaker&) = delete;
  circuit_breaker& operator=(const circuit_breaker&) = delete;

  /// Calls f() and returns what it returns. An exception that leaves f is a failure, and comes out;
  /// a call that ends by goexit counts neither way. Refused: throws
  /// std::system_error(errc::circuit_open), and f is not called. The outcome of a call that began
  /// before the last change of state is ignored.
  template <class F>
  auto call(F&& f) -> std::invoke_result_t<F&> {
    attempt a(*this);
    try {
      return std::invoke(f);
    } catch (...) {
      a.end = detail::caught_goexit() ? verdict::none : verdict::failure;
      throw;
    }
  }

  /// The state that the next call finds.
  RUNNEL_API state current() const;

 private:
  enum class verdict : std::uint8_t { success, failure, none };

  /// One call that was let through.
  struct attempt {
    explicit attempt(circuit_breaker& b) : breaker(b), era(b.enter()) {}
    ~attempt() { breaker.leave(era, end); }
    attempt(const attempt&) = delete;
    attempt& operator=(const attempt&) = delete;

    circuit_breaker& breaker;
    const std::uint64_t era;
    verdict end = verdict::success;
  };

  RUNNEL_API std::uint64_t enter();
  RUNNEL_API void leave(std::uint64_t era, verdict end);
  void change_to(state s);

  const options options_;
  mutable mutex mutex_;  // guards all that follows
  state state_ = state::closed;
  std::uint64_t era_ = 0;  // number of changes of state
  int failures_ = 0;       // in a row, while closed
  int probing_ = 0;        // probes under way, while half open
  int probed_ = 0;         // probes that succeeded, while half open
  std::chrono::steady_clock::time_point opened_{};
};

}  // namespace runnel

// A count-down that opens once.
#pragma once

#include <cstddef>
#include <limits>
#include <runnel/detail/countdown.hpp>
#include <runnel/detail/fatal.hpp>

namespace runnel {

namespace detail {
struct sync_access;
}

/// A gate that opens when a count has reached zero, once and for all; as std::latch.
///
/// It may be destroyed as soon as wait() has returned, even while the last count_down() has not. It
/// can be neither copied nor moved.
///
/// Synchronizes: count_down() → the return of every wait(), and try_wait() that returns true.
class latch {
 public:
  /// Throws panic("latch: negative count") for a negative count.
  constexpr explicit latch(std::ptrdiff_t expected) : count_(checked(expected)) {}
  latch(const latch&) = delete;
  latch& operator=(const latch&) = delete;

  static constexpr std::ptrdiff_t max() noexcept {
    return std::numeric_limits<std::ptrdiff_t>::max() / 8;
  }

  /// Lowers the count by n; at zero everyone who waits goes on. Never blocks.
  /// Throws panic("latch: negative count"), leaving the count as it was, if n is negative or the
  /// count is less than n.
  RUNNEL_INLINE void count_down(std::ptrdiff_t n = 1) {
    count_.add(-checked(n), "latch: negative count");
  }

  /// Is the count zero? Never blocks.
  bool try_wait() const noexcept { return count_.is_zero(); }

  /// Blocks until the count is zero.
  RUNNEL_INLINE void wait() const { count_.wait(detail::wait_reason::latch); }

  /// count_down(n) and wait().
  void arrive_and_wait(std::ptrdiff_t n = 1) {
    count_down(n);
    wait();
  }

 private:
  friend struct detail::sync_access;

  static constexpr std::ptrdiff_t checked(std::ptrdiff_t n) {
    if (n < 0 || n > max()) detail::throw_panic("latch: negative count");
    return n;
  }

  mutable detail::countdown count_;
};

}  // namespace runnel

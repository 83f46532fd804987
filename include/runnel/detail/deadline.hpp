// From the clocks and durations that timed operations are given to the one the runtime waits by.
#pragma once

#include <chrono>
#include <cstdint>
#include <runnel/detail/duration.hpp>
#include <runnel/detail/park.hpp>
#include <type_traits>

namespace runnel::detail {

/// now + d, rounded up; the end of time where that does not fit.
template <class Rep, class Period>
steady_time deadline_after(const std::chrono::duration<Rep, Period>& d) {
  return saturating_add(std::chrono::steady_clock::now(), ceil_nanoseconds(d));
}

/// Has Clock reached t? Compared as nanoseconds, since the common type of a clock's durations and
/// t's may not hold t.
template <class Clock, class Duration>
bool has_come(const std::chrono::time_point<Clock, Duration>& t) {
  return ceil_nanoseconds(Clock::now().time_since_epoch()) >=
         ceil_nanoseconds(t.time_since_epoch());
}

/// When it will be t by Clock, as that goes now; now if t has passed.
template <class Clock, class Duration>
steady_time deadline_at(const std::chrono::time_point<Clock, Duration>& t) {
  const std::chrono::nanoseconds due = ceil_nanoseconds(t.time_since_epoch());
  if constexpr (std::is_same_v<Clock, std::chrono::steady_clock>) {
    return steady_time(due);
  } else {
    if (due == std::chrono::nanoseconds::max()) return steady_time::max();
    const std::chrono::nanoseconds now = ceil_nanoseconds(Clock::now().time_since_epoch());
    std::int64_t left = 0;
    if (due <= now) return std::chrono::steady_clock::now();
    if (__builtin_sub_overflow(due.count(), now.count(), &left)) return steady_time::max();
    return saturating_add(std::chrono::steady_clock::now(), std::chrono::nanoseconds(left));
  }
}

/// Calls wait(steady_time), which returns false on time-out, until it returns true or Clock has
/// reached t. A clock that can be set (system_clock) is looked at again after each time-out.
template <class Clock, class Duration, class Wait>
bool wait_until_on(const std::chrono::time_point<Clock, Duration>& t, Wait wait) {
  for (;;) {
    if (wait(deadline_at(t))) return true;
    if (std::is_same_v<Clock, std::chrono::steady_clock> || has_come(t)) return false;
  }
}

}  // namespace runnel::detail

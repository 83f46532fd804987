// From the clocks and durations that timed operations are given to the one the runtime waits by.
#pragma once

#include <chrono>
#include <runnel/detail/duration.hpp>
#include <runnel/detail/park.hpp>
#include <type_traits>

namespace runnel::detail {

/// now + d, rounded up; the end of time where that does not fit.
template <class Rep, class Period>
steady_time deadline_after(const std::chrono::duration<Rep, Period>& d) {
  return saturating_add(std::chrono::steady_clock::now(), ceil_nanoseconds(d));
}

/// Calls wait(steady_time), which returns false on time-out, until it returns true or Clock has
/// reached t. A clock that can be set (system_clock) is looked at again after each time-out.
template <class Clock, class Duration, class Wait>
bool wait_until_on(const std::chrono::time_point<Clock, Duration>& t, Wait wait) {
  if constexpr (std::is_same_v<Clock, std::chrono::steady_clock>) {
    return wait(steady_time(ceil_nanoseconds(t.time_since_epoch())));
  } else {
    for (;;) {
      if (wait(deadline_after(t - Clock::now()))) return true;
      if (Clock::now() >= t) return false;
    }
  }
}

}  // namespace runnel::detail

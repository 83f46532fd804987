// Any std::chrono::duration as nanoseconds, rounded up, cut to what 64 bits hold.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <runnel/detail/park.hpp>
#include <type_traits>
#include <utility>

namespace runnel::detail {

/// d in nanoseconds: rounded up, so that no wait is shorter than asked for; the greatest or
/// smallest value where it does not fit; zero for a floating-point NaN.
template <class Rep, class Period>
constexpr std::chrono::nanoseconds ceil_nanoseconds(const std::chrono::duration<Rep, Period>& d) {
  using limits = std::numeric_limits<std::int64_t>;
  using ratio = std::ratio_divide<Period, std::nano>;
  if constexpr (std::is_integral_v<Rep> && sizeof(Rep) <= 8 && ratio::den == 1) {
    constexpr std::int64_t most = limits::max() / ratio::num;
    if (std::cmp_greater(d.count(), most)) return std::chrono::nanoseconds::max();
    if (std::cmp_less(d.count(), -most)) return std::chrono::nanoseconds::min();
    return std::chrono::nanoseconds(static_cast<std::int64_t>(d.count()) * ratio::num);
  } else {
    // long double has the 64 bits of precision that the conversion of any 64-bit count needs.
    const long double exact =
        std::chrono::duration<long double, std::nano>(
            std::chrono::duration<long double, Period>(static_cast<long double>(d.count())))
            .count();
    if (!(exact < static_cast<long double>(limits::max()))) {
      return exact > 0 ? std::chrono::nanoseconds::max() : std::chrono::nanoseconds::zero();
    }
    if (exact <= static_cast<long double>(limits::min())) return std::chrono::nanoseconds::min();
    const auto whole = static_cast<std::int64_t>(exact);
    return std::chrono::nanoseconds(static_cast<long double>(whole) < exact ? whole + 1 : whole);
  }
}

/// t + d, or the end of time; t itself where d is negative.
inline steady_time saturating_add(steady_time t, std::chrono::nanoseconds d) noexcept {
  if (d.count() <= 0) return t;
  if (d > steady_time::max() - t) return steady_time::max();
  return t + d;
}

}  // namespace runnel::detail

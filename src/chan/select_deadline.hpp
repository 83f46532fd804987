// The cases of a select that are points in time.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <runnel/detail/select_core.hpp>

namespace runnel::detail {

class select_deadline {
 public:
  static bool is_time(const select_record& r) noexcept {
    return r.kind == select_kind::after || r.kind == select_kind::at;
  }

  bool has_come(const select_record& r) {
    return (r.kind == select_kind::after && r.time <= 0) ||
           (r.kind == select_kind::at && r.time <= now());
  }

  /// The index of the case that times out first, by chance one of those that do; no_case if none
  /// does.
  std::size_t find(const select_record* cases, std::size_t n) {
    std::size_t first = no_case;
    std::uint32_t same = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const select_record& r = cases[i];
      if (!is_time(r)) continue;
      const std::int64_t t = r.kind == select_kind::at ? r.time : saturated_sum(now(), r.time);
      if (first == no_case || t < deadline_) {
        first = i;
        deadline_ = t;
        same = 1;
      } else if (t == deadline_ && select_random(++same) == 0) {
        first = i;
      }
    }
    return first;
  }

  /// What find found.
  steady_time when() const noexcept { return steady_time{std::chrono::nanoseconds(deadline_)}; }

 private:
  static std::int64_t saturated_sum(std::int64_t a, std::int64_t b) noexcept {
    std::int64_t sum = 0;
    return __builtin_add_overflow(a, b, &sum) ? std::numeric_limits<std::int64_t>::max() : sum;
  }

  /// Read at most once, and only by those who wait for a time.
  std::int64_t now() {
    if (now_ == 0) {
      now_ = std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
    }
    return now_;
  }

  std::int64_t deadline_ = 0;
  std::int64_t now_ = 0;
};

}  // namespace runnel::detail

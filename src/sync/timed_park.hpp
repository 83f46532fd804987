// Parking with a deadline that may be the end of time.
#pragma once

#include <runnel/detail/park.hpp>

namespace runnel::detail {

/// As park_until; for steady_time::max() without a timer, which would keep a deadlock from being
/// reported.
inline bool park_by(wait_reason reason, waiter& w, steady_time deadline) noexcept {
  if (deadline != steady_time::max()) return park_until(reason, w, deadline);
  park(reason);
  return true;
}

}  // namespace runnel::detail

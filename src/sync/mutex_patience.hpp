// Shared by the parts of the mutex.
#pragma once

#include <chrono>

namespace runnel::detail {

/// Who has waited for longer gets the mutex next.
inline constexpr std::chrono::milliseconds mutex_patience{1};

}  // namespace runnel::detail

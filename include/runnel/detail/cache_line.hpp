// The unit of false sharing.
#pragma once

#include <cstddef>

namespace runnel::detail {

// A constant rather than std::hardware_destructive_interference_size, whose value GCC warns may
// differ between translation units.
inline constexpr std::size_t cache_line = 64;

}  // namespace runnel::detail

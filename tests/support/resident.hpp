// How much memory the process has.
#pragma once

#include <cstddef>

namespace runnel_test {

/// VmRSS, in bytes.
std::size_t resident_bytes();

}  // namespace runnel_test

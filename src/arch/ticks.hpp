#pragma once

#include <cstdint>

namespace runnel::arch {

/// The CPU's counter, which costs less than clock_gettime. Not ordered with what stands around it.
inline std::uint64_t ticks() noexcept {
#if defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#else
  std::uint64_t now;
  asm volatile("mrs %0, cntvct_el0" : "=r"(now));
  return now;
#endif
}

}  // namespace runnel::arch

// A hint to the CPU.
#pragma once

#include <runnel/detail/config.hpp>

namespace runnel::detail {

/// Asks for the cache line of `p` for writing, while the caller goes on. Never faults. Not
/// __builtin_prefetch: for plain x86-64 GCC makes that ask for a copy that cannot be written. All
/// x86-64 CPUs since about 2005 do prefetchw or ignore it.
RUNNEL_INLINE void prefetch_to_write(const void* p) noexcept {
#if defined(__x86_64__)
  asm volatile("prefetchw %0" : : "m"(*static_cast<const char*>(p)));
#else
  __builtin_prefetch(p, 1);
#endif
}

}  // namespace runnel::detail

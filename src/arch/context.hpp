// A saved context: what a switch must keep. Everything else is declared clobbered by the switch, so
// the compiler spills just what is live (see switch.hpp).
#pragma once

#include <cstdint>

namespace runnel::arch {

/// Field order is known to the assembly in switch.hpp and unwind_*.S.
struct context {
  std::uintptr_t sp = 0;
  std::uintptr_t pc = 0;
  std::uintptr_t fp = 0;     // rbp; x29
  std::uintptr_t extra = 0;  // rbx; x19
};

}  // namespace runnel::arch

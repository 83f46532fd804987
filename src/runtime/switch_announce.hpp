// What sanitizers are told around a switch between a goroutine and another, or a machine's own
// stack.
#pragma once

#include "arch/sanitizer.hpp"
#include "runtime/machine.hpp"

namespace runnel::runtime {

/// errno is each goroutine's own although they share the thread's: successive users do not race.
RUNNEL_INLINE void forget_errno(const machine& m) noexcept {
  if constexpr (RUNNEL_RACE != 0) {
    arch::tsan_forget(reinterpret_cast<std::uintptr_t>(m.errno_location) & ~std::uintptr_t{15}, 16);
  }
}

/// Last thing before the switch; `save` keeps the fake stack of what is left (null: it ends).
RUNNEL_INLINE void announce_switch_to(goroutine& next, void** save) noexcept {
  if (__builtin_expect(arch::asan_active(), 0)) {
    arch::asan_start_switch(save, next.stack_low, next.stack_high - next.stack_low);
  }
  arch::tsan_switch(next.race_state);
}

RUNNEL_INLINE void announce_switch_to_base(machine& m, void** save) noexcept {
  if (__builtin_expect(arch::asan_active(), 0)) {
    arch::asan_start_switch(save, m.asan_low, m.asan_size);
  }
  arch::tsan_switch(m.race_state);
}

/// First thing after the switch.
RUNNEL_INLINE void announce_arrival(void* saved) noexcept {
  if (__builtin_expect(arch::asan_active(), 0)) arch::asan_finish_switch(saved);
}

}  // namespace runnel::runtime

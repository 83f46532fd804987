// Stack walks by the unwinder that the compiler's own runtime brings, so without a dependency.
//
// A parked goroutine is walked from outside without touching its stack: the walk starts in an
// assembly trampoline on the caller's stack, whose unwind information says that its caller is the
// parked context (unwind_*.S). The walk ends where a frame's return address is undefined
// (entry_*.S), or has no unwind information.
//
// All of this is async-signal-safe where libgcc finds unwind tables by _dl_find_object
// (glibc 2.35). A context that runs on meanwhile gives wrong frames and may make the walk read an
// address that is not there: whoever cannot rule that out walks under debug/fault_guard.hpp.
//
// Rejected: following frame pointers, which neither libraries nor user code have by default.
#pragma once

#include <cstddef>
#include <cstdint>

#include "arch/context.hpp"

namespace runnel::arch {

/// One frame of a walk.
struct frame {
  std::uintptr_t pc;  // inside the instruction that ran or made the call: to be looked up as it is
  std::uintptr_t sp;  // its stack pointer there
  bool interrupted;   // by a signal, or parked: pc is where it goes on, not inside a call
};

/// Called for each frame, innermost first; false ends the walk.
using frame_visitor = bool (*)(void* argument, const frame& f);

/// Visits the frames of a parked context.
void unwind(const context& from, frame_visitor visit, void* argument) noexcept;
/// Visits the frames of the caller, its own first.
void unwind_here(frame_visitor visit, void* argument) noexcept;

/// As above, storing at most `max` addresses; returns how many.
std::size_t unwind(const context& from, std::uintptr_t* pcs, std::size_t max) noexcept;
std::size_t unwind_here(std::uintptr_t* pcs, std::size_t max) noexcept;

}  // namespace runnel::arch

// The end of a goroutine.
#pragma once

#include "runtime/goroutine.hpp"

namespace runnel::runtime {

/// Ends the running goroutine; its stack has been unwound.
[[noreturn]] void end_goroutine(goroutine* g) noexcept;

/// Unwinds the running goroutine's stack, running destructors, then ends it. Go: Goexit.
[[noreturn]] void unwind_goroutine(goroutine* g);

}  // namespace runnel::runtime

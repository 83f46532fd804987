// The runtime's start, and its end: exit, fatal reports, fork.
#pragma once

namespace runnel::runtime {

/// exit() has begun: machines stop at their next entry to the scheduler, for good. But if code that
/// runs during exit (a static destructor that waits for its goroutines) blocks in the library, the
/// machines go on while it does.
void begin_exit() noexcept;

/// Called by a plain thread that is about to block.
void thaw_for_exit() noexcept;

}  // namespace runnel::runtime

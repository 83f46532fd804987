// The runtime's start, and its end: exit, fatal reports, fork.
#pragma once

#include <atomic>
#include <cstdint>

namespace runnel::runtime {

/// exit() has begun: machines stop at their next entry to the scheduler, for good. But if code that
/// runs during exit (a static destructor that waits for its goroutines) blocks in the library, or
/// waits for a plain thread that does, the machines go on.
void begin_exit() noexcept;

/// Called by a plain thread that is about to block until `note` is not 0 any more. If exit() has
/// begun, and needs what this thread waits for, the machines go on.
void thaw_for_exit(const std::atomic<std::uint32_t>& note) noexcept;

}  // namespace runnel::runtime

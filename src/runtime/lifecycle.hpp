// The runtime's start, and its end: exit, fatal reports, fork.
#pragma once

#include <atomic>
#include <cstdint>

namespace runnel::runtime {

/// exit() has begun: machines stop at their next entry to the scheduler. They go on, and stop no
/// more, if code that runs during exit (a static destructor that waits for its goroutines) blocks
/// in the library, or sleeps while a plain thread does. What it waits for without sleeping, or
/// while no thread waits in the library (a future that a goroutine would fill), never comes.
void begin_exit() noexcept;

/// The calling thread is the one that exits, and the machines have stopped for it.
bool runs_exit() noexcept;

/// Called by a plain thread that is about to block.
void thaw_for_exit() noexcept;
/// Sleeps until exit() needs the machines no more stopped, or `note` changes. `begun_before`: the
/// wait is older than the exit.
void sleep_in_exit(std::atomic<std::uint32_t>& note, std::uint32_t while_it_is,
                   bool begun_before) noexcept;

}  // namespace runnel::runtime

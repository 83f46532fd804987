// The stack of a thread that is running, or asleep outside of the scheduler: it is asked, by a
// signal, to walk its own.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "debug/backtrace.hpp"

namespace runnel::debug {

/// Walks the stack of thread `tid`. With `id` it must still run that goroutine; 0 is for a plain
/// thread asleep in the library. False if it does something else, has ended, or does not answer
/// within `patience_ns` (it blocks signals; or ThreadSanitizer holds them back until its next
/// system call). System calls that cannot be restarted, such as nanosleep and poll, end with EINTR
/// in that thread. One caller at a time; others get false.
bool sample(pid_t tid, std::uint64_t id, std::int64_t patience_ns, backtrace& trace) noexcept;

}  // namespace runnel::debug

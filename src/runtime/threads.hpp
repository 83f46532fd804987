// The list of all thread records, and what can be asked of it.
#pragma once

#include <sys/types.h>

#include "runtime/machine.hpp"

namespace runnel::runtime {

machine* first_machine() noexcept;

/// A worker machine or sysmon.
bool is_runtime_thread(pid_t tid) noexcept;
/// Older than the runtime's first thread.
bool is_older_than_runtime(pid_t tid) noexcept;
/// A plain thread asleep in the library.
bool is_blocked_thread(pid_t tid) noexcept;
/// At least one plain thread is asleep in the library, and none that ever used it is awake.
bool known_threads_blocked() noexcept;

void note_runtime_thread(pid_t tid) noexcept;

}  // namespace runnel::runtime

// The list of all thread records, and what can be asked of it.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "runtime/machine.hpp"

namespace runnel::runtime {

machine* first_machine() noexcept;
/// In the child of a fork: frees all records, whose threads have gone.
void abandon_machines() noexcept;

/// A worker machine or sysmon.
bool is_runtime_thread(pid_t tid) noexcept;
/// Older than the runtime's first thread.
bool is_older_than_runtime(pid_t tid) noexcept;
/// A plain thread asleep in the library.
bool is_blocked_thread(pid_t tid) noexcept;
/// At least one plain thread is asleep in the library, and none that ever used it is awake.
bool known_threads_blocked() noexcept;

/// What a plain thread's note is while it sleeps in the library, and while exit() is under way.
inline constexpr std::uint32_t note_asleep = 2;
inline constexpr std::uint32_t note_asleep_in_exit = 3;
/// Lets all plain threads that sleep in the library watch exit().
void watch_blocked_threads() noexcept;

/// CPU time that a worker's thread has used, in nanoseconds; 0: it cannot be told.
std::int64_t cpu_time(const machine& m) noexcept;

enum class thread_state : std::uint8_t {
  sleeps,
  runs,       // or waits for a CPU
  in_kernel,  // waits for what the kernel will soon be done with: the address space's lock, a page
};
/// What a thread of this process does at the moment.
thread_state state_of(pid_t tid) noexcept;

void note_runtime_thread(pid_t tid) noexcept;

}  // namespace runnel::runtime

// What the surroundings ask for: RUNNEL_MAXPROCS, RUNNEL_DEBUG, the affinity mask, the cgroup
// quota.
#pragma once

#include <cstdint>

namespace runnel::runtime {

/// RUNNEL_DEBUG is a comma-separated list:
///   schedtrace=MS      a line about the scheduler every so many milliseconds
///   chaos=1            migrates and yields at random
///   traceback=all      reports show all goroutines
///   stacklimit=MIB     go() throws std::bad_alloc when stacks have taken so much address space
///   ignorethreads=1    threads that never called the library do not hold back a deadlock report
struct environment {
  unsigned max_procs = 0;  // 0: not set
  unsigned schedtrace_ms = 0;
  bool chaos = false;
  bool traceback_all = false;
  unsigned stack_limit_mib = 0;  // 0: none
  bool ignore_threads = false;
};

environment read_environment() noexcept;

/// CPUs in this process's affinity mask; at least 1. Go: NumCPU.
unsigned available_cpus() noexcept;
/// The smaller of available_cpus() and the cgroup's CPU quota, rounded up; at least 1.
unsigned default_max_procs() noexcept;

}  // namespace runnel::runtime

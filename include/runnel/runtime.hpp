// The runtime as a whole: processors, counts, counters.
//
// Signals. The threads that run goroutines block what the thread blocked that first used the
// library (with ThreadSanitizer all): who means to wait for signals (sigwait, signalfd) blocks them
// before that, as before starting any thread. SIGQUIT, unless the program handles it, ends it with
// a dump of all goroutines. A handler may neither block nor wake anybody, here as anywhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <runnel/detail/config.hpp>

namespace runnel {

/// How many processors run goroutines at a time. At start: the CPUs in the affinity mask or the
/// cgroup's CPU quota, whichever is less, rounded up; or the environment's RUNNEL_MAXPROCS.
/// Go: GOMAXPROCS(0).
RUNNEL_API int max_procs();

/// Changes it to n and returns the old value; n < 1 changes nothing. Goroutines that run on a
/// processor taken away go on until they next enter the scheduler. At most 1024. Go: GOMAXPROCS(n).
RUNNEL_API int max_procs(int n);

/// CPUs this process may run on. Go: runtime.NumCPU.
RUNNEL_API int num_cpu();

/// Goroutines alive: started and not yet ended. Plain threads, main among them, are not counted.
/// May be momentarily too high while goroutines start and end elsewhere. O(processors).
/// Go: runtime.NumGoroutine (which counts main).
RUNNEL_API std::size_t num_goroutine();

/// Counters since the program began, and present sizes. Reading them disturbs nobody; they are not
/// taken at one instant.
struct runtime_stats {
  std::uint64_t spawned = 0;   ///< goroutines started
  std::uint64_t finished = 0;  ///< goroutines ended
  std::uint64_t parked = 0;    ///< waits
  std::uint64_t yields = 0;    ///< times a goroutine let others run
  std::uint64_t picked =
      0;  ///< goroutines picked by a machine's own stack (not switched to directly)
  std::uint64_t steals = 0;    ///< times a processor found work in another's queue
  std::uint64_t stolen = 0;    ///< goroutines moved by steals
  std::uint64_t wakeups = 0;   ///< sleeping threads woken to run goroutines
  std::uint64_t handoffs = 0;  ///< processors passed on because their goroutine called blocking()
  std::uint64_t relieved =
      0;  ///< processors replaced because their goroutine blocked or hogged a thread
  std::uint64_t threads = 0;         ///< OS threads made to run goroutines
  std::size_t idle_procs = 0;        ///< processors with nothing to do
  std::size_t timers = 0;            ///< timers armed
  std::size_t stacks = 0;            ///< stacks ever made, up to 31 a processor ahead of need
  std::size_t stacks_unguarded = 0;  ///< of these, those for which no guard page could be had
  std::size_t free_stacks = 0;       ///< finished goroutines' stacks kept for reuse (shared ones)
  std::size_t stack_bytes_reserved = 0;  ///< address space for stacks, promised ones as well
};

/// See runtime_stats. Go: runtime/metrics.
RUNNEL_API runtime_stats stats();

}  // namespace runnel

// M: an OS thread as the scheduler sees it. Worker machines run goroutines; every other thread that
// uses the library has a record too (worker == false), which parks on a futex.
//
// Records are linked into one list for ever and recycled by later threads: biased locks and the
// dump read them at any time.
#pragma once

#include <pthread.h>
#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <runnel/detail/thread.hpp>
#include <runnel/detail/wait_reason.hpp>

#include "arch/context.hpp"
#include "arch/eh_globals.hpp"
#include "runtime/goroutine.hpp"

namespace runnel::runtime {

struct processor;

struct alignas(detail::cache_line) machine : detail::thread {
  // Hot, written by this thread only.
  processor* p = nullptr;  // what it holds; null: it may not run goroutines (or blocks outside)
  goroutine* g = nullptr;  // what runs now; null: its own stack (base) runs
  goroutine* pending = nullptr;  // taken from a queue, to be run by base
  arch::context base;            // where this thread's own stack waits while a goroutine runs
  void* base_release = nullptr;  // what a switch away from base "releases"; never read
  arch::eh_globals* eh = nullptr;
  int* errno_location = nullptr;
  bool worker = false;
  bool searching = false;         // counted in scheduler::searching
  goroutine* locked_g = nullptr;  // the goroutine locked to this thread

  // Sanitizers.
  void* race_state = nullptr;
  void* asan_stack = nullptr;
  std::uintptr_t asan_low = 0;
  std::size_t asan_size = 0;

  // Sleeping. Worker: note is raised by who gives it a processor. Plain thread: see park.cpp.
  std::atomic<std::uint32_t> note{0};
  processor* handed = nullptr;    // guarded by the scheduler's lock until note is raised
  goroutine* handed_g = nullptr;  // likewise: the locked goroutine, ready to run here
  bool waits_locked = false;      // guarded by the scheduler's lock: asleep for handed_g
  machine* next_idle = nullptr;   // guarded by the scheduler's lock
  std::atomic<detail::wait_reason> reason{
      detail::wait_reason::none};  // plain thread's, for reports
  std::atomic<std::int64_t> wait_since{0};

  // Identity; tid is 0 while no thread uses the record.
  std::atomic<pid_t> tid{0};
  pthread_t handle{};
  bool is_main = false;
  // Whom it last stole from, and when, until it has run out of work again. Its own.
  processor* robbed = nullptr;
  std::int64_t robbed_at = 0;
  std::int64_t theft_cost = 0;
  std::int64_t cpu_at_exit = 0;  // what its thread had used when exit began; the one who exits's
  std::int64_t used_since_exit = 0;  // at his last look
  std::uint32_t random = 0x9e3779b9;
  detail::local_slot* locals = nullptr;
  machine* next_all = nullptr;

  std::uint32_t next_random() noexcept {
    random ^= random << 13;
    random ^= random >> 17;
    random ^= random << 5;
    return random;
  }
};

/// This thread's record, or null.
RUNNEL_INLINE machine* current_machine() noexcept {
  return static_cast<machine*>(detail::current_thread());
}

/// A record for this thread: recycled or new, linked and filled in. Null if memory is exhausted.
machine* acquire_machine_record() noexcept;
/// For the end of a thread.
void release_machine_record(machine* m) noexcept;

}  // namespace runnel::runtime

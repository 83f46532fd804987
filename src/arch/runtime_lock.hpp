// The lock for the scheduler's own rare, short sections (idle lists, the global queue, the stack
// depot): test and set, then pause, then yield the CPU, then sleep in growing steps, because the
// holder may be a thread the kernel has preempted. Never held across anything that blocks.
#pragma once

#include <sched.h>
#include <time.h>

#include <atomic>
#include <cstdint>

#include "arch/keep_errno.hpp"

namespace runnel::runtime {

inline void cpu_relax() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  asm volatile("yield");
#endif
}

/// Waiting for a thread that will be done in a moment unless it is preempted.
class backoff {
 public:
  void wait() noexcept {
    if (round_ < 64) {
      cpu_relax();
    } else if (round_ < 96) {
      sched_yield();
    } else {
      const keep_errno kept;  // a signal ends the nap early
      const std::uint32_t step = round_ - 96 < 5 ? round_ - 96 : 5;
      const timespec nap{0, 20'000L << step};
      nanosleep(&nap, nullptr);
    }
    ++round_;
  }

 private:
  std::uint32_t round_ = 0;
};

class runtime_lock {
 public:
  void lock() noexcept {
    if (!word_.exchange(true, std::memory_order_acquire)) return;
    backoff b;
    do {
      while (word_.load(std::memory_order_relaxed)) b.wait();
    } while (word_.exchange(true, std::memory_order_acquire));
  }
  void unlock() noexcept { word_.store(false, std::memory_order_release); }
  /// In the child of a fork, where the holder, if there was one, has gone.
  void abandon() noexcept { word_.store(false, std::memory_order_relaxed); }

 private:
  std::atomic<bool> word_{false};
};

}  // namespace runnel::runtime

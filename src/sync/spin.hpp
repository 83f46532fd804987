// Whether to look on for a moment before parking.
//
// Spinning pays only while the one who is to release what we wait for is running on another CPU
// just now. So locks remember their holder, and a waiter looks whether that one runs: a parked or
// preempted holder is never spun for, and with one processor nobody is. (Go can only ask whether
// other processors are busy at all.)
#pragma once

#include <runnel/detail/thread.hpp>

namespace runnel::detail {

/// Tells the CPU that this is a waiting loop.
inline void cpu_relax() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  asm volatile("isb" ::: "memory");
#endif
}

/// Is `who`, which may be null or long gone, running on some OS thread now? A guess: it may change
/// at any moment.
bool is_running(const parker* who) noexcept;

}  // namespace runnel::detail

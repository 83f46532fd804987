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

/// For a word that several threads change by compare-and-swap, after each attempt that failed. To
/// look again takes the cache line from whoever is making progress, for half a microsecond; so
/// looks grow rare and the word stays with one thread for some hundred operations at a time.
class stand_back {
 public:
  void wait() noexcept {
    for (int i = 0; i < pauses_; ++i) cpu_relax();
    if (pauses_ < most_pauses) pauses_ *= 2;
  }

 private:
  static constexpr int most_pauses = 256;  // some 5 us
  int pauses_ = 16;
};

/// Is `who`, which may be null or long gone, running on some OS thread now? A guess: it may change
/// at any moment.
bool is_running(const parker* who) noexcept;

}  // namespace runnel::detail

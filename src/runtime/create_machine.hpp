// Making OS threads for machines.
#pragma once

#include <signal.h>

#include "runtime/processor.hpp"

namespace runnel::runtime {

/// Starts a thread whose machine takes p (null: none, it begins by sleeping or polling). False if
/// no thread can be had. Counts in scheduler::machines are the caller's.
bool create_machine(processor* p, bool searching) noexcept;

/// Starts a thread that runs body(), inside the fork gate until it leaves it, with these signals
/// blocked. False on failure.
bool create_thread(void* (*body)(void*), void* argument, const sigset_t& signals) noexcept;

/// For threads that have nothing to do with the program's signals. Not blocked is what a thread
/// brings upon itself, and what is aimed at each thread: by profilers, and, by real-time signals,
/// by reports that ask for its stack (threads that it starts inherit what it blocks).
inline void block_all_but_own(sigset_t& set) noexcept {
  sigfillset(&set);
  for (const int own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGPIPE, SIGPROF}) {
    sigdelset(&set, own);
  }
  for (int s = SIGRTMIN; s <= SIGRTMAX; ++s) sigdelset(&set, s);
}

}  // namespace runnel::runtime

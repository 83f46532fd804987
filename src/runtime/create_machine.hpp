// Making OS threads for machines.
#pragma once

#include "runtime/processor.hpp"

namespace runnel::runtime {

/// Starts a thread whose machine takes p (null: none, it begins by sleeping or polling). False if
/// no thread can be had. Counts in scheduler::machines are the caller's.
bool create_machine(processor* p, bool searching) noexcept;

/// Starts a thread that runs body(); signals blocked as in machines. False on failure.
bool create_thread(void* (*body)(void*), void* argument) noexcept;

}  // namespace runnel::runtime

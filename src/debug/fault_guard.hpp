// Runs code that may read an address that is not there: a walk over a stack that is in use.
#pragma once

namespace runnel::debug {

/// Runs body(argument). False if a SIGSEGV or SIGBUS of this thread cut it short; body must hold
/// nothing that needs an end. Does not nest within a thread. Any thread; async-signal-safe. Needs
/// the handler of signals.hpp, so a runtime that has started.
bool run_guarded(void (*body)(void* argument), void* argument) noexcept;

/// For the handler of SIGSEGV and SIGBUS: does not return if this thread is inside run_guarded.
void leave_guarded() noexcept;

}  // namespace runnel::debug

// The signals diagnostics listen to.
//
//   SIGSEGV, SIGBUS   a goroutine's stack overflow is reported; every other fault goes to the
//   handler
//                     that was there before (a sanitizer's, say), else to the default action: core
//                     dumps keep working.
//   SIGQUIT           only if it had its default action: all goroutines, exit status 2. A second
//                     one gets the default action, should the report hang.
#pragma once

#include <csignal>

namespace runnel::debug {

/// The C library's own sigaction, past a sanitizer's. ThreadSanitizer's makes a handler wait until
/// the thread enters a system call by way of the C library, and hides its own handler of faults.
int system_sigaction(int signal, const struct sigaction* action, struct sigaction* old) noexcept;

}  // namespace runnel::debug

// Where the runtime calls upward, into src/debug: declared here, defined there, so that no file of
// this layer includes one of a higher layer.
#pragma once

#include <cstdint>

namespace runnel::runtime {

/// Prints "fatal error: all goroutines are asleep - deadlock!" and every stack; exit status 2.
[[noreturn]] void report_deadlock();

/// Installs what reports need in the process, once: terminate, SIGSEGV and SIGQUIT handlers.
void install_report_handlers();
/// An alternate signal stack for this thread, so that a stack overflow can be reported.
void install_thread_signal_stack();
void remove_thread_signal_stack();

/// Called by sysmon after request_dump: writes the report that a failing thread left
/// to a bystander, else (SIGQUIT) all goroutines; exit status 2.
[[noreturn]] void dump_and_exit();

/// Makes sysmon call dump_and_exit: the one call downward, here because reports need no more of
/// sysmon. False: the runtime has not started. Async-signal-safe.
bool request_dump() noexcept;

/// A sanitizer's runtime is in this process.
bool under_sanitizer() noexcept;

}  // namespace runnel::runtime

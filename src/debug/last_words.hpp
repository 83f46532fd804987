// Reports that end the program: exit status 2, no destructors, no atexit handlers.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace runnel::debug {

struct ending {
  std::array<std::string_view, 4> headline;  // pieces of the first line (or lines)
  bool caller = true;                        // the caller's stack follows
  bool everyone = false;                     // everybody else's, too
  bool cramped = false;                      // called on a signal stack
};

/// Writes the report to stderr and ends the program. Of several callers the first one does; the
/// others wait for the end.
[[noreturn]] void end_program(const ending& e) noexcept;

/// Ends the program as a report does, without one.
[[noreturn]] void exit_silently() noexcept;

/// For the handler of faults. `limit`: bytes of stack the goroutine had.
[[noreturn]] void report_stack_overflow(std::size_t limit) noexcept;

/// Makes ours the handler of std::terminate, unless the program has set one of its own.
void install_terminate_handler() noexcept;

}  // namespace runnel::debug

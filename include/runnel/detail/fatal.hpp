// The two ways a misuse ends: panic (an exception, recoverable) and fatal (a report, exit status
// 2).
#pragma once

#include <runnel/detail/config.hpp>
#include <stdexcept>

namespace runnel {

/// Misuse on which Go panics; what() is Go's own text. Counterpart: runtime.Error, panic().
struct panic : std::logic_error {
  using std::logic_error::logic_error;
};

namespace detail {

/// Throws panic(text).
[[noreturn]] RUNNEL_API RUNNEL_COLD void throw_panic(const char* text);

/// Prints "fatal error: TEXT", the caller's goroutine and its stack to stderr; exit status 2.
[[noreturn]] RUNNEL_API RUNNEL_COLD void fatal(const char* text) noexcept;

}  // namespace detail
}  // namespace runnel

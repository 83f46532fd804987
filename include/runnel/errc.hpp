// The library's own error codes.
#pragma once

#include <runnel/detail/config.hpp>
#include <system_error>

namespace runnel {

/// Errors that operations of the library report as std::error_code. Go: context.Canceled,
/// context.DeadlineExceeded. They compare equal to std::errc::operation_canceled, timed_out and
/// resource_unavailable_try_again respectively.
enum class errc {
  canceled = 1,       ///< "context canceled"
  deadline_exceeded,  ///< "context deadline exceeded"
  circuit_open,       ///< "circuit breaker is open"
};

/// The category of errc; its name is "runnel".
RUNNEL_API const std::error_category& error_category() noexcept;

inline std::error_code make_error_code(errc e) noexcept {
  return {static_cast<int>(e), error_category()};
}

}  // namespace runnel

template <>
struct std::is_error_code_enum<runnel::errc> : std::true_type {};

// Telling goexit from an exception.
#pragma once

#include <exception>

namespace runnel::detail {

/// In a handler for (...): was it entered by a forced unwinding, that is by goexit or the
/// cancellation of a thread? Such a handler must rethrow. libstdc++ has no exception_ptr to what is
/// no C++ exception. Rejected: catching abi::__forced_unwind&, a reference that libstdc++ binds to
/// nothing, of which the undefined behaviour sanitizer rightly complains.
inline bool caught_goexit() noexcept { return std::current_exception() == nullptr; }

}  // namespace runnel::detail

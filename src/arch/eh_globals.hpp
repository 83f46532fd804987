// The C++ runtime keeps, per thread, the stack of exceptions being handled and the number of
// uncaught ones. They belong to the goroutine: one that parks inside a catch block, or in a
// destructor during unwinding, must find its own when it resumes, on whatever thread.
#pragma once

#include <cxxabi.h>

#include <cstdint>

namespace runnel::arch {

/// The layout that the Itanium C++ ABI gives __cxa_eh_globals (2.2.2), in libstdc++ and libc++abi.
struct eh_globals {
  void* caught = nullptr;
  unsigned int uncaught = 0;

  // One branch, which all but never goes the other way.
  bool any() const noexcept { return (reinterpret_cast<std::uintptr_t>(caught) | uncaught) != 0; }
};

/// This thread's; the address is the thread's for life.
inline eh_globals* thread_eh_globals() noexcept {
  return reinterpret_cast<eh_globals*>(abi::__cxa_get_globals());
}

}  // namespace runnel::arch

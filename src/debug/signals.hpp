// The signals diagnostics listen to.
//
//   SIGSEGV, SIGBUS   a goroutine's stack overflow is reported; every other fault goes to the
//   handler
//                     that was there before, else to the default action (core dumps keep working).
//                     Under a sanitizer its own handler stays, and ours is there only while a walk
//                     may fault.
//   SIGQUIT           only if it had its default action: all goroutines, exit status 2. A second
//                     one gets the default action, should the report hang.
#pragma once

#include <csignal>

namespace runnel::debug {

/// Our handler of faults, for a moment, where it is not installed for good. One at a time.
class fault_handler_scope {
 public:
  fault_handler_scope() noexcept;
  ~fault_handler_scope();
  fault_handler_scope(const fault_handler_scope&) = delete;
  fault_handler_scope& operator=(const fault_handler_scope&) = delete;

 private:
  bool installed_ = false;
  struct sigaction segv_ {};
  struct sigaction bus_ {};
};

}  // namespace runnel::debug

// errno as it was before, for what makes system calls on behalf of an operation that keeps it: one
// that succeeds may set it as well, and a futex that is no longer asleep says EAGAIN.
#pragma once

#include <cerrno>

namespace runnel::runtime {

/// Puts errno back at the end of its scope, which must not let the goroutine change its thread.
class keep_errno {
 public:
  keep_errno() noexcept : errno_(errno), before_(errno_) {}
  ~keep_errno() { errno_ = before_; }
  keep_errno(const keep_errno&) = delete;
  keep_errno& operator=(const keep_errno&) = delete;

 private:
  int& errno_;
  const int before_;
};

}  // namespace runnel::runtime

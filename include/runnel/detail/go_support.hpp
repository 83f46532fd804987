// The non-template half of go.hpp.
#pragma once

#include <cstdint>
#include <exception>
#include <runnel/detail/config.hpp>
#include <runnel/detail/object_lock.hpp>
#include <runnel/detail/park.hpp>
#include <string_view>

namespace runnel::detail {

/// blocking(f)'s two ends. Between them the caller's processor serves others. Nothing on a plain
/// thread. leave_blocking may park.
RUNNEL_API bool enter_blocking() noexcept;
RUNNEL_API void leave_blocking() noexcept;

RUNNEL_API std::uint64_t current_id() noexcept;
RUNNEL_API std::string_view current_name() noexcept;
RUNNEL_API void lock_os_thread();
RUNNEL_API void unlock_os_thread();
[[noreturn]] RUNNEL_API void goexit();

/// One waiter, one completion: how run() waits for its goroutine.
class completion {
 public:
  completion() : who_(self()) {}
  completion(const completion&) = delete;
  completion& operator=(const completion&) = delete;

  /// Synchronizes: complete → return of wait. May be the last touch of *this.
  void complete() noexcept {
    parker* who = who_;
    race_release(this);
    ready(who);
  }
  void wait() noexcept {
    park(wait_reason::future);
    race_acquire(this);
  }

 private:
  parker* who_;
};

}  // namespace runnel::detail

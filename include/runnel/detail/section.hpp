// Sections of an object_lock entered from code that is compiled into the user's program.
#pragma once

#include <atomic>
#include <runnel/detail/config.hpp>
#include <runnel/detail/object_lock.hpp>

namespace runnel::detail {

/// Leaves a lock that was entered by try_lock_biased(me): what unlock would have to find out is
/// known.
RUNNEL_INLINE void leave_biased(thread* me) noexcept {
  me->holding[0].store(nullptr, std::memory_order_release);
}

// Out of line for race-detecting programs, which must not see the lock's atomics. What one section
// did is ordered before the next one.
RUNNEL_API void enter_section(object_lock& lock) noexcept;
RUNNEL_API void leave_section(object_lock& lock) noexcept;

/// RAII, for short work on what the lock guards; nothing in it may park.
class section {
 public:
  RUNNEL_INLINE explicit section(object_lock& l) noexcept : lock_(l) {
    if constexpr (inline_paths) {
      biased_to_ = current_thread();
      if (__builtin_expect(lock_.try_lock_biased(biased_to_), 1)) return;
      biased_to_ = nullptr;
      lock_.lock();
    } else {
      enter_section(lock_);
    }
  }
  RUNNEL_INLINE ~section() {
    if constexpr (inline_paths) {
      if (__builtin_expect(biased_to_ != nullptr, 1)) {
        leave_biased(biased_to_);
      } else {
        lock_.unlock();
      }
    } else {
      leave_section(lock_);
    }
  }
  section(const section&) = delete;
  section& operator=(const section&) = delete;

 private:
  object_lock& lock_;
  thread* biased_to_ = nullptr;
};

}  // namespace runnel::detail

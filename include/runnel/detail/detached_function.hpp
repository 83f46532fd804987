// A function that a timer or the end of a context starts on a goroutine of its own.
//
// References: one for each handle, one while its timer is armed or a context may start it, one for
// each goroutine that runs it. Whoever takes it out of the timer heap or the context takes over the
// reference that went with that place.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <runnel/detail/config.hpp>
#include <runnel/detail/timer_node.hpp>
#include <type_traits>
#include <utility>

namespace runnel::detail {

class RUNNEL_API detached_function {
 public:
  detached_function(const detached_function&) = delete;
  detached_function& operator=(const detached_function&) = delete;

  void retain() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept;

  /// Starts a goroutine that runs the function; takes over one reference. Any thread, no parks. If
  /// there is no memory for a goroutine, tries again a millisecond later, and so on.
  void start() noexcept;

  /// Before a thread other than the caller may start it. Synchronizes: this → each run.
  void published() noexcept { race_release(&timer_); }
  /// Arms the timer, which starts the function when it is due. Throws std::bad_alloc.
  void arm(steady_time when);
  /// arm for a function that may be armed. True if it was.
  bool rearm(steady_time when);
  /// True if it was armed (and so will not be started).
  bool disarm() noexcept;

 protected:
  detached_function() noexcept;
  virtual ~detached_function();
  virtual void invoke() = 0;

 private:
  struct reference;
  struct call : timer_call {
    explicit call(detached_function& f) noexcept : timer_call(&due), self(f) {}
    detached_function& self;
  };
  struct timer : timer_node {
    explicit timer(detached_function& f) noexcept : self(f) { fire = &fired; }
    detached_function& self;
  };
  static parker* fired(timer_node* node, steady_time now) noexcept;
  static void due(timer_call* c) noexcept;

  std::atomic<std::uint32_t> refs_{1};
  call call_;
  timer timer_;
};

/// The function itself. It may run several times at once if its timer is reset while it runs.
template <class F, class Base = detached_function>
class detached_function_of final : public Base {
 public:
  // NOLINTBEGIN(bugprone-forwarding-reference-overload): does not see the requires-clause
  template <class G>
  requires(!std::is_same_v<std::remove_cvref_t<G>,
                           detached_function_of>) explicit detached_function_of(G&& g)
      : f_(std::forward<G>(g)) {}
  // NOLINTEND(bugprone-forwarding-reference-overload)

 private:
  void invoke() override { static_cast<void>(f_()); }
  F f_;
};

}  // namespace runnel::detail

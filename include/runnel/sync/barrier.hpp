// A meeting point that is used again and again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <runnel/detail/config.hpp>
#include <runnel/detail/selectable.hpp>
#include <runnel/detail/waiter.hpp>
#include <type_traits>
#include <utility>

namespace runnel {

namespace detail {

struct sync_access;

/// What barrier does that has no types; see src/sync/barrier.cpp.
class barrier_core : public selectable {
 public:
  explicit barrier_core(std::ptrdiff_t expected);
  barrier_core(const barrier_core&) = delete;
  barrier_core& operator=(const barrier_core&) = delete;

  struct arrival {
    std::uint64_t phase;
    bool last;  // of its phase: the caller must run the completion, then end_phase()
  };

  /// Counts n arrivals, after which `drop` fewer are expected in later phases.
  RUNNEL_API arrival arrive(std::ptrdiff_t n, std::ptrdiff_t drop);
  RUNNEL_API void end_phase() noexcept;
  RUNNEL_API void wait(std::uint64_t phase);

  // For select; see selectable_ops. `argument` points to the phase waited for.
  RUNNEL_API static bool try_now(selectable& object, void* argument) noexcept;
  RUNNEL_API static void enqueue(selectable& object, waiter& w, void* argument) noexcept;
  RUNNEL_API static void dequeue(selectable& object, waiter& w, void* argument) noexcept;
  static constexpr selectable_ops ops{&try_now, &enqueue, &dequeue};

 private:
  std::ptrdiff_t expected_;  // guarded by lock_, as all that follows
  std::ptrdiff_t missing_;   // in this phase
  std::uint64_t phase_ = 0;  // counts the phases that have ended
  wait_queue waiters_;       // for the end of this phase
};

struct no_completion {
  void operator()() noexcept {}
};

}  // namespace detail

/// Lets a group meet again and again: a phase ends when as many have arrived as are expected; then
/// the completion function runs, on the last one to arrive, and everyone who waits goes on. As
/// std::barrier. It can be neither copied nor moved; it may be destroyed when every wait() has
/// returned.
///
/// The completion function must not throw, or the program is terminated. That it be declared
/// noexcept is not asked for, as the libraries of most compilers do not for std::barrier.
///
/// Synchronizes: arrive() → the completion function → the return of every wait() for that phase.
template <class CompletionFunction = detail::no_completion>
class barrier {
  static_assert(std::is_invocable_v<CompletionFunction&>,
                "a barrier's completion function must be callable as f()");

 public:
  /// The phase that one arrived in; what wait takes.
  class arrival_token {
   public:
    arrival_token(arrival_token&&) noexcept = default;
    arrival_token& operator=(arrival_token&&) noexcept = default;

   private:
    friend class barrier;
    friend struct detail::sync_access;
    explicit arrival_token(std::uint64_t phase) noexcept : phase_(phase) {}
    std::uint64_t phase_;
  };

  /// Throws panic("barrier: negative count") for a negative number.
  explicit barrier(std::ptrdiff_t expected, CompletionFunction f = CompletionFunction())
      : core_(expected), completion_(std::move(f)) {}
  barrier(const barrier&) = delete;
  barrier& operator=(const barrier&) = delete;

  static constexpr std::ptrdiff_t max() noexcept {
    return std::numeric_limits<std::ptrdiff_t>::max();
  }

  /// Counts n arrivals. Does not wait for the others, but runs the completion function if none is
  /// missing any more. Throws panic("barrier: more arrivals than expected"), changing nothing.
  [[nodiscard]] arrival_token arrive(std::ptrdiff_t n = 1) {
    return arrival_token(arrive_dropping(n, 0));
  }

  /// Blocks until the phase of the token has ended. on_wait(barrier, token) is the same as a case
  /// of a select, for a wait that ends with a context or a time-out.
  void wait(arrival_token&& token) const { core_.wait(token.phase_); }

  /// arrive() and wait() for it.
  void arrive_and_wait() { core_.wait(arrive_dropping(1, 0)); }

  /// Arrives, and is not expected any more in later phases.
  void arrive_and_drop() { arrive_dropping(1, 1); }

 private:
  friend struct detail::sync_access;

  std::uint64_t arrive_dropping(std::ptrdiff_t n, std::ptrdiff_t drop) {
    const auto a = core_.arrive(n, drop);
    if (a.last) complete();
    return a.phase;
  }
  void complete() noexcept {
    completion_();
    core_.end_phase();
  }

  mutable detail::barrier_core core_;
  CompletionFunction completion_;
};

}  // namespace runnel

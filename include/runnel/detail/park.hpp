// The single door through which everything blocks. Go: gopark, goready.
//
// A wait is: link a waiter where a waker will find it, leave the object's lock, park. The waker
// pops the waiter under the object's lock, leaves the lock, calls ready. Every park is ended by
// exactly one ready; ready may come before park has switched away (the scheduler sees to it that a
// goroutine is resumed only once its context is saved), so there is no window to lose a wakeup in.
//
// Goroutine: park switches to the next goroutine; the OS thread may be another one afterwards.
// Plain thread: park spins a little, then sleeps on a futex.
#pragma once

#include <chrono>
#include <runnel/detail/config.hpp>
#include <runnel/detail/thread.hpp>
#include <runnel/detail/wait_reason.hpp>
#include <runnel/detail/waiter.hpp>

namespace runnel::detail {

using steady_time = std::chrono::steady_clock::time_point;

/// Blocks the caller until someone calls ready(self()). Keeps errno and the exception state.
RUNNEL_API void park(wait_reason reason) noexcept;

/// As park, but ends at the deadline too: then w.claim is won with timed_out_tag and false is
/// returned (w may still be queued: remove it under its object's lock). w.claim must be set.
/// True: a waker won the claim and called ready.
RUNNEL_API bool park_until(wait_reason reason, waiter& w, steady_time deadline) noexcept;
/// Parks until t, which nothing else can end.
RUNNEL_API void sleep_until_steady(steady_time t);

/// Lets a parked (or parking) goroutine or thread go on. Never blocks; may be called from anywhere,
/// under no object_lock. Synchronizes: ready → return of park.
RUNNEL_API void ready(parker* who) noexcept;

/// As ready, for callers that go on for a while: `who` goes on elsewhere if a processor is idle.
/// Not for one whom the caller is about to wait for: they are faster together.
RUNNEL_API void ready_elsewhere(parker* who) noexcept;

/// If goroutines wait for the caller's processor: wakes an idle one, which takes some of them.
RUNNEL_API void call_for_help() noexcept;

/// Lets waiting goroutines run; the caller goes on later. A plain thread yields the CPU.
RUNNEL_API void yield() noexcept;

/// For operations that may block but are not going to, on their slow paths: lets others run if the
/// caller has run for so long that its processor was taken away. No object_lock may be held.
RUNNEL_API void give_way() noexcept;

// What the memory model promises, announced to ThreadSanitizer; nothing in other builds. `release`
// replaces what the address carried, `release_merge` adds to it (several releasers, one acquirer).
#if RUNNEL_RACE || RUNNEL_TSAN
RUNNEL_API void race_acquire(const void* address) noexcept;
RUNNEL_API void race_release(const void* address) noexcept;
RUNNEL_API void race_release_merge(const void* address) noexcept;
#else
inline void race_acquire(const void*) noexcept {}
inline void race_release(const void*) noexcept {}
inline void race_release_merge(const void*) noexcept {}
#endif

}  // namespace runnel::detail

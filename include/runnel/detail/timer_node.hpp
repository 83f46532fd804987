// A timer as the runtime sees it: intrusive, allocation-free. Go: runtime.timer.
//
// Protocol
//  - A node belongs to one shard of the timer heap at a time; all fields but `fire` are guarded by
//    that shard's lock. (Before it joins its first by timer_adopt, `when` and `period` are guarded
//    by what its owner chooses, and nobody looks at the others.)
//  - fire(node, deadline) runs on a machine inside the scheduler, under the shard's lock: it must
//    be short, must not block, must not arm or cancel timers of the same shard, and may call
//    ready() only through the list it is given: it returns the parker to make ready (or null) and
//    the shard readies it after unlocking.
//  - period > 0 re-arms the node by itself at deadline + period (ticks missed are dropped).
//  - After timer_cancel returned, fire is neither running nor going to run.
#pragma once

#include <chrono>
#include <cstdint>
#include <runnel/detail/config.hpp>
#include <runnel/detail/park.hpp>

namespace runnel::detail {

struct timer_node;
/// Runs when the timer is due. Returns who is to be made ready, or null.
using timer_fire = parker* (*)(timer_node* node, steady_time now) noexcept;

/// What fire returns when there is more to do than to wake someone: run is called once, after the
/// shard's lock was left, on the machine's own stack: it may take locks, call ready and spawn, but
/// neither park nor run user code. The node may be armed again, or another machine may be running
/// the same call, by then; fire must have taken a reference to keep the object alive.
struct timer_call : parker {
  explicit timer_call(void (*f)(timer_call*) noexcept) noexcept : parker(kind::call), run(f) {}
  void (*const run)(timer_call*) noexcept;
};

struct timer_node {
  timer_fire fire = nullptr;
  std::int64_t when = 0;    // steady_clock nanoseconds; guarded by the shard
  std::int64_t period = 0;  // nanoseconds; 0: once
  std::uint32_t index = 0;  // position in the heap + 1; 0: not armed; guarded by the shard
  std::atomic<std::uint32_t> shard{0};  // which shard holds it (or held it last)
  bool unwanted = false;  // by fire: nobody took the tick; one that comes too often may wait
};

/// Arms the node. It must not be armed, nor may another thread know of it yet. O(log n), no
/// allocation in steady state. Throws std::bad_alloc if the heap cannot grow.
RUNNEL_API void timer_arm(timer_node& node, steady_time when, std::chrono::nanoseconds period = {});

/// Whether a node is to be armed after all, called under the lock of the shard it would be armed
/// in. True: it is, at node.when and node.period, and node.shard is set to `shard` before anybody
/// may see that it is.
using timer_claim = bool (*)(timer_node& node, std::uint32_t shard) noexcept;

/// Arms a node that is armed nowhere if `claim` says so; several may try to at once. Throws
/// std::bad_alloc, and then claim was not called.
RUNNEL_API void timer_adopt(timer_node& node, timer_claim claim);

/// Counts, for runtime_stats, a timer that is armed but in no heap: one more, or one less.
void count_dormant_timer(bool more) noexcept;

/// The first tick after `now` of a timer that was due at `when`; those between are dropped.
std::int64_t next_tick(std::int64_t when, std::int64_t period, std::int64_t now) noexcept;

/// A deadline as a node keeps it: cut to what can be computed with.
std::int64_t timer_deadline(steady_time t) noexcept;

/// Fires the node here and now if it is due. For someone about to wait for it: cheaper than to park
/// until a processor comes by the shard.
void timer_fire_if_due(timer_node& node) noexcept;

/// Takes back what the last firing of a node left behind, under the shard's lock, so that no firing
/// comes between. True if there was something: then the node counts as having been armed.
using timer_drain = bool (*)(timer_node& node) noexcept;

/// Disarms. True if it was armed (and so fire will not run for that arming). `drain` is called
/// unless the node was armed to fire once: then it has not fired since it was armed.
RUNNEL_API bool timer_cancel(timer_node& node, timer_drain drain = nullptr) noexcept;

/// timer_cancel and timer_arm in one step, under one lock. Returns what timer_cancel would have.
/// Unlike timer_arm it may run in parallel with timer_cancel and timer_reset of the same node.
RUNNEL_API bool timer_reset(timer_node& node, steady_time when,
                            std::chrono::nanoseconds period = {}, timer_drain drain = nullptr);

/// As timer_reset, for a node without a period, but leaves one that is not armed as it is.
RUNNEL_API bool timer_move(timer_node& node, steady_time when) noexcept;

/// As timer_reset, but leaves an armed node as it is.
RUNNEL_API bool timer_arm_if_idle(timer_node& node, steady_time when);

}  // namespace runnel::detail

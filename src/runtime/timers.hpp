// The runtime's timers as the scheduler sees them: shards, one per processor in use.
//
// A timer is armed in the shard of the processor that armed it (with a channel: that first waited
// for it), so that processors do not share a lock, but any machine may run any shard: an overdue
// timer fires although its processor is stalled.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/timer_heap.hpp"

namespace runnel::runtime {

inline constexpr unsigned max_timer_shards = 64;

// What the scheduler provides.

/// Number (below max_timer_shards) of the shard the caller should arm in.
unsigned timer_shard_hint() noexcept;
/// Called, with no lock held, after `when` became the earliest deadline of the shard. Must see to
/// it that nobody sleeps past it. Dekker: the shard's `next` is stored before this call; a sleeper
/// stores until when it sleeps before it reads next_deadline(); one of the two needs a full fence,
/// or both a half.
void timer_earliest_changed(unsigned shard, std::int64_t when) noexcept;

// What the timers provide.

/// Fires what is due in one shard. Costs two loads when nothing is.
void run_expired_timers(unsigned shard, std::int64_t now) noexcept;
/// The earliest deadline of one shard; no_deadline if it has none.
std::int64_t next_deadline(unsigned shard) noexcept;
/// The earliest deadline of all; no_deadline when no timer is armed.
std::int64_t next_deadline() noexcept;
/// How many shards have ever been armed in: the others, from this number on, are empty.
unsigned timer_shards() noexcept;
/// In the child of a fork, before the scheduler is given up: forgets the heaps, and locks that
/// threads which are gone may have held. Dormant timers are left.
void abandon_timers() noexcept;
/// Timers armed now, dormant ones included; takes every shard's lock for a moment.
std::size_t armed_timers() noexcept;

}  // namespace runnel::runtime

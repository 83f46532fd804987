// The channel of a timer or ticker, which is the timer: its node lies behind the channel's buffer,
// so that the two live and die together, and the last handle to either disarms. Go 1.23: timers
// that nobody refers to are collected although they are armed.
//
// The timer is dormant until somebody has to park for it: armed, but in no heap. Whoever comes to
// receive finds out by the clock whether it is due and takes the time, the channel's lock held. So
// `after` that is received late, or dropped, and timers that are stopped or reset before, as most
// time-outs are, never see a heap.
//   dormant -> in a heap   a receiver parks, or a reset finds one parked: under the lock of the
//                          shard and, within it, that of the channel. There is no way back.
//   dormant <-> idle       taken, stopped, reset: under the lock of the channel.
// Why no receiver is forgotten: it makes the timer join a heap after it found nothing and before it
// parks, and if a reset makes it dormant between the two it finds that when it looks again, under
// the lock under which it is linked. Later resets see it linked.
//
// In a heap the timer is the shard's (timer_node.hpp), and the channel has room for one time. A
// tick that finds it full is dropped. stop and reset empty it under the lock of the timer's shard,
// which firing needs too, so that what is received later was sent later.
//
// What is received is when the timer was due, whoever found out and however late.
#pragma once

#include <chrono>
#include <runnel/detail/chan_core.hpp>
#include <runnel/detail/config.hpp>
#include <runnel/detail/park.hpp>

namespace runnel::detail {

/// A channel with one reference whose timer is armed. period zero: fires once. Throws
/// std::bad_alloc. Synchronizes: this, or a reset → what is received afterwards.
RUNNEL_API chan_core* make_timer_channel(steady_time when, std::chrono::nanoseconds period);

/// Disarms and empties. True if the timer was armed or its tick had not been received.
RUNNEL_API bool stop_timer_channel(chan_core& c) noexcept;

/// Stops and arms anew in one step. Returns what stop would have.
RUNNEL_API bool reset_timer_channel(chan_core& c, steady_time when,
                                    std::chrono::nanoseconds period);

}  // namespace runnel::detail

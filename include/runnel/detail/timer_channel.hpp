// The channel of a timer or ticker, which is the timer: its node lies behind the channel's buffer,
// so that the two live and die together, and the last handle to either disarms. Go 1.23: timers
// that nobody refers to are collected although they are armed.
//
// The channel has room for one time. A tick that finds it full is dropped. stop and reset empty it
// under the lock of the timer's shard, which firing needs too, so that what is received later was
// sent later.
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

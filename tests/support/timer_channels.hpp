// What tests of timers ask of their channels.
#pragma once

#include <chrono>
#include <runnel/chan.hpp>
#include <runnel/select.hpp>

namespace runnel_test {

using timer_channel = runnel::recv_chan<std::chrono::steady_clock::time_point>;

/// Whether there was a time to be received; it is received.
inline bool received(const timer_channel& c) {
  std::chrono::steady_clock::time_point t;
  return c.try_recv(t) == runnel::chan_status::ok;
}

/// Puts the timer in a heap, as it is in none before somebody has waited for it.
inline void put_in_heap(const timer_channel& c) {
  runnel::select(runnel::on_recv(c), runnel::on_timeout(std::chrono::nanoseconds(1)));
}

}  // namespace runnel_test

// Why a goroutine or thread waits: one enumerator for every blocking site, in Go's words where Go
// has the thing. Reports print text(reason); do not reuse a reason, add a new one.
#pragma once

#include <cstdint>

namespace runnel::detail {

enum class wait_reason : std::uint8_t {
  none,
  chan_receive,
  chan_send,
  chan_receive_nil,
  chan_send_nil,
  select,
  select_no_cases,
  mutex_lock,
  shared_mutex_lock,
  shared_mutex_rlock,
  wait_group_wait,
  cond_wait,
  semacquire,
  sleep,
  io_wait,
  latch,
  barrier,
  future,
  once,
  blocking,
};

/// The words a report prints between brackets, such as "chan receive".
const char* text(wait_reason reason) noexcept;

}  // namespace runnel::detail

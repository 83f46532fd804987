// The one place where the idle runtime waits: epoll, with the next timer's deadline as time-out and
// an eventfd to interrupt it. Go: netpoll.
//
// Descriptors: poll_add(fd, who...) is added with network I/O; whatever waits there will be counted
// by netpoll_waiters, so that the deadlock report knows that the outside world may wake someone.
#pragma once

#include <cstdint>

namespace runnel::runtime {

/// Opens the epoll instance. Throws std::system_error when descriptors are exhausted.
void netpoll_open();

/// In the child of a fork: closes what is the parent's.
void netpoll_close() noexcept;

/// Sleeps until `deadline` (steady_clock ns; int64 max: none), an interrupt or an event.
void netpoll_wait(std::int64_t deadline) noexcept;

/// Ends a netpoll_wait, now or the next one. Async-signal-safe.
void netpoll_interrupt() noexcept;

/// Goroutines and threads that wait for a descriptor.
std::uint32_t netpoll_waiters() noexcept;

}  // namespace runnel::runtime

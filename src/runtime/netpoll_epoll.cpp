// The descriptors are made and written to by system calls of our own: ThreadSanitizer, which
// watches the C library's, would take their use by other threads for races, and a write for an
// edge.
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <limits>
#include <system_error>

#include "arch/keep_errno.hpp"
#include "runtime/netpoll.hpp"
#include "runtime/scheduler.hpp"

namespace runnel::runtime {
namespace {

int epoll_fd = -1;
int interrupt_fd = -1;
std::atomic<bool> has_pwait2{true};

}  // namespace

void netpoll_open() {
  epoll_fd = static_cast<int>(syscall(SYS_epoll_create1, EPOLL_CLOEXEC));
  if (epoll_fd < 0) throw std::system_error(errno, std::generic_category(), "epoll_create1");
  interrupt_fd = static_cast<int>(syscall(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (interrupt_fd < 0) {
    const int error = errno;
    close(epoll_fd);
    throw std::system_error(error, std::generic_category(), "eventfd");
  }
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;  // edge-triggered: each write wakes one wait, nothing to read
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, interrupt_fd, &event);
}

void netpoll_close() noexcept {
  for (int* fd : {&epoll_fd, &interrupt_fd}) {
    if (*fd >= 0) syscall(SYS_close, *fd);
    *fd = -1;
  }
}

void netpoll_wait(std::int64_t deadline) noexcept {
  epoll_event event{};
  timespec timeout{};
  const timespec* limit = nullptr;
  if (deadline != std::numeric_limits<std::int64_t>::max()) {
    const std::int64_t left = deadline - now_ns();
    if (left > 0) {
      timeout.tv_sec = left / 1'000'000'000;
      timeout.tv_nsec = left % 1'000'000'000;
    }
    limit = &timeout;
  }
#if defined(SYS_epoll_pwait2)
  if (has_pwait2.load(std::memory_order_relaxed)) {
    if (syscall(SYS_epoll_pwait2, epoll_fd, &event, 1, limit, nullptr, 0) >= 0 || errno != ENOSYS) {
      return;
    }
    has_pwait2.store(false, std::memory_order_relaxed);  // before Linux 5.11: milliseconds
  }
#endif
  int ms = -1;
  if (limit != nullptr) {
    const std::int64_t rounded = timeout.tv_sec * 1000 + (timeout.tv_nsec + 999'999) / 1'000'000;
    ms = static_cast<int>(rounded < 60'000 ? rounded : 60'000);
  }
  epoll_wait(epoll_fd, &event, 1, ms);
}

void netpoll_interrupt() noexcept {
  const std::uint64_t one = 1;
  const keep_errno kept;
  // The counter overflowing after 2^64 unread writes is the only way to fail, and means "awake".
  syscall(SYS_write, interrupt_fd, &one, sizeof one);
}

std::uint32_t netpoll_waiters() noexcept { return 0; }

}  // namespace runnel::runtime

#include "debug/fault_guard.hpp"

#include <setjmp.h>
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <atomic>

namespace runnel::debug {
namespace {

// A place to return to, owned by the thread whose id it bears. Few, because few walks go on at
// once.
struct guard {
  std::atomic<pid_t> tid{0};
  sigjmp_buf back;
};
std::array<guard, 8> guards;

guard* claim(pid_t tid) noexcept {
  for (guard& g : guards) {
    pid_t nobody = 0;
    if (g.tid.compare_exchange_strong(nobody, tid, std::memory_order_acquire)) return &g;
  }
  return nullptr;
}

}  // namespace

bool run_guarded(void (*body)(void* argument), void* argument) noexcept {
  guard* const mine = claim(::gettid());
  if (mine == nullptr) return false;
  const bool whole = sigsetjmp(mine->back, 1) == 0;
  if (whole) body(argument);
  mine->tid.store(0, std::memory_order_release);
  return whole;
}

void leave_guarded() noexcept {
  const pid_t tid = ::gettid();
  for (guard& g : guards) {
    if (g.tid.load(std::memory_order_relaxed) == tid) siglongjmp(g.back, 1);
  }
}

}  // namespace runnel::debug

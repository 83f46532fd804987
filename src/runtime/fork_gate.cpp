#include "runtime/fork_gate.hpp"

#include <atomic>

#include "arch/runtime_lock.hpp"

namespace runnel::runtime::fork_gate {
namespace {

std::atomic<unsigned> inside{0};
std::atomic<bool> forking{false};
runtime_lock forker;  // one fork at a time

}  // namespace

void enter() noexcept {
  for (;;) {
    inside.fetch_add(1, std::memory_order_seq_cst);
    if (!forking.load(std::memory_order_seq_cst)) return;
    leave();
    backoff b;
    while (forking.load(std::memory_order_relaxed)) b.wait();
  }
}

void leave() noexcept { inside.fetch_sub(1, std::memory_order_release); }

void hold() noexcept {
  forker.lock();
  forking.store(true, std::memory_order_seq_cst);
  backoff b;
  while (inside.load(std::memory_order_seq_cst) != 0) b.wait();
}

void release() noexcept {
  forking.store(false, std::memory_order_release);
  forker.unlock();
}

}  // namespace runnel::runtime::fork_gate

// What may be assumed where only one machine runs goroutines.
#pragma once

#include <runnel/detail/thread.hpp>

#include "runtime/fence.hpp"
#include "runtime/scheduler.hpp"

namespace runnel::runtime {

/// The calling machine if it holds the only processor, else null. A guess about the future: other
/// threads may come, or max_procs may change.
inline detail::thread* only_machine() noexcept {
  machine* m = current_machine();
  if (m == nullptr || m->p == nullptr || sched->procs.load(std::memory_order_relaxed) != 1) {
    return nullptr;
  }
  return heavy_fence_enabled() ? m : nullptr;
}

}  // namespace runnel::runtime

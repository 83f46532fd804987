// What templates need out of line.
#include <algorithm>
#include <bit>
#include <runnel/detail/park.hpp>
#include <runnel/detail/section.hpp>
#include <runnel/sync/concurrent_map.hpp>

#include "runtime/scheduler.hpp"

namespace runnel::detail {

void enter_section(object_lock& lock) noexcept {
  lock.lock();
  race_acquire(&lock);
}

void leave_section(object_lock& lock) noexcept {
  race_release(&lock);
  lock.unlock();
}

std::size_t map_shards() noexcept {
  const unsigned procs =
      runtime::sched != nullptr ? runtime::sched->procs.load(std::memory_order_relaxed) : 1;
  return std::bit_ceil(std::clamp(4 * procs, 8U, 128U));
}

}  // namespace runnel::detail

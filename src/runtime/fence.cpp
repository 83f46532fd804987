#include "runtime/fence.hpp"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

namespace runnel::runtime {
namespace {
std::atomic<bool> enabled{false};
}

bool enable_heavy_fence() noexcept {
  const bool ok = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0U, 0) == 0 &&
                  syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0U, 0) == 0;
  enabled.store(ok, std::memory_order_release);
  return ok;
}

bool heavy_fence_enabled() noexcept { return enabled.load(std::memory_order_acquire); }

void heavy_fence() noexcept {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (heavy_fence_enabled()) syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0U, 0);
}

}  // namespace runnel::runtime

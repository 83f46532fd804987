// The heavy half of asymmetric fences: costs a system call here and nothing on the hot side, which
// needs only a compiler fence. See detail/object_lock.hpp.
#pragma once

namespace runnel::runtime {

/// Registers with the kernel; false: membarrier is not to be had, use no bias at all.
/// Idempotent, and needed again in the child of a fork.
bool enable_heavy_fence() noexcept;

/// Whether enable_heavy_fence has succeeded.
bool heavy_fence_enabled() noexcept;

/// A full memory fence on every running thread of this process.
void heavy_fence() noexcept;

}  // namespace runnel::runtime

// What readers of a shared_mutex count in while it is wide; see shared_mutex_wide.cpp.
#pragma once

#include <atomic>
#include <cstdint>
#include <runnel/detail/cache_line.hpp>
#include <runnel/sync/shared_mutex.hpp>

#include "runtime/machine.hpp"
#include "runtime/processor.hpp"

namespace runnel {

namespace detail {

// word: shares taken since it was opened * 2^32 | (taken - given back) * 2 | closed. The middle
// number may be negative; it has then borrowed one from the first.
struct alignas(cache_line) reader_cell {
  static constexpr std::uint64_t closed = 1;
  static constexpr std::uint64_t share = 2;
  static constexpr std::uint64_t taken = std::uint64_t{1} << 32;
  std::atomic<std::uint64_t> word{closed};

  /// Adds `change` unless the cell is closed.
  bool try_add(std::uint64_t change, std::memory_order order) noexcept {
    std::uint64_t n = word.load(std::memory_order_relaxed);
    while ((n & closed) == 0) {
      if (word.compare_exchange_weak(n, n + change, order, std::memory_order_relaxed)) return true;
    }
    return false;
  }
};

}  // namespace detail

inline detail::reader_cell& shared_mutex::my_cell() noexcept {
  const runtime::machine* m = runtime::current_machine();
  const runtime::processor* p = m != nullptr ? m->p : nullptr;
  const std::size_t index =
      p != nullptr ? p->index : reinterpret_cast<std::uintptr_t>(m) / sizeof(runtime::machine);
  return cells_[index & cell_mask_];
}

}  // namespace runnel

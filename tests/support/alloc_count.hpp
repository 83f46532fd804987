// Counts heap allocations and explicit mappings of the whole program, all threads together.
//
// Linking alloc_count.cpp interposes malloc and its relatives (so operator new too) and mmap.
// Not available under the sanitizers, which interpose the same functions.
#pragma once

#include <cstdint>
#include <functional>

namespace runnel_test {

struct alloc_counts {
  std::uint64_t heap = 0;  // malloc, calloc, realloc, aligned_alloc, memalign, posix_memalign
  std::uint64_t maps = 0;  // mmap, mmap64 called from outside libc
  friend alloc_counts operator-(alloc_counts a, alloc_counts b) {
    return {a.heap - b.heap, a.maps - b.maps};
  }
};

alloc_counts allocations();

// Does `work` twice to warm up and then again and again: one of the later rounds must get by
// without a single allocation. Not each of them: a burst may still grow a pool to a new high-water
// mark, which depends on the schedule.
void expect_no_allocation(const std::function<void()>& work);

}  // namespace runnel_test

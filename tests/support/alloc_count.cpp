#include "alloc_count.hpp"

#include "test.hpp"

#if !RUNNEL_TEST_TSAN && !RUNNEL_TEST_ASAN

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>

namespace {

// Constant-initialised: the first allocations happen before any constructor has run.
std::atomic<std::uint64_t> heap_calls{0};
std::atomic<std::uint64_t> map_calls{0};

void count_heap() { heap_calls.fetch_add(1, std::memory_order_relaxed); }

}  // namespace

// glibc's own names for the allocator it would otherwise have called; they are exported for
// exactly this purpose and, unlike dlsym, need no allocation to be found.
extern "C" {

void* __libc_malloc(std::size_t) noexcept;
void* __libc_calloc(std::size_t, std::size_t) noexcept;
void* __libc_realloc(void*, std::size_t) noexcept;
void* __libc_memalign(std::size_t, std::size_t) noexcept;
void __libc_free(void*) noexcept;

void* malloc(std::size_t size) noexcept {
  count_heap();
  return __libc_malloc(size);
}

void* calloc(std::size_t count, std::size_t size) noexcept {
  count_heap();
  return __libc_calloc(count, size);
}

void* realloc(void* old, std::size_t size) noexcept {
  count_heap();
  return __libc_realloc(old, size);
}

void* memalign(std::size_t alignment, std::size_t size) noexcept {
  count_heap();
  return __libc_memalign(alignment, size);
}

void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  count_heap();
  return __libc_memalign(alignment, size);
}

int posix_memalign(void** out, std::size_t alignment, std::size_t size) noexcept {
  count_heap();
  void* memory = __libc_memalign(alignment, size);
  if (memory == nullptr) return ENOMEM;
  *out = memory;
  return 0;
}

void free(void* memory) noexcept { __libc_free(memory); }

void* mmap(void* address, std::size_t length, int protection, int flags, int fd,
           off_t offset) noexcept {
  map_calls.fetch_add(1, std::memory_order_relaxed);
  return reinterpret_cast<void*>(
      ::syscall(SYS_mmap, address, length, protection, flags, fd, offset));
}

}  // extern "C"

namespace runnel_test {

alloc_counts allocations() {
  return {heap_calls.load(std::memory_order_relaxed), map_calls.load(std::memory_order_relaxed)};
}

void expect_no_allocation(const std::function<void()>& work) {
  constexpr int most_rounds = 20;
  alloc_counts least{~0ULL, ~0ULL};
  for (int round = 0; round < most_rounds; ++round) {
    const alloc_counts before = allocations();
    work();
    const alloc_counts used = allocations() - before;
    if (round >= 2 && used.heap + used.maps < least.heap + least.maps) least = used;
    if (round >= 2 && used.heap + used.maps == 0) return;
  }
  ADD_FAILURE() << "even the best round made " << least.heap << " allocations and " << least.maps
                << " mappings";
}

}  // namespace runnel_test

#endif

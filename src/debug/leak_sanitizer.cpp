// LeakSanitizer looks for pointers in global memory and on the stacks of threads. What only a
// parked goroutine's stack points to would be a false leak at exit, where goroutines are abandoned
// by design. So exit leaves it a copy of those stacks to look at.
//
// One copy rather than a region for each stack: it goes through /proc/self/maps for every region. A
// walk of the arenas themselves would touch every page reserved for stacks.
#include "debug/leak_sanitizer.hpp"

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "runtime/inspect.hpp"

// NOLINTNEXTLINE(bugprone-reserved-identifier,readability-identifier-naming): not our name
extern "C" void __lsan_register_root_region(const void* begin, std::size_t size)
    __attribute__((weak));

namespace runnel::debug {
namespace {

// The used part of a goroutine's memory: its control block is at the top, or of one that has no
// stack yet its closure.
bool used_part(const runtime::goroutine_view& g, std::uintptr_t& low) noexcept {
  low = g.context.sp & ~std::uintptr_t{15};
  return g.machine_tid == 0 && low > g.stack_low && low < g.stack_high;
}

struct copy {
  std::uintptr_t* to;
  std::uintptr_t* end;
};

// Red zones and all.
__attribute__((no_sanitize("address"))) void copy_words(copy& c, std::uintptr_t low,
                                                        std::uintptr_t high) noexcept {
  const auto* from = reinterpret_cast<const volatile std::uintptr_t*>(low);
  for (; low < high && c.to != c.end; low += sizeof *from) *c.to++ = *from++;
}

void add_size(void* argument, const runtime::goroutine_view& g) {
  std::uintptr_t low = 0;
  if (used_part(g, low)) {
    *static_cast<std::size_t*>(argument) += g.stack_high - low + sizeof g.context;
  }
}

void add_words(void* argument, const runtime::goroutine_view& g) {
  copy& c = *static_cast<copy*>(argument);
  std::uintptr_t low = 0;
  if (!used_part(g, low)) return;
  copy_words(c, low, g.stack_high);
  const auto registers = reinterpret_cast<std::uintptr_t>(&g.context);
  copy_words(c, registers, registers + sizeof g.context);
}

void show_stacks() {
  std::size_t size = 0;
  runtime::for_each_goroutine(&add_size, &size);
  if (size == 0) return;
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return;
  auto* words = static_cast<std::uintptr_t*>(memory);
  copy c{words, words + size / sizeof *words};
  runtime::for_each_goroutine(&add_words, &c);
  __lsan_register_root_region(memory, size);
}

}  // namespace

void show_stacks_to_leak_sanitizer() noexcept {
  // Handlers run last come, first served, LeakSanitizer's own being the first of all.
  if (&__lsan_register_root_region != nullptr) std::atexit(&show_stacks);
}

}  // namespace runnel::debug

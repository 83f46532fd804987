#include "arch/stack.hpp"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <limits>

#include "arch/keep_errno.hpp"
#include "arch/runtime_lock.hpp"

#if defined(RUNNEL_HAVE_VALGRIND)
#include <valgrind/valgrind.h>
#endif

namespace runnel::arch {
namespace {

/// Tells valgrind that a jump of the stack pointer into [low, high) is a switch, not a large frame.
void register_stack([[maybe_unused]] std::uintptr_t low, [[maybe_unused]] std::uintptr_t high) {
#if defined(RUNNEL_HAVE_VALGRIND)
  // Stacks live as long as the process, so the id that deregistering would need is dropped.
  static_cast<void>(VALGRIND_STACK_REGISTER(low, high));
#endif
}

// Values of the kernel's headers newer than those the library may be built with.
constexpr int madv_guard_install = 102;
constexpr int pidfd_self = -10000;  // Linux 6.14

// So many guards are installed at once, once a program has shown that it needs many stacks: 0.54
// instead of 0.69 us each. What the kernel keeps of a guard whose stack is never used is a sixty-
// fourth of a page.
constexpr std::uint32_t guard_batch = 32;

// Arenas start small (a program with ten goroutines, or under RLIMIT_AS) and double.
constexpr std::size_t first_arena = 16UL << 20;
constexpr std::size_t largest_arena = 1UL << 30;
constexpr std::size_t max_arenas = 1U << 16;
// mprotect guards cost two VMAs each; vm.max_map_count is 65530 by default.
constexpr std::size_t mprotect_budget = 20000;

struct arena {
  std::uintptr_t base;
  unsigned stack_class;
  std::uint32_t slots;
  std::atomic<std::uint32_t> carved;
  arena* next;  // of the same class, made after this one
};

enum class guard_kind : std::uint8_t { unknown, advice, protection };

struct stack_memory {
  runtime::runtime_lock lock;  // guards what follows but for readers of `arenas`
  std::array<std::atomic<arena*>, max_arenas> arenas;  // written once each, published by count
  std::atomic<std::size_t> count;
  std::size_t inherited;  // of these: from before a fork; written while there is one thread
  std::array<arena*, stack_classes> current;  // where to carve; those that follow are untouched
  std::array<arena*, stack_classes> newest;
  std::array<std::size_t, stack_classes> room;  // slots neither carved nor reserved
  std::array<std::size_t, stack_classes> next_size;
  // Of these, anybody finds out the same.
  std::atomic<guard_kind> guards{guard_kind::unknown};
  std::atomic<bool> batches{true};  // until the kernel has refused one
  std::atomic<std::size_t> protections{0};
  std::atomic<std::size_t> guarded;
  std::atomic<std::size_t> unguarded;
  std::atomic<std::size_t> reserved;
  std::size_t limit = std::numeric_limits<std::size_t>::max();
};
constinit stack_memory memory{};

bool add_arena(unsigned stack_class) noexcept {
  const runtime::keep_errno kept;
  const std::size_t slot = stack_slot_size(stack_class);
  std::size_t& planned = memory.next_size[stack_class];
  std::size_t size = std::max(std::max(planned, first_arena), slot);
  const std::size_t n = memory.count.load(std::memory_order_relaxed);
  if (n == max_arenas) return false;
  const std::size_t left = memory.limit - memory.reserved.load(std::memory_order_relaxed);
  if (left < slot) return false;
  size = std::min(size, left / slot * slot);
  // The arena's own record; a page of its own, since this must work with malloc's heap exhausted.
  void* record =
      mmap(nullptr, page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (record == MAP_FAILED) return false;
  void* base = MAP_FAILED;
  for (;; size = std::max(size / 2, slot)) {
    base = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (base != MAP_FAILED || size == slot) break;
  }
  if (base == MAP_FAILED) {
    munmap(record, page_size);
    return false;
  }
  // A huge page would commit 2 MiB for the first touch of one stack's top.
  madvise(base, size, MADV_NOHUGEPAGE);
  planned = std::min(size * 2, largest_arena);
  auto* a = ::new (record) arena{reinterpret_cast<std::uintptr_t>(base),
                                 stack_class,
                                 static_cast<std::uint32_t>(size / slot),
                                 {0},
                                 nullptr};
  memory.arenas[n].store(a, std::memory_order_relaxed);
  memory.count.store(n + 1, std::memory_order_release);  // pairs with for_each_stack
  memory.reserved.fetch_add(size, std::memory_order_relaxed);
  arena*& newest = memory.newest[stack_class];
  (newest == nullptr ? memory.current[stack_class] : newest->next) = a;
  newest = a;
  memory.room[stack_class] += a->slots;
  return true;
}

/// What guards are made of here; found out by installing the first one, at `at`, if need be.
guard_kind kind_of_guards(void* at) noexcept {
  guard_kind kind = memory.guards.load(std::memory_order_relaxed);
  if (kind != guard_kind::unknown) return kind;
  // qemu-user takes any advice and follows none of those it does not know.
  constexpr int no_such_advice = 0x7ffffff0;
  const bool by_advice = madvise(at, guard_size, no_such_advice) != 0 &&
                         madvise(at, guard_size, madv_guard_install) == 0;
  kind = by_advice ? guard_kind::advice : guard_kind::protection;
  memory.guards.store(kind, std::memory_order_relaxed);
  return kind;
}

bool install_guard(std::uintptr_t low) noexcept {
  void* at = reinterpret_cast<void*>(low);
  if (kind_of_guards(at) == guard_kind::advice) {
    if (madvise(at, guard_size, madv_guard_install) == 0) return true;
  }
  if (memory.protections.fetch_add(1, std::memory_order_relaxed) < mprotect_budget &&
      mprotect(at, guard_size, PROT_NONE) == 0) {
    return true;
  }
  memory.protections.fetch_sub(1, std::memory_order_relaxed);
  return false;
}

/// Guards for n slots from low on. Outside of the lock, as the kernel takes its time.
void install_guards(std::uintptr_t low, std::size_t slot, std::uint32_t n) noexcept {
  std::uint32_t done = 0;
  if (n > 1 && kind_of_guards(reinterpret_cast<void*>(low)) == guard_kind::advice &&
      memory.batches.load(std::memory_order_relaxed)) {
    std::array<iovec, guard_batch> guards;
    for (std::uint32_t i = 0; i < n; ++i) {
      guards[i] = {reinterpret_cast<void*>(low + i * slot), guard_size};
    }
    const long bytes =
        syscall(SYS_process_madvise, pidfd_self, guards.data(), n, madv_guard_install, 0);
    if (bytes > 0) done = static_cast<std::uint32_t>(static_cast<std::size_t>(bytes) / guard_size);
    if (done != n) memory.batches.store(false, std::memory_order_relaxed);
  }
  std::uint32_t failed = 0;
  for (; done < n; ++done) {
    if (!install_guard(low + done * slot)) ++failed;
  }
  memory.guarded.fetch_add(n - failed, std::memory_order_relaxed);
  memory.unguarded.fetch_add(failed, std::memory_order_relaxed);
}

/// Sees to a slot of the class that is neither carved nor reserved.
bool make_room(unsigned stack_class) noexcept {
  return memory.room[stack_class] != 0 || add_arena(stack_class);
}

/// The next slots, n of them or as many as lie side by side; there is one at least.
stack_range carve(unsigned stack_class, std::uint32_t n) noexcept {
  arena*& a = memory.current[stack_class];
  std::uint32_t number = a->carved.load(std::memory_order_relaxed);
  if (number == a->slots) {
    a = a->next;
    number = 0;
  }
  n = std::min(n, a->slots - number);
  a->carved.store(number + n, std::memory_order_release);
  return {a->base + number * stack_slot_size(stack_class), n};
}

/// What follows outside of the lock, for slots that the caller owns.
void prepare(stack_range slots, unsigned stack_class) noexcept {
  const runtime::keep_errno kept;
  const std::size_t size = stack_slot_size(stack_class);
  install_guards(slots.low, size, slots.left);
  for (std::uint32_t i = 0; i < slots.left; ++i) {
    register_stack(slots.low + i * size, slots.low + (i + 1) * size);
  }
}

}  // namespace

unsigned stack_class_for(std::size_t size) noexcept {
  unsigned c = 0;
  while (c < stack_classes && stack_slot_size(c) - guard_size < size) ++c;
  // Asking for what the default offers, guard and all, is asking for the default.
  return size <= default_stack ? 0 : c;
}

void limit_stacks(std::size_t bytes) noexcept {
  memory.lock.lock();
  // What is there already, in the child of a fork, stays.
  memory.limit = bytes == 0 ? std::numeric_limits<std::size_t>::max()
                            : std::max(bytes, memory.reserved.load(std::memory_order_relaxed));
  memory.lock.unlock();
}

std::uintptr_t carve_stack(unsigned stack_class) noexcept {
  if (stack_class >= stack_classes) return 0;
  memory.lock.lock();
  const bool room = make_room(stack_class);
  const stack_range slot = room ? carve(stack_class, 1) : stack_range{};
  if (room) --memory.room[stack_class];
  memory.lock.unlock();
  prepare(slot, stack_class);
  return slot.low;
}

stack_range carve_stacks(std::size_t reserved) noexcept {
  memory.lock.lock();
  memory.room[0] += reserved;
  stack_range slots;
  if (make_room(0)) {
    const bool many = memory.count.load(std::memory_order_relaxed) > memory.inherited + 1 ||
                      memory.current[0]->carved.load(std::memory_order_relaxed) >= guard_batch;
    const std::size_t most = many ? guard_batch : 1;
    slots = carve(0, static_cast<std::uint32_t>(std::min(most, memory.room[0])));
    memory.room[0] -= slots.left;
  }
  memory.lock.unlock();
  prepare(slots, 0);
  return slots;
}

bool reserve_stack() noexcept {
  memory.lock.lock();
  const bool room = make_room(0);
  if (room) --memory.room[0];
  memory.lock.unlock();
  return room;
}

void cancel_reserved_stacks(std::size_t n) noexcept {
  memory.lock.lock();
  memory.room[0] += n;
  memory.lock.unlock();
}

void discard_pages(std::uintptr_t low, std::uintptr_t high) noexcept {
  madvise(reinterpret_cast<void*>(low), high - low, MADV_DONTNEED);
}

void for_each_stack(void (*visit)(void*, std::uintptr_t, std::uintptr_t), void* argument) {
  const std::size_t n = memory.count.load(std::memory_order_acquire);
  for (std::size_t i = memory.inherited; i < n; ++i) {
    const arena& a = *memory.arenas[i].load(std::memory_order_relaxed);
    const std::size_t size = stack_slot_size(a.stack_class);
    const std::uint32_t carved = a.carved.load(std::memory_order_acquire);
    for (std::uint32_t s = 0; s < carved; ++s)
      visit(argument, a.base + s * size, a.base + (s + 1) * size);
  }
}

void abandon_stacks() noexcept {
  memory.lock.abandon();
  memory.inherited = memory.count.load(std::memory_order_relaxed);
  memory.current = {};
  memory.newest = {};
  memory.room = {};
  memory.next_size = {};
  memory.guarded.store(0, std::memory_order_relaxed);
  memory.unguarded.store(0, std::memory_order_relaxed);
  memory.reserved.store(0, std::memory_order_relaxed);
}

std::size_t guarded_stacks() noexcept { return memory.guarded.load(std::memory_order_relaxed); }
std::size_t unguarded_stacks() noexcept { return memory.unguarded.load(std::memory_order_relaxed); }
std::size_t reserved_stack_bytes() noexcept {
  return memory.reserved.load(std::memory_order_relaxed);
}

}  // namespace runnel::arch

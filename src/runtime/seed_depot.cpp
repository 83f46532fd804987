#include "runtime/seed_depot.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <new>
#include <utility>

#include "arch/keep_errno.hpp"
#include "arch/runtime_lock.hpp"
#include "arch/stack.hpp"

namespace runnel::runtime {
namespace {

constexpr std::size_t slab_size = 2UL << 20;
constexpr std::uint32_t list_limit = 128;
constexpr std::uint32_t list_batch = 64;

// At the start of its own memory.
struct alignas(seed) slab {
  std::atomic<std::uint32_t> made;  // seeds constructed so far, from the first on
  std::uint32_t in_use;             // of these, not in `free`
  std::uint32_t rights;             // of those in `free`
  goroutine* free;                  // linked by goroutine::next
  slab* next;                       // made before this one; constant
  slab* next_open;                  // in the list of those that can give a seed
  bool open;

  seed* at(std::uint32_t i) noexcept { return reinterpret_cast<seed*>(this + 1) + i; }
};
static_assert(sizeof(seed) == 256 && sizeof(slab) == sizeof(seed));

constexpr std::uint32_t slab_seeds =
    static_cast<std::uint32_t>((slab_size - sizeof(slab)) / sizeof(seed));

struct depot_state {
  runtime_lock lock;                  // guards all but `slabs`, which is read without
  std::atomic<slab*> slabs{nullptr};  // newest first
  slab* open = nullptr;               // those with seeds to give
};
constinit depot_state depot{};

slab* slab_of(seed* s) noexcept {
  return reinterpret_cast<slab*>(reinterpret_cast<std::uintptr_t>(s) & ~(slab_size - 1));
}

void open_slab(slab* s) noexcept {
  if (s->open) return;
  s->open = true;
  s->next_open = depot.open;
  depot.open = s;
}

/// Memory at a multiple of its size; what lies around it is given back.
void* map_slab() noexcept {
  constexpr std::size_t with_margin = 2 * slab_size;
  void* all = mmap(nullptr, with_margin, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (all == MAP_FAILED) return nullptr;
  const auto low = reinterpret_cast<std::uintptr_t>(all);
  const std::uintptr_t at = (low + slab_size - 1) & ~(slab_size - 1);
  if (at != low) munmap(all, at - low);
  munmap(reinterpret_cast<void*>(at + slab_size), low + with_margin - at - slab_size);
  return reinterpret_cast<void*>(at);
}

bool add_slab() noexcept {
  const keep_errno kept;
  void* memory = map_slab();
  if (memory == nullptr) return false;
  slab* before = depot.slabs.load(std::memory_order_relaxed);
  // The first is touched page by page: most programs need few. Who needs a second needs much.
  madvise(memory, slab_size, before == nullptr ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
  auto* s = ::new (memory) slab{{0}, 0, 0, nullptr, before, nullptr, false};
  depot.slabs.store(s, std::memory_order_release);  // pairs with for_each_seed
  open_slab(s);
  return true;
}

/// Inside the lock. Null: no memory.
seed* take_from_depot() noexcept {
  if (depot.open == nullptr && !add_slab()) return nullptr;
  slab* from = depot.open;
  auto* s = static_cast<seed*>(from->free);
  if (s != nullptr) {
    from->free = s->next;
    if (s->has_right) --from->rights;
  } else {
    const std::uint32_t made = from->made.load(std::memory_order_relaxed);
    s = ::new (from->at(made)) seed();
    from->made.store(made + 1, std::memory_order_release);
  }
  ++from->in_use;
  if (from->free == nullptr && from->made.load(std::memory_order_relaxed) == slab_seeds) {
    depot.open = from->next_open;
    from->open = false;
  }
  return s;
}

/// Inside the lock.
void put_into_depot(seed* s) noexcept {
  slab* to = slab_of(s);
  s->next = to->free;
  to->free = s;
  if (s->has_right) ++to->rights;
  --to->in_use;
  open_slab(to);
}

/// Inside the lock: takes s, which is open, out of the list.
void close_slab(slab* s) noexcept {
  slab** at = &depot.open;
  while (*at != s) at = &(*at)->next_open;
  *at = s->next_open;
  s->open = false;
}

}  // namespace

machine* seed::awaits_stack() noexcept {
  static constinit std::max_align_t nobody{};
  return reinterpret_cast<machine*>(&nobody);
}

seed* take_seed(processor* p) noexcept {
  seed* s = nullptr;
  if (p == nullptr) {
    depot.lock.lock();
    s = take_from_depot();
    depot.lock.unlock();
  } else {
    if (p->seeds == nullptr) {
      depot.lock.lock();
      while (p->seed_count < list_batch) {
        seed* one = take_from_depot();
        if (one == nullptr) break;
        one->next = p->seeds;
        p->seeds = one;
        ++p->seed_count;
      }
      depot.lock.unlock();
    }
    s = static_cast<seed*>(p->seeds);
    if (s != nullptr) {
      p->seeds = s->next;
      --p->seed_count;
    }
  }
  if (s != nullptr && !s->has_right && !(s->has_right = arch::reserve_stack())) {
    give_seed(p, s);
    s = nullptr;
  }
  return s;
}

void give_seed(processor* p, seed* s) noexcept {
  if (p == nullptr) {
    depot.lock.lock();
    put_into_depot(s);
    depot.lock.unlock();
    return;
  }
  if (p->seed_count >= list_limit) {
    depot.lock.lock();
    for (std::uint32_t i = 0; i < list_batch; ++i) {
      auto* old = static_cast<seed*>(p->seeds);
      p->seeds = old->next;
      --p->seed_count;
      put_into_depot(old);
    }
    depot.lock.unlock();
  }
  s->next = p->seeds;
  p->seeds = s;
  ++p->seed_count;
}

void flush_seeds(processor* p) noexcept {
  depot.lock.lock();
  while (p->seeds != nullptr) {
    auto* s = static_cast<seed*>(p->seeds);
    p->seeds = s->next;
    put_into_depot(s);
  }
  p->seed_count = 0;
  depot.lock.unlock();
  if (p->rights_to_end != 0) arch::cancel_reserved_stacks(std::exchange(p->rights_to_end, 0));
}

void cancel_rights() noexcept {
  depot.lock.lock();
  for (slab* s = depot.slabs.load(std::memory_order_relaxed); s != nullptr; s = s->next) {
    if (s->rights == 0) continue;
    arch::cancel_reserved_stacks(s->rights);
    s->rights = 0;
    for (goroutine* g = s->free; g != nullptr; g = g->next)
      static_cast<seed*>(g)->has_right = false;
  }
  depot.lock.unlock();
}

bool trim_seeds(std::size_t budget) noexcept {
  for (slab* s = depot.slabs.load(std::memory_order_acquire); s != nullptr; s = s->next) {
    depot.lock.lock();
    const bool unused = s->in_use == 0 && s->made.load(std::memory_order_relaxed) != 0;
    if (unused && budget != 0) {
      close_slab(s);
      arch::cancel_reserved_stacks(s->rights);
      s->rights = 0;
      s->free = nullptr;
      s->made.store(0, std::memory_order_relaxed);
    }
    depot.lock.unlock();
    if (!unused) continue;
    if (budget == 0) return true;
    --budget;
    // All but the page with the head. A walk that is there just now reads zeros: nobody is alive.
    const auto at = reinterpret_cast<std::uintptr_t>(s) + arch::page_size;
    arch::discard_pages(at, at + slab_size - arch::page_size);
    depot.lock.lock();
    open_slab(s);
    depot.lock.unlock();
  }
  return false;
}

void for_each_seed(void (*visit)(void*, const seed&), void* argument) {
  for (slab* s = depot.slabs.load(std::memory_order_acquire); s != nullptr; s = s->next) {
    const std::uint32_t made = s->made.load(std::memory_order_acquire);
    for (std::uint32_t i = 0; i < made; ++i) visit(argument, *s->at(i));
  }
}

void abandon_seeds() noexcept {
  depot.lock.abandon();
  depot.slabs.store(nullptr, std::memory_order_relaxed);
  depot.open = nullptr;
}

}  // namespace runnel::runtime

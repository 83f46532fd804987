// Invariant: the depot is a list threaded through goroutine::next, newest first; a goroutine in it
// is finished, and nobody stands on its stack (on_cpu == null is awaited before it is trimmed).
// `trimmed` goroutines have no page below their top one and are taken only after the others.
#include "runtime/stack_depot.hpp"

#include <array>
#include <new>
#include <utility>

#include "arch/runtime_lock.hpp"
#include "arch/sanitizer.hpp"
#include "arch/stack.hpp"

namespace runnel::runtime {
namespace {

struct free_stacks {
  goroutine* first = nullptr;
  std::size_t count = 0;
};

struct depot_state {
  runtime_lock lock;
  std::array<free_stacks, arch::stack_classes> fresh{};    // as they were left
  std::array<free_stacks, arch::stack_classes> trimmed{};  // top page only
};
constinit depot_state depot{};

// Stacks that all start at the same offset of a 256 KiB slot fight for the same sets of the first
// level cache; the block is therefore placed at one of several offsets.
constexpr std::uint32_t colours = 8;
constexpr std::size_t colour_step = 2 * detail::cache_line;

goroutine* make_goroutine(std::uintptr_t low, unsigned stack_class) noexcept {
  const std::uintptr_t high = low + arch::stack_slot_size(stack_class);
  auto* g = ::new (goroutine_of_stack(low, high)) goroutine();
  g->stack_low = low;
  g->stack_high = high;
  g->stack_class = stack_class;
  return g;
}

goroutine* pop(free_stacks& list) noexcept {
  goroutine* g = list.first;
  if (g != nullptr) {
    list.first = g->next;
    --list.count;
  }
  return g;
}

void push(free_stacks& list, goroutine* g) noexcept {
  g->next = list.first;
  list.first = g;
  ++list.count;
}

goroutine* pop_any(unsigned stack_class) noexcept {
  goroutine* g = pop(depot.fresh[stack_class]);
  if (g == nullptr) g = pop(depot.trimmed[stack_class]);
  return g;
}

}  // namespace

goroutine* goroutine_of_stack(std::uintptr_t low, std::uintptr_t high) noexcept {
  const std::uintptr_t colour = low / (high - low) % colours;
  return reinterpret_cast<goroutine*>(high - sizeof(goroutine) - colour * colour_step);
}

namespace {

void refill(processor* p) noexcept {
  depot.lock.lock();
  while (p->free_count < free_list_batch) {
    goroutine* g = pop_any(0);
    if (g == nullptr) break;
    g->next = p->free_list;
    p->free_list = g;
    ++p->free_count;
  }
  depot.lock.unlock();
}

/// The first of p's list, which is not empty.
goroutine* take_first(processor* p) noexcept {
  goroutine* g = p->free_list;
  p->free_list = g->next;
  --p->free_count;
  // The next one has been lying in no cache for a while if many goroutines live at once: its
  // block and, below it, where its closure will go. (An integer, since there may be no next one.)
  const auto block = reinterpret_cast<std::uintptr_t>(p->free_list);
  for (std::uintptr_t line = 0; line < 4; ++line) {
    __builtin_prefetch(reinterpret_cast<const void*>(block + (line - 1) * detail::cache_line), 1);
  }
  return g;
}

/// Of p's untouched stacks, which are as many as are worth a system call. Null: no memory.
goroutine* take_fresh(processor* p) noexcept {
  if (p->fresh.left == 0) p->fresh = arch::carve_stacks(std::exchange(p->rights_to_end, 0));
  if (p->fresh.left == 0) return nullptr;
  const std::uintptr_t low = p->fresh.low;
  p->fresh.low += arch::default_stack;
  --p->fresh.left;
  return make_goroutine(low, 0);
}

}  // namespace

goroutine* take_goroutine(processor* p, unsigned stack_class) noexcept {
  if (p != nullptr && stack_class == 0) {
    if (p->free_list == nullptr) refill(p);
    if (p->free_list != nullptr) return take_first(p);
    return take_fresh(p);
  }
  if (stack_class >= arch::stack_classes) return nullptr;
  if (p == nullptr || stack_class != 0) {
    depot.lock.lock();
    goroutine* g = pop_any(stack_class);
    depot.lock.unlock();
    if (g != nullptr) return g;
  }
  const std::uintptr_t low = arch::carve_stack(stack_class);
  return low != 0 ? make_goroutine(low, stack_class) : nullptr;
}

goroutine* take_left_goroutine(processor* p, const goroutine* but) noexcept {
  if (p->free_list == nullptr) refill(p);
  goroutine* g = p->free_list;
  if (g != nullptr && g != but) return take_first(p);
  if (g != nullptr && (g = p->free_list->next) != nullptr) {
    p->free_list->next = g->next;
    --p->free_count;
    return g;
  }
  depot.lock.lock();
  g = pop_any(0);
  depot.lock.unlock();
  return g;
}

goroutine* take_promised_goroutine(processor* p) noexcept {
  ++p->rights_to_end;
  return take_fresh(p);
}

void give_goroutine(processor* p, goroutine* g) noexcept {
  if (p == nullptr || g->stack_class != 0) {
    depot.lock.lock();
    push(depot.fresh[g->stack_class], g);
    depot.lock.unlock();
    return;
  }
  if (p->free_count >= free_list_limit) {
    depot.lock.lock();
    for (std::uint32_t i = 0; i < free_list_batch; ++i) {
      goroutine* old = p->free_list;
      p->free_list = old->next;
      --p->free_count;
      push(depot.fresh[0], old);
    }
    depot.lock.unlock();
  }
  g->next = p->free_list;
  p->free_list = g;
  ++p->free_count;
}

void flush_free_list(processor* p) noexcept {
  depot.lock.lock();
  while (p->free_list != nullptr) {
    goroutine* g = p->free_list;
    p->free_list = g->next;
    push(depot.fresh[0], g);
  }
  p->free_count = 0;
  depot.lock.unlock();
}

void flush_fresh(processor* p) noexcept {
  while (p->fresh.left != 0) {
    goroutine* g = take_fresh(p);
    depot.lock.lock();
    push(depot.fresh[0], g);
    depot.lock.unlock();
  }
}

bool trim_depot(std::size_t budget) noexcept {
  for (unsigned c = 0; c < arch::stack_classes; ++c) {
    while (budget != 0) {
      depot.lock.lock();
      goroutine* g = pop(depot.fresh[c]);
      depot.lock.unlock();
      if (g == nullptr) break;
      backoff b;
      while (g->on_cpu.load(std::memory_order_acquire) != nullptr) b.wait();
      const std::uintptr_t top = reinterpret_cast<std::uintptr_t>(g) & ~(arch::page_size - 1);
      arch::discard_pages(g->stack_low + arch::guard_size, top);
      depot.lock.lock();
      push(depot.trimmed[c], g);
      depot.lock.unlock();
      --budget;
    }
    if (budget == 0) return true;
  }
  return false;
}

void abandon_goroutines() noexcept {
  depot.lock.abandon();
  depot.fresh = {};
  depot.trimmed = {};
  arch::abandon_stacks();
}

std::size_t depot_size() noexcept {
  depot.lock.lock();
  std::size_t n = 0;
  for (unsigned c = 0; c < arch::stack_classes; ++c) {
    n += depot.fresh[c].count + depot.trimmed[c].count;
  }
  depot.lock.unlock();
  return n;
}

}  // namespace runnel::runtime

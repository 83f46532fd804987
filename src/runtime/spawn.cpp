// Goroutines from spawn to end. Go: newproc, goexit.
#include <unwind.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <runnel/detail/spawn.hpp>

#include "arch/sanitizer.hpp"
#include "arch/stack.hpp"
#include "arch/switch.hpp"
#include "runtime/goroutine_local.hpp"
#include "runtime/scheduler.hpp"
#include "runtime/seed_depot.hpp"
#include "runtime/spawn_exit.hpp"
#include "runtime/stack_depot.hpp"
#include "runtime/switch_announce.hpp"

namespace runnel::runtime {
namespace {

constexpr std::uint64_t id_batch = 16;

std::uint64_t new_id(machine* m) noexcept {
  processor* p = m != nullptr ? m->p : nullptr;
  if (p == nullptr) return sched->ids.fetch_add(1, std::memory_order_relaxed) + 1;
  const std::uint32_t epoch = sched->id_epoch.load(std::memory_order_relaxed);
  if (p->next_id == p->last_id || p->id_epoch != epoch) {
    p->id_epoch = epoch;
    p->next_id = sched->ids.fetch_add(id_batch, std::memory_order_relaxed);
    p->last_id = p->next_id + id_batch;
  }
  return ++p->next_id;
}

void count_finished(machine* m) noexcept {
  if (m->p != nullptr) {
    m->p->finished.add();
  } else {
    // Outside of a processor (in blocking(f)): undo in the counter that any thread may write.
    sched->foreign_spawned.fetch_sub(1, std::memory_order_relaxed);
  }
}

/// A closure that did not fit onto the stack is destroyed by now, its memory not.
void free_closure(goroutine* g) noexcept {
  if (g->closure_is == detail::closure_place::heap) std::free(g->closure);
  g->closure_is = detail::closure_place::own_stack;
}

/// Everything about the end that may run code of others, or needs a machine that can be told of.
void clean_up(goroutine* g) noexcept {
  if (g->locals != nullptr) destroy_locals(g->locals);
  free_closure(g);
}

/// For AddressSanitizer: forgets the frames of g from a little below `frame` on.
void unpoison_above(goroutine* g, const void* frame) noexcept {
  constexpr std::uintptr_t little = 8UL * 1024;
  const std::uintptr_t lowest = g->stack_low + arch::guard_size;
  const std::uintptr_t at = reinterpret_cast<std::uintptr_t>(frame) & ~std::uintptr_t{15};
  const std::uintptr_t low = at - lowest > little ? at - little : lowest;
  arch::asan_unpoison(low, reinterpret_cast<std::uintptr_t>(g) - low);
}

/// g's stack, whoever used it last, is g's now.
void take_over_stack(goroutine* g) noexcept {
  // A finished goroutine may still stand on it, about to leave.
  if (__builtin_expect(g->on_cpu.load(std::memory_order_acquire) != nullptr, 0)) {
    backoff b;
    while (g->on_cpu.load(std::memory_order_acquire) != nullptr) b.wait();
  }
  if constexpr (RUNNEL_RACE != 0) {
    const std::uintptr_t low = g->stack_low + arch::guard_size;
    arch::tsan_forget(low, reinterpret_cast<std::uintptr_t>(g) - low);
  }
  if (__builtin_expect(g->asan_stack != nullptr, 0)) unpoison_above(g, g->asan_stack);
  g->asan_stack = nullptr;
}

/// The last of what a block needs before it may be entered: context.sp is set.
void make_enterable(goroutine* g) noexcept {
  g->context.pc = reinterpret_cast<std::uintptr_t>(&runnel_goroutine_entry);
  g->context.fp = 0;
  g->context.extra = reinterpret_cast<std::uintptr_t>(g);
  g->locals = nullptr;
  g->reason.store(detail::wait_reason::none, std::memory_order_relaxed);
}

}  // namespace

goroutine* plant(machine* m, seed& s) noexcept {
  goroutine* g = take_left_goroutine(m->p, m->g);
  if (g == nullptr) {
    g = take_promised_goroutine(m->p);
    s.has_right = false;
  }
  take_over_stack(g);
  g->context.sp = reinterpret_cast<std::uintptr_t>(g) & ~std::uintptr_t{15};
  g->entry = s.entry;
  g->site = s.site;
  g->id = s.id;
  g->parent_id = s.parent_id;
  g->name_size = 0;
  g->closure = s.place;
  g->closure_is = detail::closure_place::seed;
  make_enterable(g);
  g->alive.store(true, std::memory_order_release);  // pairs with reports, which look at seeds first
  s.alive.store(false, std::memory_order_release);
  return g;
}

void end_goroutine(goroutine* g) noexcept {
  // From here on nothing returns: what is poisoned in these frames is so until the next goroutine.
  if (__builtin_expect(arch::asan_active(), 0)) g->asan_stack = __builtin_frame_address(0);
  clean_up(g);
  machine* m = current_machine();
  if (g->locked_to != nullptr) {
    g->locked_to = nullptr;
    g->lock_depth = 0;
    m->locked_g = nullptr;
  }
  g->alive.store(false, std::memory_order_relaxed);
  count_finished(m);
  give_goroutine(m->p, g);
  finish_goroutine(m, g);
}

namespace {

_Unwind_Reason_Code stop_unwinding(int, _Unwind_Action actions, _Unwind_Exception_Class,
                                   _Unwind_Exception* exception, _Unwind_Context*, void* argument) {
  if ((actions & _UA_END_OF_STACK) == 0) return _URC_NO_REASON;
  delete exception;
  end_goroutine(static_cast<goroutine*>(argument));
}

}  // namespace

void unwind_goroutine(goroutine* g) {
  // As a throw does; of a forced unwinding AddressSanitizer is not aware.
  if (arch::asan_active()) unpoison_above(g, __builtin_frame_address(0));
  // On the heap: destructors that run meanwhile overwrite the stack below their frame.
  auto* exception = new _Unwind_Exception();
  std::memset(exception, 0, sizeof *exception);
  std::memcpy(&exception->exception_class, "RUNLEXIT", sizeof exception->exception_class);
  exception->exception_cleanup = [](_Unwind_Reason_Code, _Unwind_Exception* e) { delete e; };
  _Unwind_ForcedUnwind(exception, stop_unwinding, g);
  // Only if the stack cannot be unwound at all.
  std::terminate();
}

}  // namespace runnel::runtime

// Not noexcept, and nothing between it and user code catches: an exception that leaves a goroutine
// must find no handler, so that std::terminate runs with the stack as it was at the throw.
extern "C" __attribute__((used, noreturn)) void runnel_goroutine_main(
    runnel::detail::goroutine* g) {
  runnel::runtime::announce_arrival(nullptr);
  runnel::runtime::forget_errno(*runnel::runtime::current_machine());
  g->entry(g->closure, g->closure_is == runnel::detail::closure_place::seed);
  runnel::runtime::end_goroutine(g);
}

namespace runnel::detail {

using runtime::current_machine;
using runtime::machine;
using runtime::processor;
using runtime::sched;

namespace {

/// Of memory that is left, or that is kept for later.
goroutine* take_last_goroutine(processor* p, unsigned stack_class) {
  if (stack_class == 0) {
    if (p != nullptr) runtime::flush_seeds(p);
    runtime::flush_idle_processors(true);
    runtime::cancel_rights();
  }
  goroutine* g = runtime::take_goroutine(nullptr, stack_class);
  if (g == nullptr) throw std::bad_alloc();
  return g;
}

}  // namespace

new_goroutine spawn_prepare(std::size_t size, std::size_t align, std::size_t stack_size,
                            bool seed) {
  if (__builtin_expect(sched == nullptr, 0)) runtime::ensure_started();
  const machine* m = current_machine();
  processor* p = m != nullptr ? m->p : nullptr;
  const unsigned stack_class = stack_size == 0 ? 0 : arch::stack_class_for(stack_size);
  // ThreadSanitizer's state of a goroutine belongs to its block.
  if (RUNNEL_RACE == 0 && seed && stack_class == 0 && (p == nullptr || p->free_list == nullptr)) {
    if (runtime::seed* s = runtime::take_seed(p)) return {s, s->place};
  }
  goroutine* g = runtime::take_goroutine(p, stack_class);
  if (__builtin_expect(g == nullptr, 0)) g = take_last_goroutine(p, stack_class);
  runtime::take_over_stack(g);
  const std::uintptr_t top = reinterpret_cast<std::uintptr_t>(g);
  if (__builtin_expect(size > (g->stack_high - g->stack_low) / 4 || align > arch::page_size, 0)) {
    const std::size_t unit = std::max(align, cache_line);
    g->closure = std::aligned_alloc(unit, (size + unit - 1) / unit * unit);
    if (g->closure == nullptr) {
      runtime::give_goroutine(p, g);
      throw std::bad_alloc();
    }
    g->closure_is = closure_place::heap;
    g->context.sp = top & ~std::uintptr_t{15};
  } else {
    const std::uintptr_t at = (top - size) & ~(static_cast<std::uintptr_t>(align) - 1);
    g->closure = reinterpret_cast<void*>(at);
    g->context.sp = at & ~std::uintptr_t{15};
  }
  return {g, g->closure};
}

void spawn_abandon(goroutine* g) noexcept {
  const machine* m = current_machine();
  processor* p = m != nullptr ? m->p : nullptr;
  if (runtime::is_seed(*g)) return runtime::give_seed(p, static_cast<runtime::seed*>(g));
  runtime::free_closure(g);
  runtime::give_goroutine(p, g);
}

void spawn_give_back_seed(void* closure) noexcept {
  const machine* m = current_machine();
  runtime::give_seed(m->p, runtime::seed_of(closure));
}

void spawn_start(goroutine* g, goroutine_entry entry, std::string_view name,
                 const void* site) noexcept {
  machine* m = current_machine();
  g->entry = entry;
  g->site = site;
  g->id = runtime::new_id(m);
  g->parent_id = m != nullptr && m->g != nullptr ? m->g->id : 0;
  g->name_size = 0;
  if (__builtin_expect(!name.empty(), 0)) {
    // Beside the closure on the goroutine's own stack; a long name must not eat the stack.
    constexpr std::size_t longest = 255;
    const std::size_t n = std::min(name.size(), longest);
    const std::uintptr_t at = g->context.sp - n;
    std::memcpy(reinterpret_cast<void*>(at), name.data(), n);
    g->name_text = reinterpret_cast<const char*>(at);
    g->name_size = static_cast<std::uint32_t>(n);
    g->context.sp = at & ~std::uintptr_t{15};
  }
  runtime::make_enterable(g);
  if constexpr (RUNNEL_RACE != 0) {
    arch::tsan_delete(g->race_state);  // of its last run, which has been left for good
    g->race_state = arch::tsan_new();
  }
  g->alive.store(true, std::memory_order_release);  // pairs with reports, which read the rest then
  if (m != nullptr && m->p != nullptr) {
    m->p->spawned.add();
  } else {
    sched->foreign_spawned.fetch_add(1, std::memory_order_relaxed);
  }
  runtime::enqueue(m, g, true);
}

}  // namespace runnel::detail

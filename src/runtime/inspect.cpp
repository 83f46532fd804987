#include "runtime/inspect.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include "arch/stack.hpp"
#include "runtime/scheduler.hpp"
#include "runtime/seed_depot.hpp"
#include "runtime/stack_depot.hpp"
#include "runtime/threads.hpp"

namespace runnel::runtime {
namespace {

std::int64_t waited(std::int64_t since) noexcept {
  const std::int64_t now = now_ns();
  return since > 0 && now > since ? now - since : 0;
}

goroutine_view view_of(const goroutine& g, const machine* self) noexcept {
  goroutine_view v{};
  const machine* on = g.on_cpu.load(std::memory_order_acquire);
  v.id = g.id;
  v.parent_id = g.parent_id;
  v.name = g.name();
  v.reason = g.reason.load(std::memory_order_relaxed);
  v.state = v.reason != detail::wait_reason::none ? goroutine_state::waiting
            : on != nullptr                       ? goroutine_state::running
                                                  : goroutine_state::runnable;
  if (v.state == goroutine_state::waiting) {
    v.waiting_ns = waited(g.wait_since.load(std::memory_order_relaxed));
  }
  v.site = g.site;
  v.context = g.context;
  v.is_current = self != nullptr && self->g == &g;
  v.locked = g.locked_to != nullptr && !is_seed(g);
  v.stack_low = g.stack_low;
  v.stack_high = g.stack_high;
  v.machine_tid = on != nullptr ? on->tid.load(std::memory_order_relaxed) : 0;
  return v;
}

thread_view view_of_thread(const machine& m, const machine* self) noexcept {
  thread_view v{};
  v.tid = m.tid.load(std::memory_order_acquire);
  v.is_main = m.is_main;
  v.is_current = &m == self;
  v.reason = m.reason.load(std::memory_order_relaxed);
  if (v.reason != detail::wait_reason::none) {
    v.waiting_ns = waited(m.wait_since.load(std::memory_order_relaxed));
  }
  return v;
}

struct visitor {
  void (*visit)(void*, const goroutine_view&);
  void* argument;
  const machine* self;
};

}  // namespace

void for_each_goroutine(void (*visit)(void*, const goroutine_view&), void* argument) {
  visitor v{visit, argument, current_machine()};
  // First, so that nobody is missed who gets a stack meanwhile.
  for_each_seed(
      [](void* a, const seed& s) {
        const visitor& to = *static_cast<visitor*>(a);
        if (!s.alive.load(std::memory_order_acquire)) return;
        goroutine_view seen = view_of(s, to.self);
        // Its closure, for LeakSanitizer.
        seen.stack_low = reinterpret_cast<std::uintptr_t>(&s);
        seen.stack_high = seen.stack_low + sizeof s;
        seen.context.sp = reinterpret_cast<std::uintptr_t>(s.place);
        to.visit(to.argument, seen);
      },
      &v);
  arch::for_each_stack(
      [](void* a, std::uintptr_t low, std::uintptr_t high) {
        const visitor& to = *static_cast<visitor*>(a);
        const goroutine& g = *goroutine_of_stack(low, high);
        if (!g.alive.load(std::memory_order_acquire)) return;
        to.visit(to.argument, view_of(g, to.self));
      },
      &v);
}

void for_each_blocked_thread(void (*visit)(void*, const thread_view&), void* argument) {
  const machine* self = current_machine();
  for (machine* m = first_machine(); m != nullptr; m = m->next_all) {
    if (m->worker || m->tid.load(std::memory_order_acquire) == 0 ||
        m->reason.load(std::memory_order_relaxed) == detail::wait_reason::none) {
      continue;
    }
    visit(argument, view_of_thread(*m, self));
  }
}

bool current(goroutine_view& g, thread_view& t) {
  const machine* m = current_machine();
  if (m == nullptr) {
    t = {};
    t.is_current = true;
    t.tid = static_cast<std::int32_t>(syscall(SYS_gettid));
    t.is_main = t.tid == getpid();
    return false;
  }
  if (m->g == nullptr) {
    t = view_of_thread(*m, m);
    return false;
  }
  g = view_of(*m->g, m);
  return true;
}

bool freeze() noexcept {
  if (sched == nullptr) return true;
  if (sched->frozen.exchange(true, std::memory_order_seq_cst)) return false;
  sched->stopping.store(true, std::memory_order_seq_cst);
  set_attention();
  return true;
}

std::uint64_t last_goroutine_id() noexcept {
  if (sched == nullptr) return 0;
  sched->id_epoch.fetch_add(1, std::memory_order_seq_cst);  // batches in stock hold smaller ids
  return sched->ids.load(std::memory_order_seq_cst);
}

}  // namespace runnel::runtime

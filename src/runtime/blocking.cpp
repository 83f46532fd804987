// blocking(f), lock_os_thread, and the other questions a goroutine asks about itself.
#include <runnel/detail/fatal.hpp>
#include <runnel/detail/go_support.hpp>

#include "runtime/lifecycle.hpp"
#include "runtime/scheduler.hpp"
#include "runtime/spawn_exit.hpp"

namespace runnel::detail {

using runtime::current_machine;
using runtime::machine;
using runtime::processor;
using runtime::sched;

bool enter_blocking() noexcept {
  machine* m = current_machine();
  if (m == nullptr || m->g == nullptr) return false;
  m->g->reason.store(wait_reason::blocking, std::memory_order_relaxed);
  m->g->wait_since.store(runtime::coarse_now.load(std::memory_order_relaxed),
                         std::memory_order_relaxed);
  if (m->p == nullptr) return true;  // nested: already outside
  if (m->p->attention.load(std::memory_order_acquire) && m->p->detached) {
    runtime::retire_processor(m);
    return true;
  }
  runtime::hand_off(runtime::release_processor(m));
  return true;
}

void leave_blocking() noexcept {
  machine* m = current_machine();
  goroutine* g = m->g;
  g->reason.store(wait_reason::none, std::memory_order_relaxed);
  if (m->p != nullptr) return;  // f parked, and was resumed on a machine with a processor
  // Unless exit() has begun: then it goes by the scheduler, and stops there.
  if (!sched->stopping.load(std::memory_order_relaxed) || runtime::runs_exit()) {
    if (processor* p = runtime::take_idle_processor()) {
      runtime::acquire_processor(m, p);
      return;
    }
  }
  sched->global.push(g);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  runtime::wake_processor();
  runtime::switch_away(m, g);
}

std::uint64_t current_id() noexcept {
  const machine* m = current_machine();
  return m != nullptr && m->g != nullptr ? m->g->id : 0;
}

std::string_view current_name() noexcept {
  const machine* m = current_machine();
  return m != nullptr && m->g != nullptr ? m->g->name() : std::string_view();
}

void lock_os_thread() {
  machine* m = current_machine();
  if (m == nullptr || m->g == nullptr) return;  // a plain thread never leaves itself
  ++m->g->lock_depth;
  m->g->locked_to = m;
  m->locked_g = m->g;
}

void unlock_os_thread() {
  machine* m = current_machine();
  if (m == nullptr || m->g == nullptr) return;
  if (m->g->lock_depth == 0 || --m->g->lock_depth != 0) return;
  m->g->locked_to = nullptr;
  m->locked_g = nullptr;
}

void goexit() {
  machine* m = current_machine();
  if (m == nullptr || m->g == nullptr) throw_panic("goexit called outside of a goroutine");
  runtime::unwind_goroutine(m->g);
}

}  // namespace runnel::detail

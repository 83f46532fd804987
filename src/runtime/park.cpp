// The door (detail/park.hpp), for goroutines and for plain threads.
//
// Plain threads: `note` of the thread's record is 0 (running), 1 (readied), 2 (asleep) or 3 (asleep
// and watching exit()). ready exchanges 1 in and wakes the futex only if it found 2 or 3; the
// sleeper goes 0 -> 2 by compare-and-swap, so a ready before, during or after is seen. 2 -> 3 is
// the sleeper's own step if it sees exit() then, else that of exit(), which wakes it. The record is
// immortal, so ready may touch it although the thread may be gone by then.
#include <runnel/detail/park.hpp>
#include <runnel/detail/timer_node.hpp>

#include "arch/sanitizer.hpp"
#include "arch/switch.hpp"
#include "runtime/deadlock.hpp"
#include "runtime/futex.hpp"
#include "runtime/lifecycle.hpp"
#include "runtime/scheduler.hpp"
#include "runtime/seed_depot.hpp"
#include "runtime/switch_announce.hpp"
#include "runtime/threads.hpp"
#include "runtime/timers.hpp"

namespace runnel::runtime {
namespace {

constexpr std::uint32_t note_none = 0;
constexpr std::uint32_t note_ready = 1;

// How long a plain thread spins before it sleeps: waking it from the futex takes 17 us, so a peer
// that answers within that time is better waited for awake.
constexpr std::int64_t thread_spin_ns = 20'000;

/// One sleep of a plain thread. In the race build it ends from time to time: a signal's handler
/// runs in tsan_take_signals, and without a time-out one with SA_RESTART would not end the sleep.
void sleep_on(std::atomic<std::uint32_t>& note) noexcept {
#if RUNNEL_RACE
  const timespec limit{0, 100'000'000};
  futex_wait(note, note_asleep, &limit);
  arch::tsan_take_signals();
#else
  futex_wait(note, note_asleep);
#endif
}

void sleep_until_readied(std::atomic<std::uint32_t>& note, bool during_exit) noexcept {
  for (;;) {
    std::uint32_t now = note.load(std::memory_order_acquire);
    if (now == note_asleep) {
      sleep_on(note);
    } else if (now != note_asleep_in_exit) {
      return;
    } else if (sched->stopping.load(std::memory_order_acquire)) {
      sleep_in_exit(note, note_asleep_in_exit, !during_exit);
    } else {
      note.compare_exchange_strong(now, note_asleep);
    }
  }
}

void park_thread(machine* m, detail::wait_reason reason) noexcept {
  thaw_for_exit();
  // Not the coarse clock, which stands still while everything is asleep.
  m->wait_since.store(now_ns(), std::memory_order_relaxed);
  m->reason.store(reason, std::memory_order_relaxed);
  if (sched->cpus > 1) {
    const std::int64_t until = now_ns() + thread_spin_ns;
    do {
      for (int i = 0; i < 32 && m->note.load(std::memory_order_acquire) == note_none; ++i)
        cpu_relax();
    } while (m->note.load(std::memory_order_acquire) == note_none && now_ns() < until);
  }
  std::uint32_t expected = note_none;
  if (m->note.compare_exchange_strong(expected, note_asleep, std::memory_order_seq_cst)) {
    // Either this sees exit(), or that sees the note (watch_blocked_threads).
    const bool during_exit = sched->stopping.load(std::memory_order_seq_cst);
    expected = note_asleep;
    if (during_exit) m->note.compare_exchange_strong(expected, note_asleep_in_exit);
    thread_fell_asleep();
    sleep_until_readied(m->note, during_exit);
  }
  m->note.store(note_none, std::memory_order_relaxed);
  m->reason.store(detail::wait_reason::none, std::memory_order_relaxed);
}

void ready_thread(machine* m) noexcept {
  if (m->note.exchange(note_ready, std::memory_order_seq_cst) >= note_asleep) futex_wake(m->note);
}

/// The next goroutine to switch to directly; null: let the machine's own stack decide.
RUNNEL_INLINE goroutine* next_local(machine* m) noexcept {
  processor* p = m->p;
  if (__builtin_expect(p == nullptr || p->attention.load(std::memory_order_relaxed), 0))
    return nullptr;
  if (__builtin_expect(--p->until_global == 0, 0)) return nullptr;
  goroutine* g = p->pick(m);
  if (g != nullptr)
    p->tick.store(p->tick.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  return g;
}

RUNNEL_INLINE void set_running(machine* m, goroutine* g) noexcept {
  g->on_cpu.store(m, std::memory_order_relaxed);
  m->g = g;
  m->running = g;
}

/// Returns what may be entered at once: next, or the goroutine that this seed has become. Null:
/// base has to wait for it or pass it on.
RUNNEL_INLINE goroutine* enter(machine* m, goroutine* next) noexcept {
  if (__builtin_expect(
          next->on_cpu.load(std::memory_order_acquire) != nullptr || next->locked_to != nullptr,
          0)) {
    if (!is_seed(*next)) {
      m->pending = next;
      return nullptr;
    }
    next = plant(m, static_cast<seed&>(*next));
  }
  set_running(m, next);
  return next;
}

}  // namespace

namespace {

RUNNEL_INLINE void save_thread_state(machine* m, goroutine* g) noexcept {
  g->saved_errno = *m->errno_location;
  if (__builtin_expect(m->eh->any(), 0)) {
    g->eh = *m->eh;
    *m->eh = {};
  }
}

RUNNEL_INLINE void restore_thread_state(machine* m, goroutine* g) noexcept {
  *m->errno_location = g->saved_errno;
  forget_errno(*m);
  if (__builtin_expect(g->eh.any(), 0)) {
    *m->eh = g->eh;
    g->eh = {};
  }
}

/// switch_from where it has to do more than switch.
[[gnu::noinline]] void switch_from_slow(machine* m, goroutine* g, goroutine* next) noexcept {
  save_thread_state(m, g);
  if (next != nullptr && (next = enter(m, next)) != nullptr) {
    announce_switch_to(*next, &g->asan_stack);
    arch::switch_context(&g->context, &next->context, &g->on_cpu, next);
  } else {
    m->g = nullptr;
    announce_switch_to_base(*m, &g->asan_stack);
    arch::switch_context(&g->context, &m->base, &g->on_cpu, nullptr);
  }
  announce_arrival(g->asan_stack);
  restore_thread_state(g->on_cpu.load(std::memory_order_relaxed), g);
}

/// g stops here; `next` goes on (null: the machine's own stack decides). Returns g when it is
/// resumed. What is inlined calls nobody and keeps nothing across the switch, so that its caller
/// saves four registers instead of six.
RUNNEL_INLINE goroutine* switch_from(machine* m, goroutine* g, goroutine* next) noexcept {
  if (__builtin_expect(RUNNEL_RACE != 0 || next == nullptr || arch::asan_active() ||
                           next->on_cpu.load(std::memory_order_acquire) != nullptr ||
                           next->locked_to != nullptr,
                       0)) {
    switch_from_slow(m, g, next);
    return g;
  }
  save_thread_state(m, g);
  set_running(m, next);
  g = static_cast<goroutine*>(arch::switch_context(&g->context, &next->context, &g->on_cpu, next));
  restore_thread_state(g->on_cpu.load(std::memory_order_relaxed), g);
  return g;
}

/// switch_away, inlined into park: a call between the two saved all registers once more, which is a
/// cache line and a half of every parked stack. (ThreadRing503, one processor: 79 -> 75 ns.)
RUNNEL_INLINE goroutine* switch_to_next(machine* m, goroutine* g) noexcept {
  goroutine* next = g->locked_to == nullptr ? next_local(m) : nullptr;
  return next != g ? switch_from(m, g, next) : g;
}

}  // namespace

void switch_away(machine* m, goroutine* g) noexcept { switch_to_next(m, g); }

void finish_goroutine(machine* m, goroutine* g) noexcept {
  *m->eh = {};
  goroutine* next = m->locked_g == nullptr ? next_local(m) : nullptr;
  if (next != nullptr && (next = enter(m, next)) != nullptr) {
    announce_switch_to(*next, nullptr);
    arch::jump_context(&next->context, &g->on_cpu, next);
  }
  m->g = nullptr;
  announce_switch_to_base(*m, nullptr);
  arch::jump_context(&m->base, &g->on_cpu, nullptr);
}

}  // namespace runnel::runtime

namespace runnel::detail {

using namespace runnel::runtime;  // NOLINT(google-build-using-namespace): its other half

namespace {

[[gnu::noinline]] void park_plain_thread(wait_reason reason) noexcept {
  machine* m = current_machine();
  if (m == nullptr) m = static_cast<machine*>(attach_thread());
  park_thread(m, reason);
}

}  // namespace

void park(wait_reason reason) noexcept {
  machine* m = current_machine();
  goroutine* g = m == nullptr ? nullptr : m->g;
  if (__builtin_expect(g == nullptr, 0)) return park_plain_thread(reason);
  g->wait_since.store(coarse_now.load(std::memory_order_relaxed), std::memory_order_relaxed);
  g->reason.store(reason, std::memory_order_relaxed);
  if (m->p != nullptr) m->p->parked.add();
  g = switch_to_next(m, g);
  g->reason.store(wait_reason::none, std::memory_order_relaxed);
}

void ready(parker* who) noexcept {
  if (who->what == parker::kind::thread) {
    ready_thread(static_cast<machine*>(static_cast<thread*>(who)));
    return;
  }
  auto* g = static_cast<goroutine*>(who);
  __builtin_prefetch(&g->wait_since);  // and locked_to, which decide whether it may be entered
  g->reason.store(wait_reason::none, std::memory_order_relaxed);
  enqueue(current_machine(), g, true);
}

void ready_elsewhere(parker* who) noexcept {
  if (who->what == parker::kind::goroutine &&
      (sched->idle_ps.load(std::memory_order_relaxed) != 0 ||
       sched->searching.load(std::memory_order_relaxed) != 0)) {
    auto* g = static_cast<goroutine*>(who);
    g->reason.store(wait_reason::none, std::memory_order_relaxed);
    enqueue(nullptr, g, false);
  } else {
    ready(who);
  }
}

void call_for_help() noexcept {
  machine* m = current_machine();
  if (m == nullptr || m->g == nullptr || m->p == nullptr || m->p->looks_empty()) return;
  m->p->help_from.store(1, std::memory_order_relaxed);
  wake_processor();
}

namespace {

struct wait_timer : timer_node {
  explicit wait_timer(waiter& waits) noexcept : w(waits) {
    fire = [](timer_node* node, steady_time) noexcept -> parker* {
      waiter& ours = static_cast<wait_timer*>(node)->w;
      parker* who = ours.who;
      return ours.claim->try_claim(timed_out_tag) ? who : nullptr;
    };
  }
  waiter& w;
};

}  // namespace

bool park_until(wait_reason reason, waiter& w, steady_time deadline) noexcept {
  wait_timer timer(w);
  try {
    timer_arm(timer, deadline);
  } catch (const std::bad_alloc&) {
    // No memory for one more timer: the wait ends now rather than never.
    if (w.claim->try_claim(timed_out_tag)) return false;
  }
  park(reason);
  timer_cancel(timer);
  return w.claim->winner() != timed_out_tag;
}

void give_way() noexcept {
  const machine* m = current_machine();
  if (m == nullptr || m->g == nullptr || m->p == nullptr) return;
  if (__builtin_expect(m->p->attention.load(std::memory_order_relaxed), 0)) yield();
}

namespace {

[[gnu::noinline]] void yield_slow(machine* m, goroutine* g) noexcept {
  processor* p = m->p;
  if (p != nullptr) {
    p->yields.add();
    if (p->yields.read() > p->yields_until_global) {
      p->until_global = 1;
    } else if (!p->attention.load(std::memory_order_relaxed) && g->locked_to == nullptr &&
               p->looks_empty() && sched->global.size() == 0) {
      return;
    }
  }
  if (__builtin_expect(sched->stopping.load(std::memory_order_relaxed), 0) && runs_exit()) return;
  if (p == nullptr || p->push(m, g, false) == processor::pushed::refused) {
    sched->global.push(g);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    wake_processor();
  }
  switch_away(m, g);
}

}  // namespace

void yield() noexcept {
  machine* m = current_machine();
  goroutine* g = m == nullptr ? nullptr : m->g;
  if (__builtin_expect(g == nullptr, 0)) {
    sched_yield();
    return;
  }
  processor* p = m->p;
  if (__builtin_expect(p != nullptr && !p->attention.load(std::memory_order_relaxed) &&
                           p->yields.read() < p->yields_until_global && g->locked_to == nullptr,
                       1)) {
    if (goroutine* next = p->rotate(m, g)) {
      p->yields.add();
      switch_from(m, g, next);
      return;
    }
  }
  yield_slow(m, g);
}

}  // namespace runnel::detail

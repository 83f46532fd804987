#include "runtime/scheduler.hpp"

#include <time.h>

#include <new>

#include "runtime/create_machine.hpp"
#include "runtime/deadlock.hpp"
#include "runtime/fence.hpp"
#include "runtime/fork_gate.hpp"
#include "runtime/futex.hpp"
#include "runtime/netpoll.hpp"
#include "runtime/seed_depot.hpp"
#include "runtime/stack_depot.hpp"
#include "runtime/timers.hpp"

namespace runnel::runtime {

constinit std::atomic<std::int64_t> coarse_now{0};

std::int64_t now_ns() noexcept {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1'000'000'000LL + t.tv_nsec;
}

goroutine* scheduler::global_pick(machine* me, processor* p, global_queue::wish w) noexcept {
  if (global.size() == 0) return nullptr;
  return p->refill(me, global, procs.load(std::memory_order_relaxed), w);
}

// ---- processors changing hands

void acquire_processor(machine* m, processor* p) noexcept {
  p->m.store(m, std::memory_order_release);  // sysmon reads what m's thread wrote of itself
  m->p = p;
  // A thief may be inside; lock_plain waits for it and sees no bias to revoke (release cleared it).
  p->lock.lock_plain();
  if (heavy_fence_enabled()) p->lock.bias_to(m);
  p->lock.unlock_plain();
}

processor* release_processor(machine* m) noexcept {
  processor* p = m->p;
  m->p = nullptr;
  p->m.store(nullptr, std::memory_order_relaxed);
  p->lock.lock_plain();  // clears the bias; costs no fence, the bias being our own
  p->lock.unlock_plain();
  return p;
}

processor* take_idle_processor_locked() noexcept {
  processor* p = sched->idle_p;
  if (p == nullptr) return nullptr;
  sched->idle_p = p->next_idle;
  p->idle = false;
  sched->idle_ps.fetch_sub(1, std::memory_order_seq_cst);
  return p;
}

void put_idle_processor_locked(processor* p) noexcept {
  if (p->detached) {  // while it was being given up: its successor stands at its index
    p->detached = false;
    p->attention.store(false, std::memory_order_relaxed);
    p->next_idle = sched->spare_p;
    sched->spare_p = p;
    return;
  }
  p->next_idle = sched->idle_p;
  p->idle = true;
  sched->idle_p = p;
  sched->idle_ps.fetch_add(1, std::memory_order_seq_cst);
}

processor* take_idle_processor() noexcept {
  if (sched->idle_ps.load(std::memory_order_relaxed) == 0) return nullptr;
  sched->lock.lock();
  processor* p = take_idle_processor_locked();
  sched->lock.unlock();
  if (p != nullptr) wake_sysmon();
  return p;
}

void put_idle_processor(processor* p) noexcept {
  sched->lock.lock();
  put_idle_processor_locked(p);
  sched->lock.unlock();
}

bool start_machine(processor* p, bool searching) noexcept {
  wake_sysmon();
  sched->lock.lock();
  machine* m = sched->idle_m;
  if (m != nullptr) {
    sched->idle_m = m->next_idle;
    --sched->asleep;
    m->handed = p;
    m->searching = searching;
    sched->lock.unlock();
    sched->wakeups.fetch_add(1, std::memory_order_relaxed);
    m->note.store(1, std::memory_order_release);
    futex_wake(m->note);
    return true;
  }
  m = sched->poller.load(std::memory_order_relaxed);
  if (m != nullptr) {
    sched->poller.store(nullptr, std::memory_order_relaxed);
    --sched->asleep;
    m->handed = p;
    m->searching = searching;
    sched->lock.unlock();
    sched->wakeups.fetch_add(1, std::memory_order_relaxed);
    netpoll_interrupt();
    return true;
  }
  ++sched->machines;
  sched->lock.unlock();
  if (create_machine(p, searching)) return true;
  // No thread to be had: the work waits in the global queue, and sysmon tries again as long as it
  // does.
  goroutine* first = nullptr;
  goroutine* last = nullptr;
  const std::uint32_t n = p->drain(first, last, false);
  if (n != 0) sched->global.push_chain(first);
  sched->lock.lock();
  --sched->machines;
  put_idle_processor_locked(p);
  sched->lock.unlock();
  if (searching) sched->searching.fetch_sub(1, std::memory_order_seq_cst);
  return false;
}

void set_attention() noexcept {
  const unsigned procs = sched->procs.load(std::memory_order_relaxed);
  for (unsigned i = 0; i < procs; ++i) {
    processor* p = sched->all[i].load(std::memory_order_acquire);
    if (p != nullptr) p->attention.store(true, std::memory_order_release);
  }
}

void wake_processor() noexcept {
  if (sched->idle_ps.load(std::memory_order_seq_cst) == 0) return;
  int none = 0;
  if (sched->searching.load(std::memory_order_seq_cst) != 0 ||
      !sched->searching.compare_exchange_strong(none, 1, std::memory_order_seq_cst)) {
    return;
  }
  processor* p = take_idle_processor();
  if (p == nullptr) {
    sched->searching.fetch_sub(1, std::memory_order_seq_cst);
    return;
  }
  start_machine(p, true);
}

namespace {

/// The processor of m, whose goroutine ran for too long, was taken away; an idle one will do as
/// well. Otherwise a hog that spawns would wake a machine for each goroutine: its relief is soon
/// done with the last one and idle again (a million goroutines from one loop: 7.1 us each, with
/// this 2.9). Never on the machine's own stack: there the scheduler goes on with the processor that
/// it had, and would give the other one up without a look at its queue.
bool take_back_processor(machine* m) noexcept {
  if (m->g == nullptr) return false;
  processor* p = take_idle_processor();
  if (p == nullptr) return false;
  retire_processor(m);
  acquire_processor(m, p);
  return true;
}

}  // namespace

void enqueue(machine* m, goroutine* g, bool as_next) noexcept {
  if (__builtin_expect(m != nullptr && m->p != nullptr, 1)) {
    processor::pushed pushed = m->p->push(m, g, as_next);
    if (__builtin_expect(pushed == processor::pushed::refused, 0) && take_back_processor(m)) {
      pushed = m->p->push(m, g, as_next);
    }
    if (pushed == processor::pushed::as_next) return;
    if (pushed == processor::pushed::queued) {
      if (sched->idle_ps.load(std::memory_order_relaxed) != 0 &&
          sched->searching.load(std::memory_order_relaxed) == 0 && m->p->wants_help()) {
        wake_processor();
      }
      return;
    }
  }
  sched->global.push(g);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  wake_processor();
}

void hand_off(processor* p) noexcept {
  if (!p->looks_empty() || sched->global.size() != 0) {
    sched->handoffs.fetch_add(1, std::memory_order_relaxed);
    start_machine(p, false);
    return;
  }
  put_idle_processor(p);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (sched->global.size() != 0) {
    wake_processor();
  } else if (sched->poller.load(std::memory_order_seq_cst) == nullptr) {
    if (sched->idle_ps.load(std::memory_order_seq_cst) ==
        sched->procs.load(std::memory_order_relaxed)) {
      ensure_poller();  // timers and descriptors need somebody who waits for them
    }
  } else if (next_deadline() < sched->poller_until.load(std::memory_order_seq_cst)) {
    poke_poller();  // a timer armed on p, whose machine will not look at it before it sleeps
  }
}

// ---- stalled machines

processor* detach_processor(processor* p, unsigned index, bool replace) noexcept {
  processor* fresh = nullptr;
  if (replace) {
    sched->lock.lock();
    fresh = sched->spare_p;
    if (fresh != nullptr) sched->spare_p = fresh->next_idle;
    sched->lock.unlock();
    if (fresh == nullptr && (fresh = make_processor(*sched)) == nullptr) return nullptr;
    fresh->index = index;
  }
  goroutine* first = nullptr;
  goroutine* last = nullptr;
  std::uint32_t n = 0;
  sched->lock.lock();
  const bool held = !p->idle && !p->detached && p->m.load(std::memory_order_relaxed) != nullptr &&
                    sched->all[index].load(std::memory_order_relaxed) == p;
  if (held) {
    n = p->drain(first, last, true);
    sched->all[index].store(fresh, std::memory_order_release);
    p->attention.store(true, std::memory_order_release);
  } else if (fresh != nullptr) {
    fresh->next_idle = sched->spare_p;
    sched->spare_p = fresh;
  }
  sched->lock.unlock();
  if (!held) return nullptr;
  if (n != 0) sched->global.push_chain(first);
  sched->detached.fetch_add(1, std::memory_order_relaxed);
  return fresh;
}

processor* make_processor(scheduler& s) noexcept {
  const fork_gate::visit while_allocating;
  auto* p = new (std::nothrow) processor();
  if (p == nullptr) return nullptr;
  p->next_made = s.made.load(std::memory_order_relaxed);
  while (!s.made.compare_exchange_weak(p->next_made, p, std::memory_order_release)) {
  }
  return p;
}

void retire_processor(machine* m) noexcept {
  processor* p = release_processor(m);
  goroutine* first = nullptr;
  goroutine* last = nullptr;
  const std::uint32_t n = p->drain(first, last, false);
  if (n != 0) sched->global.push_chain(first);
  flush_free_list(p);
  flush_seeds(p);
  p->detached = false;  // nobody else looks at p now: it is neither in `all` nor held
  p->attention.store(false, std::memory_order_relaxed);
  sched->lock.lock();
  p->next_idle = sched->spare_p;
  sched->spare_p = p;
  sched->lock.unlock();
  if (n != 0) wake_processor();
}

void flush_idle_processors(bool fresh_too) noexcept {
  sched->lock.lock();
  for (processor* list : {sched->idle_p, sched->spare_p}) {
    for (processor* p = list; p != nullptr; p = p->next_idle) {
      flush_free_list(p);
      flush_seeds(p);
      if (fresh_too) flush_fresh(p);
    }
  }
  sched->lock.unlock();
}

void poke_poller() noexcept {
  if (sched->poller.load(std::memory_order_seq_cst) != nullptr) netpoll_interrupt();
}

}  // namespace runnel::runtime

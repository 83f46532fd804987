// include/runnel/runtime.hpp.
#include <algorithm>
#include <runnel/detail/park.hpp>
#include <runnel/runtime.hpp>

#include "arch/stack.hpp"
#include "runtime/environment.hpp"
#include "runtime/scheduler.hpp"
#include "runtime/seed_depot.hpp"
#include "runtime/stack_depot.hpp"
#include "runtime/timers.hpp"

namespace runnel {
namespace {

using namespace runtime;  // NOLINT(google-build-using-namespace): this file is its other half

void add_processor(unsigned index) {
  processor* p = nullptr;
  sched->lock.lock();
  if (sched->spare_p != nullptr) {
    p = sched->spare_p;
    sched->spare_p = p->next_idle;
  }
  sched->lock.unlock();
  if (p == nullptr && (p = make_processor(*sched)) == nullptr) throw std::bad_alloc();
  p->index = index;
  p->seen_at = 0;
  p->attention.store(sched->chaos, std::memory_order_relaxed);
  sched->all[index].store(p, std::memory_order_release);
  put_idle_processor(p);
}

/// Takes p, if it still stands at index and is idle, out of use; false: it is not so (any more).
bool drop_idle(processor* p, unsigned index) noexcept {
  sched->lock.lock();
  processor** link = &sched->idle_p;
  while (*link != nullptr && *link != p) link = &(*link)->next_idle;
  // p may have been replaced since it was read, and even stand elsewhere by now.
  const bool found = *link == p && sched->all[index].load(std::memory_order_relaxed) == p;
  if (found) {
    *link = p->next_idle;
    p->idle = false;
    sched->idle_ps.fetch_sub(1, std::memory_order_seq_cst);
    sched->all[index].store(nullptr, std::memory_order_release);
  }
  sched->lock.unlock();
  if (!found) return false;
  flush_free_list(p);  // while it is ours alone: a spare one may be taken and used at once
  flush_seeds(p);
  sched->lock.lock();
  p->next_idle = sched->spare_p;
  sched->spare_p = p;
  sched->lock.unlock();
  return true;
}

void remove_processor(unsigned index) noexcept {
  for (;;) {
    processor* p = sched->all[index].load(std::memory_order_acquire);
    if (p == nullptr) return;
    if (drop_idle(p, index)) return;
    detach_processor(p, index, false);
    backoff b;
    b.wait();
  }
}

}  // namespace

int max_procs() {
  ensure_started();
  return static_cast<int>(sched->procs.load(std::memory_order_relaxed));
}

int max_procs(int n) {
  ensure_started();
  sched->resizing.lock();
  const unsigned old = sched->procs.load(std::memory_order_relaxed);
  const unsigned wanted =
      std::min<unsigned>(n < 1 ? old : static_cast<unsigned>(n), max_processors);
  for (unsigned i = old; i < wanted; ++i) {
    try {
      add_processor(i);
    } catch (...) {
      sched->procs.store(i, std::memory_order_seq_cst);
      sched->resizing.unlock();
      throw;
    }
  }
  sched->procs.store(wanted, std::memory_order_seq_cst);
  for (unsigned i = wanted; i < old; ++i) remove_processor(i);
  sched->resizing.unlock();
  if (wanted > old) {
    wake_processor();
  } else if (wanted < old) {
    // The caller itself may hold a processor that is no more.
    detail::yield();
  }
  return static_cast<int>(old);
}

int num_cpu() {
  static const unsigned cpus = available_cpus();
  return static_cast<int>(cpus);
}

std::size_t num_goroutine() {
  if (sched == nullptr) return 0;
  // All that ended is read before all that started, so that the difference is never too small.
  std::uint64_t finished = 0;
  for (processor* p = sched->made.load(std::memory_order_acquire); p != nullptr; p = p->next_made) {
    finished += p->finished.read();
  }
  std::atomic_thread_fence(std::memory_order_acquire);
  std::uint64_t spawned = sched->foreign_spawned.load(std::memory_order_relaxed);
  for (processor* p = sched->made.load(std::memory_order_acquire); p != nullptr; p = p->next_made) {
    spawned += p->spawned.read();
  }
  return static_cast<std::size_t>(spawned - finished);
}

runtime_stats stats() {
  runtime_stats s;
  s.timers = armed_timers();
  if (sched == nullptr) return s;
  s.spawned = sched->foreign_spawned.load(std::memory_order_relaxed);
  for (processor* p = sched->made.load(std::memory_order_acquire); p != nullptr; p = p->next_made) {
    s.spawned += p->spawned.read();
    s.finished += p->finished.read();
    s.parked += p->parked.read();
    s.yields += p->yields.read();
    s.picked += p->picked.read();
    s.steals += p->steals.read();
    s.stolen += p->stolen.read();
  }
  s.wakeups = sched->wakeups.load(std::memory_order_relaxed);
  s.handoffs = sched->handoffs.load(std::memory_order_relaxed);
  s.relieved = sched->detached.load(std::memory_order_relaxed);
  s.threads = sched->threads.load(std::memory_order_relaxed);
  s.idle_procs = sched->idle_ps.load(std::memory_order_relaxed);
  s.stacks_unguarded = arch::unguarded_stacks();
  s.stacks = arch::guarded_stacks() + s.stacks_unguarded;
  s.free_stacks = depot_size();
  s.stack_bytes_reserved = arch::reserved_stack_bytes();
  return s;
}

}  // namespace runnel

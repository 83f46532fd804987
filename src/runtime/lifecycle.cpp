#include "runtime/lifecycle.hpp"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>
#include <new>

#include "runtime/environment.hpp"
#include "runtime/fence.hpp"
#include "runtime/futex.hpp"
#include "runtime/hooks.hpp"
#include "runtime/netpoll.hpp"
#include "runtime/scheduler.hpp"
#include "runtime/threads.hpp"
#include "runtime/timers.hpp"

namespace runnel::runtime {

constinit scheduler* sched = nullptr;

namespace {

runtime_lock start_lock;
std::atomic<bool> started{false};
bool handlers_installed = false;

// How long exit() waits for machines to come by the scheduler and stop. One that runs a goroutine
// which does not come by keeps running while static destructors do, as any detached thread would.
constexpr std::int64_t exit_patience_ns = 10'000'000;

void set_attention() noexcept {
  const unsigned procs = sched->procs.load(std::memory_order_relaxed);
  for (unsigned i = 0; i < procs; ++i) {
    processor* p = sched->all[i].load(std::memory_order_acquire);
    if (p != nullptr) p->attention.store(true, std::memory_order_release);
  }
}

void at_exit() { begin_exit(); }

// What children of forks have abandoned, linked: LeakSanitizer takes what nothing points to for a
// leak.
scheduler* abandoned = nullptr;

/// In the child only the forking thread is left. What it inherited of the runtime is abandoned; the
/// next use starts afresh. Biases of threads that no longer exist are made revocable.
void after_fork_in_child() {
  for (machine* m = first_machine(); m != nullptr; m = m->next_all) {
    for (auto& slot : m->holding) slot.store(nullptr, std::memory_order_relaxed);
    m->tid.store(0, std::memory_order_relaxed);
  }
  runnel_current_thread = nullptr;
  if (sched != nullptr) {
    sched->abandoned_before = abandoned;
    abandoned = sched;
  }
  sched = nullptr;
  started.store(false, std::memory_order_relaxed);
  abandon_timers();
}

void start() {
  enable_heavy_fence();
  auto* s = new scheduler();
  const environment env = read_environment();
  s->chaos = env.chaos;
  s->schedtrace_ms = env.schedtrace_ms;
  s->cpus = available_cpus();
  unsigned procs = env.max_procs != 0 ? env.max_procs : default_max_procs();
  if (procs > max_processors) procs = max_processors;
  netpoll_open();
  sched = s;
  s->procs.store(procs, std::memory_order_relaxed);
  for (unsigned i = 0; i < procs; ++i) {
    processor* p = make_processor();
    if (p == nullptr) throw std::bad_alloc();
    p->index = i;
    p->attention.store(s->chaos, std::memory_order_relaxed);
    s->all[i].store(p, std::memory_order_release);
    put_idle_processor_locked(p);
  }
  if (!handlers_installed) {
    install_report_handlers();
    std::atexit(at_exit);
    pthread_atfork(nullptr, nullptr, after_fork_in_child);
    handlers_installed = true;
  }
  start_sysmon();
}

}  // namespace

void ensure_started() {
  if (started.load(std::memory_order_acquire)) return;
  start_lock.lock();
  try {
    if (!started.load(std::memory_order_relaxed)) {
      start();
      started.store(true, std::memory_order_release);
    }
  } catch (...) {
    sched = nullptr;
    start_lock.unlock();
    throw;
  }
  start_lock.unlock();
}

void begin_exit() noexcept {
  if (sched == nullptr || !started.load(std::memory_order_acquire)) return;
  machine* self = current_machine();
  const bool on_machine = self != nullptr && self->worker;
  sched->stopping.store(true, std::memory_order_seq_cst);
  set_attention();
  const std::int64_t until = now_ns() + exit_patience_ns;
  for (;;) {
    sched->lock.lock();
    const unsigned awake = sched->machines - sched->asleep;
    sched->lock.unlock();
    if (awake <= (on_machine ? 1U : 0U) + sched->paused.load(std::memory_order_relaxed) ||
        now_ns() > until) {
      return;
    }
    sched_yield();
  }
}

void pause_if_stopping() noexcept {
  if (__builtin_expect(!sched->stopping.load(std::memory_order_relaxed), 1)) return;
  sched->paused.fetch_add(1, std::memory_order_relaxed);
  while (sched->stopping.load(std::memory_order_acquire)) futex_wait(sched->stop_word, 0);
  sched->paused.fetch_sub(1, std::memory_order_relaxed);
}

void thaw_for_exit() noexcept {
  if (__builtin_expect(!sched->stopping.load(std::memory_order_relaxed), 1)) return;
  if (sched->frozen.load(std::memory_order_acquire)) {
    for (;;) pause();  // a fatal report is being written; it ends the process
  }
  sched->stopping.store(false, std::memory_order_release);
  sched->stop_word.fetch_add(1, std::memory_order_release);
  futex_wake(sched->stop_word, INT_MAX);
  sched->stop_word.store(0, std::memory_order_release);
}

}  // namespace runnel::runtime

#include "runtime/lifecycle.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cstdlib>
#include <new>

#include "arch/keep_errno.hpp"
#include "arch/runtime_lock.hpp"
#include "arch/stack.hpp"
#include "runtime/create_machine.hpp"
#include "runtime/environment.hpp"
#include "runtime/fence.hpp"
#include "runtime/fork_gate.hpp"
#include "runtime/futex.hpp"
#include "runtime/hooks.hpp"
#include "runtime/netpoll.hpp"
#include "runtime/scheduler.hpp"
#include "runtime/seed_depot.hpp"
#include "runtime/stack_depot.hpp"
#include "runtime/threads.hpp"
#include "runtime/timers.hpp"

namespace runnel::runtime {

constinit scheduler* sched = nullptr;

namespace {

runtime_lock start_lock;
std::atomic<bool> started{false};
bool handlers_installed = false;
pthread_once_t fork_handler_once = PTHREAD_ONCE_INIT;

// How long exit() waits for machines to come by the scheduler and stop. One that runs a goroutine
// which does not come by keeps running while static destructors do, as any detached thread would.
// On a busy computer the time passes without their having run at all: then each that does not sleep
// is waited for until it has had that much of a CPU, but no longer than ten seconds. (Without this,
// every sixth program with goroutines at work on eight processors ended in their using what static
// destructors had destroyed, where eight such programs shared one CPU; with a second instead of ten
// one in 3000 where sixteen shared two.)
//
// Those that wait for each other's locks, or for the kernel's or an emulator's, may each be asleep
// whenever one looks. So who has run since the last look counts as not asleep, and that nobody has,
// or wants to, must be seen several times in a row. (Seen within 5 ms, which on a busy computer may
// be two looks, and without a look at who ran, it was the end of every 60th such program under
// qemu, twelve at once on two CPUs.) Who sleeps again and again by himself, in system calls, is not
// waited for as long. Looks are counted, not timed, as the one who looks has to wait for a CPU,
// too; one every 640 us where he has not.
constexpr std::int64_t exit_patience_ns = 10'000'000;
constexpr std::int64_t longest_exit_ns = 10'000'000'000;
constexpr int calm_looks = 8;
constexpr int unrest_looks = 400;

// Code that runs during exit may wait for goroutines: those go on when the exiting thread blocks in
// the library, or when it has been asleep for so long while another thread waits in the library,
// for which it is then taken to wait; longer if that wait is older than the exit, as a main
// thread's often is. (At one time any thread that blocked let them go on, so that a main thread
// that happened to begin a wait while a goroutine called exit() had goroutines use what static
// destructors had destroyed: one exit of 10000 with sixteen at once on two CPUs.)
constexpr std::int64_t needed_late_ns = 100'000'000;
constexpr std::int64_t needed_early_ns = 1'000'000'000;
constexpr long needed_look_ns = 10'000'000;

pid_t current_tid() noexcept { return static_cast<pid_t>(syscall(SYS_gettid)); }

/// Calls f for each worker but the caller; true if one of the calls returned true.
template <class F>
bool any_other_worker(F f) noexcept {
  for (machine* m = first_machine(); m != nullptr; m = m->next_all) {
    if (m->worker && m->tid.load(std::memory_order_relaxed) != 0 && m != current_machine() && f(*m))
      return true;
  }
  return false;
}

/// Some machine has not had its time yet and wants a CPU; `unrest`: or seems to be about to.
bool someone_starves(bool unrest) noexcept {
  bool any = false;
  any_other_worker([&](machine& m) {
    const std::int64_t used = cpu_time(m) - m.cpu_at_exit;
    const bool ran = used != m.used_since_exit;
    m.used_since_exit = used;
    if (any || used >= exit_patience_ns) return false;
    const thread_state state = state_of(m.tid.load(std::memory_order_relaxed));
    any = state == thread_state::runs || (unrest && (ran || state == thread_state::in_kernel));
    return false;
  });
  return any;
}

/// Until all machines but the caller's have stopped, or there is no hope that the others will.
void wait_for_machines() noexcept {
  machine* self = current_machine();
  const bool on_machine = self != nullptr && self->worker;
  const std::int64_t began = now_ns();
  int looks = 0;
  int calm = 0;
  for (backoff pace;; pace.wait()) {
    set_attention();  // again: who saw no exit may have taken it down since
    // Read first: who is counted in `paused` is not asleep any more, but may be when this is read.
    const unsigned paused = sched->paused.load(std::memory_order_acquire);
    sched->lock.lock();
    const unsigned awake = sched->machines - sched->asleep;
    sched->lock.unlock();
    if (awake <= (on_machine ? 1U : 0U) + paused) return;
    const std::int64_t waited = now_ns() - began;
    if (waited < exit_patience_ns / 2) continue;
    calm = someone_starves(++looks < unrest_looks) ? 0 : calm + 1;
    if (calm == calm_looks || waited > longest_exit_ns) return;
  }
}

/// Lets everybody go on, unless a fatal report is being written, which ends the process. (One that
/// begins meanwhile is seen by the second look: it raises `frozen` before `stopping`.)
void thaw() noexcept {
  if (!sched->frozen.load(std::memory_order_seq_cst)) {
    sched->stopping.store(false, std::memory_order_seq_cst);
    if (!sched->frozen.load(std::memory_order_seq_cst)) {
      sched->stop_word.fetch_add(1, std::memory_order_release);
      futex_wake(sched->stop_word, INT_MAX);
      return;
    }
    sched->stopping.store(true, std::memory_order_seq_cst);
    set_attention();
  }
  for (;;) pause();
}

void at_exit() { begin_exit(); }

// What children of forks have abandoned, linked: LeakSanitizer takes what nothing points to for a
// leak.
scheduler* abandoned = nullptr;

/// In the child only the forking thread is left. What it inherited of the runtime is abandoned,
/// locks that threads now gone were holding included; the next use starts afresh. Biases of threads
/// that no longer exist are made revocable.
void after_fork_in_child() {
  start_lock.abandon();
  fork_gate::release();
  abandon_machines();
  abandon_goroutines();
  abandon_seeds();
  netpoll_close();
  abandon_timers();
  if (sched != nullptr) {
    sched->abandoned_before = abandoned;
    abandoned = sched;
  }
  sched = nullptr;
  started.store(false, std::memory_order_relaxed);
}

/// What machines block: what the caller does. In the race build everything: ThreadSanitizer notes a
/// signal that has a handler and runs that at the next call of the same goroutine's that it
/// watches, which may never come.
sigset_t signals_of_machines() noexcept {
  sigset_t set;
#if RUNNEL_RACE
  block_all_but_own(set);
#else
  pthread_sigmask(SIG_SETMASK, nullptr, &set);
#endif
  return set;
}

void start() {
  enable_heavy_fence();
  auto* s = new scheduler();
  coarse_now.store(now_ns(), std::memory_order_relaxed);
  const environment env = read_environment();
  s->chaos = env.chaos;
  s->ignore_threads = env.ignore_threads;
  s->schedtrace_ms = env.schedtrace_ms;
  arch::limit_stacks(std::size_t{env.stack_limit_mib} << 20);
  s->cpus = available_cpus();
  s->signals = signals_of_machines();
  unsigned procs = env.max_procs != 0 ? env.max_procs : default_max_procs();
  if (procs > max_processors) procs = max_processors;
  netpoll_open();
  s->procs.store(procs, std::memory_order_relaxed);
  for (unsigned i = 0; i < procs; ++i) {
    processor* p = make_processor(*s);
    if (p == nullptr) throw std::bad_alloc();
    p->index = i;
    p->attention.store(s->chaos, std::memory_order_relaxed);
    s->all[i].store(p, std::memory_order_release);
    p->idle = true;
    p->next_idle = s->idle_p;
    s->idle_p = p;
  }
  s->idle_ps.store(procs, std::memory_order_relaxed);
  // Others may find it before `started` says so, and go ahead.
  __atomic_store_n(&sched, s, __ATOMIC_RELEASE);
  if (!handlers_installed) {
    install_report_handlers();
    std::atexit(at_exit);
    handlers_installed = true;
  }
  start_sysmon();
}

}  // namespace

void ensure_started() {
  if (started.load(std::memory_order_acquire)) return;
  // Before any lock that a fork could find taken.
  pthread_once(&fork_handler_once,
               [] { pthread_atfork(fork_gate::hold, fork_gate::release, after_fork_in_child); });
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
  sched->stopping.store(true, std::memory_order_seq_cst);
  set_attention();
  any_other_worker([](machine& m) {
    m.cpu_at_exit = cpu_time(m);
    m.used_since_exit = 0;
    return false;
  });
  wait_for_machines();
  sched->exiter.store(current_tid(), std::memory_order_release);
  watch_blocked_threads();
}

bool runs_exit() noexcept {
  return sched->stopping.load(std::memory_order_relaxed) &&
         current_tid() == sched->exiter.load(std::memory_order_relaxed);
}

void pause_if_stopping() noexcept {
  if (__builtin_expect(!sched->stopping.load(std::memory_order_relaxed), 1)) return;
  if (runs_exit()) {
    thaw();  // its goroutine, which called exit(), has parked in a destructor
    return;
  }
  sched->paused.fetch_add(1, std::memory_order_release);  // what it did before is done
  for (;;) {
    // Read first: should thaw come between the two, the word is another one by then.
    const std::uint32_t word = sched->stop_word.load(std::memory_order_acquire);
    if (!sched->stopping.load(std::memory_order_acquire)) break;
    futex_wait(sched->stop_word, word);
  }
  sched->paused.fetch_sub(1, std::memory_order_relaxed);
}

void thaw_for_exit() noexcept {
  if (__builtin_expect(runs_exit(), 0)) thaw();
}

void sleep_in_exit(std::atomic<std::uint32_t>& note, std::uint32_t while_it_is,
                   bool begun_before) noexcept {
  const std::int64_t patience = begun_before ? needed_early_ns : needed_late_ns;
  const keep_errno kept;
  std::int64_t asleep_since = 0;
  while (note.load(std::memory_order_acquire) == while_it_is &&
         sched->stopping.load(std::memory_order_acquire)) {
    const timespec look{0, needed_look_ns};
    futex_wait(note, while_it_is, &look);
    const pid_t exiter = sched->exiter.load(std::memory_order_acquire);
    const std::int64_t now = now_ns();
    if (exiter == 0 || state_of(exiter) != thread_state::sleeps) {
      asleep_since = 0;
    } else if (asleep_since == 0) {
      asleep_since = now;
    } else if (now - asleep_since >= patience) {
      thaw();
    }
  }
}

}  // namespace runnel::runtime

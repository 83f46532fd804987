// Records of threads, making machines, and the loop on a machine's own stack.
#include "runtime/machine.hpp"

#include <cxxabi.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <new>

#include "arch/keep_errno.hpp"
#include "arch/sanitizer.hpp"
#include "arch/switch.hpp"
#include "runtime/create_machine.hpp"
#include "runtime/deadlock.hpp"
#include "runtime/fork_gate.hpp"
#include "runtime/futex.hpp"
#include "runtime/goroutine_local.hpp"
#include "runtime/hooks.hpp"
#include "runtime/lifecycle.hpp"
#include "runtime/scheduler.hpp"
#include "runtime/seed_depot.hpp"
#include "runtime/switch_announce.hpp"
#include "runtime/threads.hpp"

extern "C" {
__thread runnel::detail::thread* runnel_current_thread __attribute__((tls_model("initial-exec"))) =
    nullptr;
}

namespace runnel::runtime {
namespace {

// Room for the scheduler, and for a report with symbols when the fault is on this stack.
constexpr std::size_t machine_stack = 256UL * 1024;

std::atomic<machine*> machines{nullptr};
runtime_lock records_lock;
pthread_key_t thread_end_key;
pthread_once_t thread_end_once = PTHREAD_ONCE_INIT;
std::atomic<pid_t> sysmon_tid{0};

void thread_ended(void* record) { release_machine_record(static_cast<machine*>(record)); }

void make_thread_end_key() { pthread_key_create(&thread_end_key, thread_ended); }

void learn_own_stack(machine* m) noexcept {
  pthread_attr_t attributes;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return;
  void* low = nullptr;
  std::size_t size = 0;  // not m's own: ThreadSanitizer sees what libc writes, but not our locks
  if (pthread_attr_getstack(&attributes, &low, &size) == 0) {
    m->asan_low = reinterpret_cast<std::uintptr_t>(low);
    m->asan_size = size;
    // The thread-locals at the stack's top were written by this thread before any goroutine runs
    // here, but nothing that ThreadSanitizer knows of says so.
    const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)) & ~15UL;
    arch::tsan_forget(here, (m->asan_low + size - here) & ~15UL);
  }
  pthread_attr_destroy(&attributes);
}

/// Passes a goroutine that is locked to another machine on, together with the processor.
void give_locked(machine* m, goroutine* g) noexcept {
  machine* home = g->locked_to;
  processor* p = release_processor(m);
  sched->lock.lock();
  home->handed = p;
  home->handed_g = g;
  if (home->waits_locked) {
    home->waits_locked = false;
    --sched->asleep;
  }
  sched->lock.unlock();
  home->note.store(1, std::memory_order_release);
  futex_wake(home->note);
}

void run(machine* m, goroutine* g) noexcept {
  // It may still be on its way off another machine, which at this very moment leaves its stack.
  if (g->on_cpu.load(std::memory_order_acquire) != nullptr) {
    backoff b;
    while (g->on_cpu.load(std::memory_order_acquire) != nullptr) b.wait();
  }
  g->on_cpu.store(m, std::memory_order_relaxed);
  m->g = g;
  m->running = g;
  announce_switch_to(*g, &m->asan_stack);
  arch::switch_context(&m->base, &g->context, &m->base_release, g);
  announce_arrival(m->asan_stack);
}

struct start_arguments {
  processor* p;
  bool searching;
};

void* machine_main(void* argument) {
  const start_arguments start = *static_cast<start_arguments*>(argument);
  delete static_cast<start_arguments*>(argument);
  machine* m = acquire_machine_record();
  while (m == nullptr) {  // memory is exhausted for now; the processor waits meanwhile
    fork_gate::leave();
    usleep(1000);
    fork_gate::enter();
    m = acquire_machine_record();
  }
  m->worker = true;
  m->searching = start.searching;
  learn_own_stack(m);
  m->race_state = arch::tsan_current();
  install_thread_signal_stack();
  fork_gate::leave();
  prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);  // deadlines are met to the microsecond
  sched->threads.fetch_add(1, std::memory_order_relaxed);
  if (start.p != nullptr) acquire_processor(m, start.p);
  schedule(m);
}

}  // namespace

void schedule(machine* m) noexcept {
  for (;;) {
    goroutine* g = nullptr;
    if (m->locked_g != nullptr) {
      m->pending = nullptr;
      stop_locked_machine(m);
      g = m->handed_g;
      m->handed_g = nullptr;
    } else {
      g = find_runnable(m);
      if (g->locked_to != nullptr && g->locked_to != m) {
        if (!is_seed(*g)) {
          give_locked(m, g);
          continue;
        }
        g = plant(m, static_cast<seed&>(*g));
      }
    }
    run(m, g);
  }
}

machine* acquire_machine_record() noexcept {
  pthread_once(&thread_end_once, make_thread_end_key);
  records_lock.lock();
  machine* m = machines.load(std::memory_order_relaxed);
  // acquire: its last user is done with it
  while (m != nullptr && m->tid.load(std::memory_order_acquire) != 0) m = m->next_all;
  if (m == nullptr) {
    arch::tsan_ignore_begin();  // inlined code of other threads reads parts of it, in an order of
                                // ours
    m = new (std::nothrow) machine();
    machine* const before = machines.load(std::memory_order_relaxed);
    if (m != nullptr) m->number = before != nullptr ? before->number + 1 : 0;
    arch::tsan_ignore_end();
    if (m != nullptr) {
      m->next_all = before;
      machines.store(m, std::memory_order_release);  // pairs with first_machine
    }
  }
  if (m != nullptr)
    m->tid.store(static_cast<pid_t>(syscall(SYS_gettid)), std::memory_order_release);
  records_lock.unlock();
  if (m == nullptr) return nullptr;
  m->handle = pthread_self();
  m->is_main = m->tid.load(std::memory_order_relaxed) == getpid();
  m->running = m;
  m->worker = false;
  m->searching = false;
  m->p = nullptr;
  m->g = nullptr;
  m->pending = nullptr;
  m->handed = nullptr;
  m->handed_g = nullptr;
  m->locked_g = nullptr;
  m->locals = nullptr;
  m->eh = arch::thread_eh_globals();
  m->errno_location = &errno;
  m->note.store(0, std::memory_order_relaxed);
  m->reason.store(detail::wait_reason::none, std::memory_order_relaxed);
  m->random = static_cast<std::uint32_t>(m->tid.load(std::memory_order_relaxed)) * 2654435761U | 1U;
  runnel_current_thread = m;
  pthread_setspecific(thread_end_key, m);
  return m;
}

void release_machine_record(machine* m) noexcept {
  if (m->locals != nullptr) destroy_locals(m->locals);
  m->locals = nullptr;
  runnel_current_thread = nullptr;
  m->tid.store(0, std::memory_order_release);
  if (sched != nullptr) thread_fell_asleep();  // one fewer that could wake somebody
}

void abandon_machines() noexcept {
  records_lock.abandon();
  for (machine* m = first_machine(); m != nullptr; m = m->next_all) {
    for (auto& slot : m->holding) slot.store(nullptr, std::memory_order_relaxed);
    m->reading.store(nullptr, std::memory_order_relaxed);
    m->tid.store(0, std::memory_order_relaxed);
  }
  // Not to be released a second time, when this thread ends, from under its next owner.
  if (runnel_current_thread != nullptr) pthread_setspecific(thread_end_key, nullptr);
  runnel_current_thread = nullptr;
}

machine* first_machine() noexcept { return machines.load(std::memory_order_acquire); }

bool create_thread(void* (*body)(void*), void* argument, const sigset_t& signals) noexcept {
  const keep_errno kept;
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return false;
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, machine_stack);
  sigset_t before;
  pthread_sigmask(SIG_SETMASK, &signals, &before);
  pthread_t handle{};
  fork_gate::enter();  // the new thread leaves, once it has started
  const bool ok = pthread_create(&handle, &attributes, body, argument) == 0;
  if (!ok) fork_gate::leave();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  return ok;
}

bool create_machine(processor* p, bool searching) noexcept {
  auto* start = new (std::nothrow) start_arguments{p, searching};
  if (start == nullptr) return false;
  if (create_thread(machine_main, start, sched->signals)) return true;
  delete start;
  return false;
}

void note_runtime_thread(pid_t tid) noexcept { sysmon_tid.store(tid, std::memory_order_relaxed); }

bool is_older_than_runtime(pid_t tid) noexcept {
  return tid < sysmon_tid.load(std::memory_order_relaxed);
}

bool is_runtime_thread(pid_t tid) noexcept {
  if (tid == sysmon_tid.load(std::memory_order_relaxed)) return true;
  for (machine* m = first_machine(); m != nullptr; m = m->next_all) {
    if (m->tid.load(std::memory_order_acquire) == tid) return m->worker;
  }
  return false;
}

bool is_blocked_thread(pid_t tid) noexcept {
  for (machine* m = first_machine(); m != nullptr; m = m->next_all) {
    if (m->tid.load(std::memory_order_acquire) == tid) {
      return !m->worker && m->note.load(std::memory_order_seq_cst) >= note_asleep;
    }
  }
  return false;
}

bool known_threads_blocked() noexcept {
  bool any = false;
  for (machine* m = first_machine(); m != nullptr; m = m->next_all) {
    if (m->tid.load(std::memory_order_acquire) == 0 || m->worker) continue;
    if (m->note.load(std::memory_order_seq_cst) < note_asleep) return false;
    any = true;
  }
  return any;
}

void watch_blocked_threads() noexcept {
  for (machine* m = first_machine(); m != nullptr; m = m->next_all) {
    if (m->tid.load(std::memory_order_acquire) == 0 || m->worker) continue;
    std::uint32_t asleep = note_asleep;
    if (m->note.compare_exchange_strong(asleep, note_asleep_in_exit, std::memory_order_seq_cst)) {
      futex_wake(m->note);
    }
  }
}

std::int64_t cpu_time(const machine& m) noexcept {
  clockid_t clock{};
  timespec t{};
  if (pthread_getcpuclockid(m.handle, &clock) != 0 || clock_gettime(clock, &t) != 0) return 0;
  return t.tv_sec * 1'000'000'000LL + t.tv_nsec;
}

thread_state state_of(pid_t tid) noexcept {
  char text[256];
  std::snprintf(text, sizeof text, "/proc/self/task/%d/stat", static_cast<int>(tid));
  const int fd = open(text, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return thread_state::sleeps;
  const ssize_t n = read(fd, text, sizeof text - 1);
  close(fd);
  text[n > 0 ? n : 0] = '\0';
  const char* name_end = std::strrchr(text, ')');  // number (name) state ...
  if (name_end == nullptr || name_end[1] != ' ') return thread_state::sleeps;
  if (name_end[2] == 'R') return thread_state::runs;
  return name_end[2] == 'D' ? thread_state::in_kernel : thread_state::sleeps;
}

}  // namespace runnel::runtime

namespace runnel::detail {

thread* attach_thread() {
  if (thread* t = current_thread()) return t;
  runtime::ensure_started();
  if (runtime::acquire_machine_record() == nullptr) throw std::bad_alloc();
  return current_thread();
}

}  // namespace runnel::detail

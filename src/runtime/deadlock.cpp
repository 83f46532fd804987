#include "runtime/deadlock.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "runtime/create_machine.hpp"
#include "runtime/fork_gate.hpp"
#include "runtime/futex.hpp"
#include "runtime/hooks.hpp"
#include "runtime/netpoll.hpp"
#include "runtime/scheduler.hpp"
#include "runtime/threads.hpp"
#include "runtime/timers.hpp"

namespace runnel::runtime {
namespace {

constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();
// The first look comes so long after the last one fell asleep: longer than it takes a thread to
// start, and than most waits of a program that goes on; well under the promised 100 ms.
constexpr std::int64_t first_look_ns = 10'000'000;

// Raised while the poller sleeps without intending to look: whoever falls asleep lowers it and
// pokes the poller, once.
std::atomic<bool> unwatched{false};

enum class verdict : std::uint8_t { alive, ask_again, deadlock };

/// Sanitizers run threads that block every signal and never call anybody, from the start of the
/// program on. (A thread of the program's own blocks every signal, too, while it starts.)
bool is_ambient(const char* tid, pid_t number) noexcept {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/self/task/%s/status", tid);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return true;  // it has gone meanwhile
  char text[4096];
  const ssize_t n = read(fd, text, sizeof text - 1);
  close(fd);
  if (n <= 0) return true;
  text[n] = '\0';
  const char* blocked = std::strstr(text, "SigBlk:");
  if (blocked == nullptr) return false;
  const unsigned long long set = std::strtoull(blocked + 7, nullptr, 16);
  // SIGKILL and SIGSTOP cannot be blocked, glibc keeps 32 and 33 to itself; the rest below 32 all.
  constexpr unsigned long long ordinary = 0x7ffffffeULL & ~(1ULL << 8) & ~(1ULL << 18);
  return under_sanitizer() && is_older_than_runtime(number) && (set & ordinary) == ordinary;
}

/// Threads of the process that are neither ours nor asleep in the library.
bool foreign_threads_alive() noexcept {
  if (sched->ignore_threads) return false;
  const fork_gate::visit while_allocating;
  DIR* dir = opendir("/proc/self/task");
  if (dir == nullptr) return true;  // cannot tell: no report rather than a false one
  bool alive = false;
  while (const dirent* entry = readdir(dir)) {
    if (entry->d_name[0] == '.') continue;
    const auto tid = static_cast<pid_t>(std::strtol(entry->d_name, nullptr, 10));
    if (!is_runtime_thread(tid) && !is_blocked_thread(tid) && !is_ambient(entry->d_name, tid)) {
      alive = true;
      break;
    }
  }
  closedir(dir);
  return alive;
}

verdict judge(bool thorough) noexcept {
  // Sysmon is no machine, but may have in its hands what is in no queue: the goroutines of timers
  // that it fires, and a processor that it took from a machine asleep since.
  const std::uint32_t firing = sched->sysmon_firing.load(std::memory_order_acquire);
  sched->lock.lock();
  const bool asleep = sched->asleep == sched->machines;
  sched->lock.unlock();
  if (!asleep || sched->global.size(std::memory_order_seq_cst) != 0 ||
      next_deadline() != no_deadline || netpoll_waiters() != 0 ||
      sched->stopping.load(std::memory_order_relaxed)) {
    return verdict::alive;
  }
  if (!known_threads_blocked()) return verdict::alive;
  if (firing % 2 != 0 || sched->idle_ps.load(std::memory_order_seq_cst) !=
                             sched->procs.load(std::memory_order_relaxed)) {
    return verdict::ask_again;
  }
  if (!thorough) return verdict::ask_again;
  if (foreign_threads_alive()) return verdict::ask_again;
  // All were seen asleep, but not at one instant: none may have been readied meanwhile.
  sched->lock.lock();
  const bool still = sched->asleep == sched->machines;
  sched->lock.unlock();
  return still && known_threads_blocked() && sched->global.size(std::memory_order_seq_cst) == 0 &&
                 next_deadline() == no_deadline &&
                 sched->sysmon_firing.load(std::memory_order_acquire) == firing
             ? verdict::deadlock
             : verdict::ask_again;
}

}  // namespace

std::int64_t deadlock_watch::next_check(std::int64_t deadline) noexcept {
  if (deadline != never) {
    check_at_ = 0;
    since_ = 0;
    return never;
  }
  if (check_at_ != 0) return check_at_;
  unwatched.store(true, std::memory_order_seq_cst);
  std::atomic_thread_fence(std::memory_order_seq_cst);  // pairs with thread_fell_asleep
  if (judge(false) == verdict::alive) return never;
  unwatched.store(false, std::memory_order_relaxed);
  check_at_ = now_ns() + first_look_ns;
  return check_at_;
}

void deadlock_watch::woke(std::int64_t now) {
  if (check_at_ == 0 || now < check_at_) return;
  switch (judge(true)) {
    case verdict::alive:
      check_at_ = 0;
      since_ = 0;
      return;
    case verdict::ask_again:
      // Only threads of others are awake. Look again after an eighth of the time this has lasted:
      // late by little when they end soon, and next to never in a server that waits for days.
      if (since_ == 0) since_ = now;
      check_at_ = now + first_look_ns + (now - since_) / 8;
      return;
    case verdict::deadlock:
      report_deadlock();
  }
}

void thread_fell_asleep() noexcept {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (sched->poller.load(std::memory_order_relaxed) == nullptr) {
    sched->lock.lock();
    const bool asleep = sched->asleep == sched->machines;
    sched->lock.unlock();
    if (asleep) ensure_poller();
    return;
  }
  // It sleeps without intending to look, or until a timer that has been stopped since.
  if (unwatched.exchange(false, std::memory_order_seq_cst) ||
      (next_deadline() == no_deadline &&
       sched->poller_until.load(std::memory_order_seq_cst) != no_deadline)) {
    poke_poller();
  }
}

void ensure_poller() noexcept {
  sched->lock.lock();
  if (sched->polling) {
    // Or about to leave the poll: then it will look at the timers, or hand its processor off again.
    sched->lock.unlock();
    return;
  }
  if (machine* m = sched->idle_m) {
    sched->idle_m = m->next_idle;
    --sched->asleep;
    m->handed = nullptr;
    sched->lock.unlock();
    m->note.store(1, std::memory_order_release);
    futex_wake(m->note);
    return;
  }
  ++sched->machines;
  sched->lock.unlock();
  if (!create_machine(nullptr, false)) {
    sched->lock.lock();
    --sched->machines;
    sched->lock.unlock();
  }
}

}  // namespace runnel::runtime

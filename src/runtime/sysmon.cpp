// sysmon: the thread that watches processors. Go: sysmon, retake.
//
// It polls while any processor works: every 20 us at first, backing off to 1 ms while it finds
// nothing to do, and sleeps some time after the last processor went idle. (Whether a thread blocks
// takes two readings of its clock; the second follows after 20 us. When it made all further looks
// as quick, as each reading did first, sysmon took 15 % of a CPU from goroutines that compute.) At
// each look, for a processor whose tick has not moved since the last one (one goroutine runs on it
// all the while) and behind which work waits:
//   - an idle processor is woken to steal the work, if there is one; else
//   - if the machine's CPU clock has stood still, its goroutine blocks in a system call or a lock
//     that the runtime was not told of: the processor is detached and its successor, a relief, is
//     given to another machine;
//   - if the goroutine has run for 10 ms, it is a hog: likewise. The kernel time-slices hog and
//     relief.
// A detached processor's machine gives it up when it next enters the scheduler. Nothing is taken
// from a running machine but its queue, so no signal is needed and no code is interrupted anywhere.
//
// It also fires timers that nobody else would, returns memory of idle stacks, retries threads that
// could not be made, writes schedtrace lines, and does what signal handlers asked for.
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <system_error>

#include "runtime/create_machine.hpp"
#include "runtime/fork_gate.hpp"
#include "runtime/futex.hpp"
#include "runtime/hooks.hpp"
#include "runtime/scheduler.hpp"
#include "runtime/seed_depot.hpp"
#include "runtime/stack_depot.hpp"
#include "runtime/threads.hpp"
#include "runtime/timers.hpp"

namespace runnel::runtime {
namespace {

constexpr std::int64_t shortest_nap_ns = 20'000;
constexpr std::int64_t longest_nap_ns = 1'000'000;
constexpr int quick_looks = 20;  // before the nap begins to double
constexpr std::int64_t hog_ns = 10'000'000;
// A processor that keeps to itself is tried again after keep_ns, or after alone_ns if one goroutine
// has been running for that long, as those that fight for a mutex do not: they hand it on every
// millisecond.
constexpr std::int64_t keep_ns = 10'000'000;
constexpr std::int64_t alone_ns = 2'000'000;
// All processors idle: after so long sysmon sleeps, being woken costs 4 us; and after so long
// asleep it gives back the memory of free stacks and sleeps for good.
constexpr std::int64_t idle_before_sleep_ns = 5'000'000;
constexpr std::int64_t idle_before_trim_ns = 100'000'000;
constexpr std::int64_t trim_interval_ns = 100'000'000;
constexpr std::size_t trim_batch = 256;

std::atomic<bool> dump_requested{false};

/// Nothing for sysmon to watch: all processors are idle, and no work waits for a thread to be made.
bool all_idle() noexcept {
  return sched->global.size(std::memory_order_seq_cst) == 0 &&
         sched->idle_ps.load(std::memory_order_seq_cst) ==
             sched->procs.load(std::memory_order_relaxed);
}

enum class seen : std::uint8_t { nothing, doubtful, trouble };

/// Doubtful: one more look will tell, if it is soon. Trouble: something was done about it, and more
/// may follow.
seen look_at(processor* p, unsigned index, std::int64_t now) noexcept {
  machine* m = p->m.load(std::memory_order_acquire);
  if (m == nullptr) return seen::nothing;
  const std::uint32_t tick = p->ticks();
  if (p->help_from.load(std::memory_order_relaxed) != 1) {
    if (p->alone_since == 0) p->alone_since = now;
    const bool stands = tick == p->seen_tick && now - p->seen_at >= alone_ns;
    if (now - p->alone_since >= (stands ? alone_ns : keep_ns)) {
      p->help_from.store(1, std::memory_order_relaxed);
      p->alone_since = 0;
    }
  }
  if (tick != p->seen_tick || p->seen_at == 0) {
    p->seen_tick = tick;
    p->seen_at = now;
    p->cpu_seen_at = 0;
    return seen::nothing;
  }
  const bool waits = !p->looks_empty() || sched->global.size() != 0;
  const std::int64_t stood = now - p->seen_at;
  if (stood >= hog_ns) p->attention.store(true, std::memory_order_relaxed);
  if (!waits) return seen::nothing;
  if (sched->idle_ps.load(std::memory_order_seq_cst) != 0) {
    if (p->wants_help() || p->parts_with_next() || sched->global.size() != 0) wake_processor();
    return seen::nothing;
  }
  const std::int64_t cpu = cpu_time(*m);
  const std::int64_t span = now - p->cpu_seen_at;
  const bool blocked =
      p->cpu_seen_at != 0 && span >= shortest_nap_ns && cpu - p->seen_cpu < span / 8;
  const bool first = p->cpu_seen_at == 0;
  p->cpu_seen_at = now;
  p->seen_cpu = cpu;
  if (!blocked && stood < hog_ns) return first ? seen::doubtful : seen::nothing;
  processor* fresh = detach_processor(p, index, true);
  if (fresh == nullptr) return seen::nothing;
  fresh->seen_at = 0;
  start_machine(fresh, false);
  return seen::trouble;
}

bool fire_overdue(std::int64_t now) noexcept {
  bool any = false;
  const unsigned shards = timer_shards();
  for (unsigned s = 0; s < shards; ++s) {
    if (next_deadline(s) > now) continue;
    // Seen by whoever sees a timer gone, which the shard publishes with release.
    if (!any) sched->sysmon_firing.fetch_add(1, std::memory_order_relaxed);
    run_expired_timers(s, now);
    any = true;
  }
  if (any) sched->sysmon_firing.fetch_add(1, std::memory_order_release);
  return any;
}

seen retake(std::int64_t now) noexcept {
  // Machines that stop keep their processors, and one more for each of these would only stop, too.
  if (sched->stopping.load(std::memory_order_relaxed)) return seen::nothing;
  seen worst = fire_overdue(now) ? seen::trouble : seen::nothing;
  const unsigned procs = sched->procs.load(std::memory_order_relaxed);
  for (unsigned i = 0; i < procs; ++i) {
    processor* p = sched->all[i].load(std::memory_order_acquire);
    if (p != nullptr) worst = std::max(worst, look_at(p, i, now));
  }
  if (sched->global.size() != 0 && sched->idle_ps.load(std::memory_order_seq_cst) != 0) {
    wake_processor();
  }
  return worst;
}

void write_schedtrace(std::int64_t since_start) noexcept {
  char line[512];
  const unsigned procs = sched->procs.load(std::memory_order_relaxed);
  sched->lock.lock();
  const unsigned machines = sched->machines;
  const unsigned asleep = sched->asleep;
  sched->lock.unlock();
  int n =
      std::snprintf(line, sizeof line,
                    "SCHED %lldms: gomaxprocs=%u idleprocs=%u threads=%u spinningthreads=%d "
                    "idlethreads=%u runqueue=%u [",
                    static_cast<long long>(since_start / 1'000'000), procs,
                    sched->idle_ps.load(std::memory_order_relaxed), machines + 1,
                    sched->searching.load(std::memory_order_relaxed), asleep, sched->global.size());
  for (unsigned i = 0; i < procs && n < static_cast<int>(sizeof line) - 16; ++i) {
    const processor* p = sched->all[i].load(std::memory_order_acquire);
    const unsigned queued =
        p == nullptr
            ? 0
            : p->ring_count() + (p->run_next.load(std::memory_order_relaxed) != nullptr ? 1U : 0U);
    n += std::snprintf(line + n, sizeof line - static_cast<std::size_t>(n), i == 0 ? "%u" : " %u",
                       queued);
  }
  n += std::snprintf(line + n, sizeof line - static_cast<std::size_t>(n), "]\n");
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line, static_cast<std::size_t>(n));
}

/// False: it is needed. True: it was not within `limit` (null: a signal came).
bool sleep_until_needed(const timespec* limit) noexcept {
  sched->sysmon_asleep.store(true, std::memory_order_seq_cst);
  // Implied by seq_cst, but not by what qemu-user makes of STLR and LDAR.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (all_idle() && !dump_requested.load(std::memory_order_seq_cst)) {
    const std::uint32_t note = sched->sysmon_note.load(std::memory_order_seq_cst);
    if (sched->sysmon_asleep.load(std::memory_order_seq_cst)) {
      futex_wait(sched->sysmon_note, note, limit);
      return sched->sysmon_asleep.exchange(false, std::memory_order_seq_cst);
    }
  }
  sched->sysmon_asleep.store(false, std::memory_order_seq_cst);
  return false;
}

void* sysmon_main(void*) {
  note_runtime_thread(static_cast<pid_t>(syscall(SYS_gettid)));
  install_thread_signal_stack();
  fork_gate::leave();
  prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
  scheduler* const mine = sched;
  const std::int64_t trace_ns = sched->schedtrace_ms * 1'000'000LL;
  const std::int64_t started = now_ns();
  std::int64_t idle_since = 0;
  std::int64_t trimmed_at = started;
  std::int64_t traced_at = started;
  std::int64_t nap = shortest_nap_ns;
  bool doubtful = false;
  int fruitless = 0;
  while (sched == mine) {
    const timespec t{0, doubtful ? shortest_nap_ns : nap};
    doubtful = false;
    nanosleep(&t, nullptr);
    const std::int64_t now = now_ns();
    coarse_now.store(now, std::memory_order_relaxed);
    if (dump_requested.exchange(false, std::memory_order_acq_rel)) dump_and_exit();
    if (trace_ns != 0 && now - traced_at >= trace_ns) {
      traced_at = now;
      write_schedtrace(now - started);
    }
    bool trimming = false;
    if (now - trimmed_at >= trim_interval_ns) {
      trimming = trim_depot(trim_batch) || trim_seeds(1);
      if (!trimming) trimmed_at = now;
    }
    if (all_idle()) {
      if (idle_since == 0) idle_since = now;
      nap = longest_nap_ns;
      if (now - idle_since > idle_before_sleep_ns && !trimming && trace_ns == 0) {
        const timespec before_trim{0, idle_before_trim_ns};
        if (sleep_until_needed(&before_trim)) {
          flush_idle_processors(false);
          trim_depot(SIZE_MAX);
          trim_seeds(SIZE_MAX);
          sleep_until_needed(nullptr);
        }
        idle_since = 0;
        nap = shortest_nap_ns;
        fruitless = 0;
      }
      continue;
    }
    idle_since = 0;
    const seen found = retake(now);
    doubtful = found == seen::doubtful;
    if (found == seen::trouble) {
      fruitless = 0;
      nap = shortest_nap_ns;
    } else if (fruitless < quick_looks) {
      ++fruitless;
    } else {
      nap = std::min(2 * nap, longest_nap_ns);
    }
  }
  return nullptr;
}

}  // namespace

void start_sysmon() {
  // It runs nobody's code, so that no signal of the program's is its business; faults arrive.
  sigset_t all;
  block_all_but_own(all);
  if (!create_thread(sysmon_main, nullptr, all)) {
    throw std::system_error(EAGAIN, std::generic_category(), "runnel: cannot start a thread");
  }
}

void wake_sysmon_slow() noexcept {
  if (!sched->sysmon_asleep.exchange(false, std::memory_order_seq_cst)) return;
  sched->sysmon_note.fetch_add(1, std::memory_order_seq_cst);
  futex_wake(sched->sysmon_note);
}

bool request_dump() noexcept {
  if (sched == nullptr) return false;
  dump_requested.store(true, std::memory_order_seq_cst);
  wake_sysmon_slow();
  return true;
}

// ---- what the timers ask of the scheduler

unsigned timer_shard_hint() noexcept {
  const machine* m = current_machine();
  return m != nullptr && m->p != nullptr ? m->p->index % max_timer_shards : 0;
}

void timer_earliest_changed(unsigned, std::int64_t when) noexcept {
  const machine* m = current_machine();
  // A machine with a processor looks at the timers itself before it sleeps (and sysmon looks should
  // it stall): no fence, no wakeup. Anyone else must see to it that the poller does not sleep past
  // it.
  if (m != nullptr && m->p != nullptr) return;
  if (sched == nullptr) ensure_started();
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (sched->poller.load(std::memory_order_seq_cst) == nullptr) {
    // Machines with a processor look before they sleep; if there is none, one must be made to.
    if (all_idle()) wake_processor();
    return;
  }
  if (when < sched->poller_until.load(std::memory_order_seq_cst)) poke_poller();
}

}  // namespace runnel::runtime

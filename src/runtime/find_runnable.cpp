// What a machine does when its goroutine has nothing more for it: the search order, and sleep.
//
//   own queue · global queue (every 61st pick first) · own timers · others' queues and timers,
//   spinning for a while · give the processor up · look once more · sleep (one machine in the
//   poller, the others on their futexes)
//
// Why no wakeup is lost. The machine publishes that its processor is idle (idle_ps), then that it
// no longer searches, then, after a full fence, looks at the global queue, the rings and the timers
// again. Whoever adds to the global queue publishes that, then after a full fence reads idle_ps and
// searching: it sees an idle processor and nobody searching, and wakes one; or somebody searching,
// who has yet to look again; or no idle processor, and then this machine has yet to publish and
// look.
//
// When not to help. Goroutines that hand each other values in less time than a cache line takes
// from core to core (half a microsecond here) are fastest together, and come together by
// themselves: whoever is made ready joins the queue of who did it. A thief then finds itself
// without work again at once, having paid a barrier for what has gone home. Each such bounce
// doubles the length from which on a processor's queue is helped with, and lets it wake others;
// each theft that was worth it halves it. After two bounces run_next is not taken either, if it is
// all that waits. When its goroutine runs on and on (sysmon looks), or 10 ms have passed, it is
// tried from the start. Goroutines that have nothing to do with each other stay with their thief
// and are never counted. Measured at two processors against Go 1.26:
// ChanProdCons0 1110
// -> 84 ns [703], Cond8 8150 -> 540 [1720], CreateGoroutinesCapture 3280 -> 260 [1220]. Rejected:
// judging by the length of the slices alone, which keeps independent short ones on one processor,
// too; and no help at all after three bounces in a row, which one spawner that never parks made
// good by every large theft (a million parked: 120000 thefts of 5 each, and a barrier interrupts
// the spawner each time). While run_next was taken all the same, two goroutines at a reader-writer
// lock were parted 4000 times a second, at two barriers each: RWMutexWorkWrite10 36 ns, now 21
// [23].
#include <algorithm>
#include <utility>

#include "runtime/deadlock.hpp"
#include "runtime/futex.hpp"
#include "runtime/lifecycle.hpp"
#include "runtime/netpoll.hpp"
#include "runtime/scheduler.hpp"
#include "runtime/timers.hpp"

namespace runnel::runtime {
namespace {

// How long a machine that found nothing looks on before it sleeps. Being woken costs its waker 4 us
// and the work 17 us, so giving up sooner than that is a bad bet; ten times that is a waste.
constexpr std::int64_t search_ns = 50'000;
// A theft that has paid for itself, by a wide margin. Where its barrier takes longer than that, as
// in some virtual machines, what it took counts, and for each processor that it interrupted: in the
// model (bench/sim) of a burst of 1 us goroutines with barriers of 15 us, eight processors take
// twice as long as one where only the thief's own time counts, and 0.4 times as long so.
constexpr std::int64_t bounce_ns = 20'000;
constexpr std::int64_t longest_bounce_ns = 200'000;
// run_next of a busy processor is its own for at least so long.
constexpr std::int64_t next_patience_ns = 20'000;

void stop_searching(machine* m) noexcept {
  m->searching = false;
  sched->searching.fetch_sub(1, std::memory_order_seq_cst);
}

/// m found work while searching: somebody else should look for more.
goroutine* found(machine* m, goroutine* g) noexcept {
  if (m->searching) {
    stop_searching(m);
    if (!m->p->looks_empty() || sched->global.size() != 0) {
      wake_processor();
    }
  }
  return g;
}

goroutine* tick(processor* p, goroutine* g) noexcept {
  if (g != nullptr) {
    p->tick.store(p->tick.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    p->picked.add();
  }
  return g;
}

bool run_due_timers(unsigned shard, std::int64_t& now) noexcept {
  const std::int64_t next = next_deadline(shard);
  if (next == no_deadline) return false;
  now = now_ns();
  if (next > now) return false;
  coarse_now.store(now, std::memory_order_relaxed);
  run_expired_timers(shard, now);
  return true;
}

goroutine* look_at_home(machine* m) noexcept {
  processor* p = m->p;
  const unsigned shard = p->index % max_timer_shards;
  std::int64_t now = 0;
  if (p->until_global <= 1 || p->attention.load(std::memory_order_relaxed)) {
    p->until_global = processor::global_interval;
    p->yields_until_global = p->yields.read() + processor::global_interval;
    p->attention.store(sched->chaos, std::memory_order_relaxed);
    run_due_timers(shard, now);
    if (!sched->chaos || (m->next_random() & 1) != 0) {
      if (sched->global.size() != 0) {
        if (goroutine* g = p->exchange(m, sched->global)) return tick(p, g);
      }
    }
  }
  --p->until_global;
  if (goroutine* g = p->pick(m)) return tick(p, g);
  if (goroutine* g = sched->global_pick(m, p, global_queue::wish::newest_first)) {
    return tick(p, g);
  }
  if (run_due_timers(shard, now)) {
    if (goroutine* g = p->pick(m)) return tick(p, g);
  }
  return nullptr;
}

/// Processors that are not idle, but for the caller's.
int others_at_work() noexcept {
  return static_cast<int>(sched->procs.load(std::memory_order_relaxed)) -
         static_cast<int>(sched->idle_ps.load(std::memory_order_relaxed)) - 1;
}

goroutine* steal_from(machine* m, processor* victim, bool take_next, std::int64_t now) noexcept {
  const bool allowed =
      victim->ring_count() != 0 ? victim->wants_help() : take_next && victim->parts_with_next();
  if (!allowed && !sched->chaos) return nullptr;
  goroutine* taken[processor::ring_size / 2 + 1];
  const std::uint32_t n = victim->steal(taken, take_next);
  if (n == 0) return nullptr;
  m->p->steals.add();
  m->p->stolen.add(n);
  m->robbed = victim;
  m->robbed_at = now_ns();
  m->theft_cost = (m->robbed_at - now) * std::max(others_at_work(), 1);
  for (std::uint32_t i = 1; i < n; ++i) {
    if (m->p->push(m, taken[i], false) == processor::pushed::refused) sched->global.push(taken[i]);
  }
  return taken[0];
}

/// One round over everybody else, from a random start.
goroutine* look_at_others(machine* m, bool take_next, std::int64_t now) noexcept {
  const unsigned procs = sched->procs.load(std::memory_order_relaxed);
  unsigned at = procs > 1 ? m->next_random() % procs : 0;
  for (unsigned i = 0; i < procs; ++i, at = at + 1 == procs ? 0 : at + 1) {
    processor* victim = sched->all[at].load(std::memory_order_acquire);
    if (victim == nullptr || victim == m->p) continue;
    if (goroutine* g = steal_from(m, victim, take_next, now)) return g;
  }
  const unsigned shards = timer_shards();
  for (unsigned s = 0; s < shards; ++s) {
    if (next_deadline(s) > now) continue;
    run_expired_timers(s, now);
    if (goroutine* g = m->p->pick(m)) return g;
  }
  return sched->global_pick(m, m->p, global_queue::wish::oldest_first);
}

/// m is out of work: was what it stole last worth it? See the head of the file. Asked whether it
/// goes on to search or not: who does not, as another one searches, would be asked after his next
/// sleep, which is no work. (In that model three thieves took one goroutine at a time and made four
/// processors ten times slower than one.)
void judge_last_theft(machine* m) noexcept {
  processor* p = std::exchange(m->robbed, nullptr);
  if (p == nullptr || sched->cpus == 1) return;
  const std::uint32_t from = p->help_from.load(std::memory_order_relaxed);
  const std::int64_t worth = std::clamp(2 * m->theft_cost, bounce_ns, longest_bounce_ns);
  const bool bounced = now_ns() - m->robbed_at < worth;
  const std::uint32_t next =
      bounced ? std::min(from * 2, processor::crowd) : std::max(from / 2, 1U);
  if (next != from) p->help_from.store(next, std::memory_order_relaxed);
}

/// Sum of the ticks of all other processors: what stands still is not running short goroutines.
std::uint32_t others_ticks(machine* m) noexcept {
  std::uint32_t sum = 0;
  const unsigned procs = sched->procs.load(std::memory_order_relaxed);
  for (unsigned i = 0; i < procs; ++i) {
    processor* p = sched->all[i].load(std::memory_order_acquire);
    if (p != nullptr && p != m->p) sum += p->ticks();
  }
  return sum;
}

goroutine* search(machine* m) noexcept {
  if (sched->cpus == 1) return look_at_others(m, true, now_ns());
  std::int64_t now = now_ns();
  coarse_now.store(now, std::memory_order_relaxed);
  std::int64_t ticks_since = now;
  std::uint32_t ticks = others_ticks(m);
  const std::int64_t until = now + search_ns;
  do {
    const std::uint32_t t = others_ticks(m);
    if (t != ticks) {
      ticks = t;
      ticks_since = now;
    }
    if (goroutine* g = look_at_others(m, now - ticks_since > next_patience_ns, now)) return g;
    if (goroutine* g = m->p->pick(m)) return g;  // came over, see join.cpp
    if (sched->stopping.load(std::memory_order_relaxed)) return nullptr;
    for (int i = 0; i < 16 && sched->global.size() == 0; ++i) cpu_relax();
    now = now_ns();
  } while (now < until);
  return nullptr;
}

bool work_elsewhere() noexcept {
  if (sched->global.size(std::memory_order_seq_cst) != 0) return true;
  const unsigned procs = sched->procs.load(std::memory_order_relaxed);
  for (unsigned i = 0; i < procs; ++i) {
    processor* p = sched->all[i].load(std::memory_order_acquire);
    if (p != nullptr && p->wants_help()) return true;
  }
  return false;
}

/// Gives m's processor up and sleeps; on return m may have another. See the head of the file.
void go_idle(machine* m) noexcept {
  sched->lock.lock();
  processor* const given_up = release_processor(m);
  put_idle_processor_locked(given_up);
  sched->lock.unlock();
  // Somebody came over to it since the last look (join.cpp), and nobody is there to run him.
  if (!given_up->looks_empty()) given_up->help_from.store(1, std::memory_order_relaxed);
  const bool searched = m->searching;
  if (searched) stop_searching(m);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (work_elsewhere()) {
    if (processor* p = take_idle_processor()) {
      acquire_processor(m, p);
      m->searching = true;
      sched->searching.fetch_add(1, std::memory_order_seq_cst);
      return;
    }
  }
  stop_machine(m);
}

}  // namespace

goroutine* find_runnable(machine* m) noexcept {
  for (;;) {
    pause_if_stopping();
    if (m->pending != nullptr) {
      goroutine* g = m->pending;
      m->pending = nullptr;
      return g;
    }
    if (m->p == nullptr) {
      stop_machine(m);
      continue;
    }
    if (m->p->attention.load(std::memory_order_acquire) && m->p->detached) {
      retire_processor(m);
      if (processor* p = take_idle_processor()) acquire_processor(m, p);
      continue;
    }
    if (goroutine* g = look_at_home(m)) return found(m, g);
    judge_last_theft(m);
    const unsigned procs = sched->procs.load(std::memory_order_relaxed);
    const unsigned idle = sched->idle_ps.load(std::memory_order_relaxed);
    if (!m->searching && 2 * sched->searching.load(std::memory_order_relaxed) <
                             static_cast<int>(procs - (idle < procs ? idle : procs))) {
      m->searching = true;
      sched->searching.fetch_add(1, std::memory_order_seq_cst);
    }
    if (m->searching) {
      if (goroutine* g = search(m)) return found(m, tick(m->p, g));
    }
    go_idle(m);
  }
}

}  // namespace runnel::runtime

// How machines without a processor sleep: one in the poller, with the next timer's deadline as its
// time-out, all others on a futex. An idle runtime makes no system call at all.
//
// Invariant: whoever takes a machine out of idle_m or out of `poller` does so under the scheduler's
// lock, has given it `handed` by then, and counts it out of `asleep`, or does so for itself. Nobody
// counts as asleep and as paused by exit() at once: exit() goes on when the two make up all. (When
// the poller did, woken by a timer, static destructors ran while one machine was still at work: one
// exit of 15000 with sixteen at once on two CPUs.) There is no new poller before
// the last one has left the wait (`polling`): an interrupt wakes one waiter, and must not be taken
// from the machine it was meant for.
#include "runtime/deadlock.hpp"
#include "runtime/futex.hpp"
#include "runtime/lifecycle.hpp"
#include "runtime/netpoll.hpp"
#include "runtime/scheduler.hpp"
#include "runtime/timers.hpp"

namespace runnel::runtime {
namespace {

void wait_for_note(machine* m) noexcept {
  while (m->note.load(std::memory_order_acquire) == 0) futex_wait(m->note, 0);
  m->note.store(0, std::memory_order_relaxed);
  pause_if_stopping();  // not before: until it has been handed the note it counts as asleep
}

void take_handed(machine* m) noexcept {
  processor* p = m->handed;
  m->handed = nullptr;
  // Sysmon, which keeps the time, may have slept as long and may not be awake yet.
  coarse_now.store(now_ns(), std::memory_order_relaxed);
  if (p != nullptr) acquire_processor(m, p);  // null: it is to be the poller
}

void run_all_due(std::int64_t now) noexcept {
  const unsigned shards = timer_shards();
  for (unsigned s = 0; s < shards; ++s) {
    if (next_deadline(s) <= now) run_expired_timers(s, now);
  }
}

/// Publishes until when the poller sleeps, such that an earlier timer armed meanwhile is seen by
/// one side (Dekker with timer_earliest_changed).
std::int64_t publish_deadline() noexcept {
  for (;;) {
    const std::int64_t deadline = next_deadline();
    sched->poller_until.store(deadline, std::memory_order_seq_cst);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (next_deadline() >= deadline) return deadline;
  }
}

/// m is the poller. Returns when it has been handed a processor, or has left the poller's place
/// because something is due, with an idle processor if there was one, or because of exit(). While
/// it is counted as asleep it does nothing for others.
void poll(machine* m) noexcept {
  deadlock_watch watch;
  for (;;) {
    const std::int64_t deadline = publish_deadline();
    const std::int64_t check = watch.next_check(deadline);
    netpoll_wait(deadline < check ? deadline : check);
    const std::int64_t now = now_ns();
    const bool late = next_deadline() <= now;
    sched->lock.lock();
    if (sched->poller.load(std::memory_order_relaxed) != m) {
      sched->polling = false;
      sched->lock.unlock();
      take_handed(m);
      return;
    }
    const bool stopping = sched->stopping.load(std::memory_order_relaxed);
    const bool due = late && !stopping;
    if (!due && !stopping) {
      sched->lock.unlock();
      watch.woke(now);
      continue;
    }
    processor* p = due ? take_idle_processor_locked() : nullptr;
    sched->poller.store(nullptr, std::memory_order_relaxed);
    sched->polling = false;
    --sched->asleep;
    sched->lock.unlock();
    if (!due) return;
    if (p != nullptr) {
      wake_sysmon();
      acquire_processor(m, p);
    }
    coarse_now.store(now, std::memory_order_relaxed);
    run_all_due(now);
    // Every processor is busy: what became ready is in the global queue, and they are told.
    if (p == nullptr) set_attention();
    return;
  }
}

}  // namespace

void stop_machine(machine* m) noexcept {
  if (m->searching) {
    m->searching = false;
    sched->searching.fetch_sub(1, std::memory_order_seq_cst);
  }
  sched->lock.lock();
  ++sched->asleep;
  if (!sched->polling) {
    sched->polling = true;
    sched->poller_until.store(INT64_MIN, std::memory_order_relaxed);
    sched->poller.store(m, std::memory_order_seq_cst);
    sched->lock.unlock();
    poll(m);
    return;
  }
  m->next_idle = sched->idle_m;
  sched->idle_m = m;
  const bool last = sched->asleep == sched->machines;
  sched->lock.unlock();
  // The poller may sleep past a timer armed on the processor just given up, or may now be the only
  // one left to notice a deadlock.
  if (next_deadline() < sched->poller_until.load(std::memory_order_seq_cst)) {
    poke_poller();
  } else if (last) {
    thread_fell_asleep();
  }
  wait_for_note(m);
  take_handed(m);
}

void stop_locked_machine(machine* m) noexcept {
  if (m->p != nullptr) hand_off(release_processor(m));
  sched->lock.lock();
  if (m->handed_g == nullptr) {
    m->waits_locked = true;
    ++sched->asleep;
    const bool last = sched->asleep == sched->machines;
    const bool polled = sched->poller.load(std::memory_order_relaxed) != nullptr;
    sched->lock.unlock();
    if (!polled) ensure_poller();
    if (last) thread_fell_asleep();
  } else {
    sched->lock.unlock();
  }
  wait_for_note(m);
  take_handed(m);
}

}  // namespace runnel::runtime

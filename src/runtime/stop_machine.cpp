// How machines without a processor sleep: one in the poller, with the next timer's deadline as its
// time-out, all others on a futex. An idle runtime makes no system call at all.
//
// Invariant: whoever takes a machine out of idle_m or out of `poller` does so under the scheduler's
// lock, has given it `handed` by then, and counts it out of `asleep`, or does so for itself. There
// is no new poller before the last one has left the wait (`polling`): an interrupt wakes one
// waiter, and must not be taken from the machine it was meant for.
//
// Nobody counts as asleep and as paused by exit() at once: exit() goes on when the two make up all.
// (When the poller did, woken by a timer, static destructors ran while one machine was still at
// work.)
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

/// With the lock held: m leaves the poller's place. `polling` stays: m goes on or clears it.
void leave_poller_locked() noexcept {
  sched->poller.store(nullptr, std::memory_order_relaxed);
  --sched->asleep;
}

void become_poller_locked(machine* m) noexcept {
  ++sched->asleep;
  sched->polling = true;
  sched->poller_until.store(INT64_MIN, std::memory_order_relaxed);
  sched->poller.store(m, std::memory_order_seq_cst);
}

/// m, the poller, fires what is due though every processor is busy: what becomes ready goes to the
/// global queue, and they are told. False: exit() has begun, m is not the poller any more.
bool fire_for_others(machine* m, std::int64_t now) noexcept {
  coarse_now.store(now, std::memory_order_relaxed);
  run_all_due(now);
  set_attention();
  sched->lock.lock();
  const bool stopping = sched->stopping.load(std::memory_order_relaxed);
  if (stopping) {
    sched->polling = false;
  } else {
    become_poller_locked(m);
  }
  sched->lock.unlock();
  return !stopping;
}

/// m is the poller. Returns when it has been handed a processor, has taken an idle one because
/// something is due, or has left its place because of exit(). While it is counted as asleep it does
/// nothing for others.
void poll(machine* m) noexcept {
  deadlock_watch watch;
  for (;;) {
    const std::int64_t deadline = publish_deadline();
    const std::int64_t check = watch.next_check(deadline);
    netpoll_wait(deadline < check ? deadline : check);
    const std::int64_t now = now_ns();
    const bool due = next_deadline() <= now;
    sched->lock.lock();
    if (sched->poller.load(std::memory_order_relaxed) != m) {
      sched->polling = false;
      sched->lock.unlock();
      take_handed(m);
      return;
    }
    const bool stopping = sched->stopping.load(std::memory_order_relaxed);
    if (!due && !stopping) {
      sched->lock.unlock();
      watch.woke(now);
      continue;
    }
    leave_poller_locked();
    processor* p = stopping ? nullptr : take_idle_processor_locked();
    if (p != nullptr || stopping) sched->polling = false;
    sched->lock.unlock();
    if (stopping) return;
    if (p != nullptr) {
      wake_sysmon();
      acquire_processor(m, p);
      coarse_now.store(now, std::memory_order_relaxed);
      run_all_due(now);
      return;
    }
    if (!fire_for_others(m, now)) return;
  }
}

}  // namespace

void stop_machine(machine* m) noexcept {
  if (m->searching) {
    m->searching = false;
    sched->searching.fetch_sub(1, std::memory_order_seq_cst);
  }
  sched->lock.lock();
  if (!sched->polling) {
    become_poller_locked(m);
    sched->lock.unlock();
    poll(m);
    return;
  }
  ++sched->asleep;
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
  pause_if_stopping();
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
  pause_if_stopping();
}

}  // namespace runnel::runtime

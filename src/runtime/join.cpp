// Bringing together those who fight for a channel's lock.
//
// Threads that use one buffered channel at the same time wait for each other more than they work:
// an operation takes 2 ns where the lock is biased, 9 where it is not, and whoever has to wait
// looks ever more rarely, as each look takes the cache line away. Nobody parks there, so nothing
// brings their goroutines together as a mutex or an unbuffered channel does (see
// find_runnable.cpp).
//
// When to go. Each thread measures windows of some waits of its own. Two threads that wait for half
// of the time do as much as one, and since an operation is cheaper on one thread, 2/5 are enough.
// With work between the operations the waits are short and rare, and each keeps to itself. Two
// goroutines on an Ice Lake Xeon, 0 / 60 / 90 / 120 / 300 ns of work beside each operation: 4.8 /
// 94 / 188 / 237 / 351 ns for each, where they stayed apart 26 / 158 / 199 / 215 / 354. (Rejected:
// one half of a window, 160 at 60 ns and no better at 120; the clock instead of the CPU's counter,
// whose two calls for each wait took 15 % at 120 ns.)
//
// Where to. To whoever took the lock last. Who went last at that lock waits for longer until he
// goes again, lest two change places; and since who stayed has run meanwhile, they take turns.
//
// For how long. The processor left behind would take the goroutine back at once, as a theft that
// bounces; so coming together raises help_from, by the one that has come: whoever else waits there
// is shared out as before. When the one who stayed runs on and on without a pick, sysmon lowers it
// after two milliseconds; then the other one is taken to the idle processor, and if they still
// fight there, this time the first one goes.
//
// No goroutine is lost: it is put into the queue of a processor in use, inside its lock, and
// whoever gives a processor up looks at its queue afterwards (take_in, go_idle, hand_off).
#include "runtime/join.hpp"

#include <algorithm>

#include "runtime/scheduler.hpp"

namespace runnel::runtime {
namespace {

constexpr std::uint32_t window_waits = 8;

processor* held_by(const detail::thread* other) noexcept {
  const unsigned procs = sched->procs.load(std::memory_order_relaxed);
  for (unsigned i = 0; i < procs; ++i) {
    processor* p = sched->all[i].load(std::memory_order_acquire);
    if (p != nullptr && p->m.load(std::memory_order_relaxed) == other) return p;
  }
  return nullptr;
}

}  // namespace

std::uint32_t note_lock_wait(detail::lock_crowd& c, std::uint64_t begun,
                             std::uint64_t now) noexcept {
  if (c.waits == 0) c.since = begun;
  c.waited += now - begun;
  if (++c.waits < window_waits) return 0;
  c.crowded = 5 * c.waited >= 2 * (now - c.since) ? c.crowded + 1 : 0;
  c.waits = 0;
  c.waited = 0;
  return c.crowded;
}

void join_processor_of(const detail::thread* other) noexcept {
  machine* m = current_machine();
  goroutine* g = m->g;
  if (g == nullptr || m->p == nullptr || g->locked_to != nullptr || sched->cpus == 1 ||
      sched->stopping.load(std::memory_order_relaxed)) {
    return;
  }
  processor* p = held_by(other);
  if (p == nullptr || p == m->p) return;
  if (!p->take_in(g, static_cast<const machine*>(other))) return;
  const std::uint32_t from = p->help_from.load(std::memory_order_relaxed);
  p->help_from.store(std::min(from + 1, processor::crowd), std::memory_order_relaxed);
  m->robbed = nullptr;  // judged by this
  switch_away(m, g);
}

}  // namespace runnel::runtime

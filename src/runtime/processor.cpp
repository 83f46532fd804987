#include "runtime/processor.hpp"

#include <algorithm>

#include "arch/switch.hpp"
#include "runtime/fence.hpp"
#include "runtime/scheduler.hpp"

namespace runnel::runtime {

namespace {

/// It waits to run for the first time. A guess about one that is on its way off another machine.
bool never_ran(const goroutine& g) noexcept {
  return __atomic_load_n(&g.context.pc, __ATOMIC_RELAXED) ==
         reinterpret_cast<std::uintptr_t>(&runnel_goroutine_entry);
}

}  // namespace

void processor::put_ring(goroutine* g) noexcept {
  const std::uint32_t h = head.load(std::memory_order_relaxed);
  std::uint32_t t = tail.load(std::memory_order_relaxed);
  if (t - h == ring_size) {
    // Full: half of it and g go to the global queue, in order.
    global_queue::access global(sched->global);
    const auto move = [&](goroutine* one) {
      never_ran(*one) ? global.spill(one) : global.put(one);
    };
    for (std::uint32_t i = 0; i < ring_size / 2; ++i) move(ring[(h + i) % ring_size]);
    move(g);
    head.store(h + ring_size / 2, std::memory_order_relaxed);
    return;
  }
  ring[t % ring_size] = g;
  tail.store(t + 1, std::memory_order_relaxed);
}

processor::pushed processor::push_locked(goroutine* g, bool as_next) noexcept {
  if (__builtin_expect(detached, 0)) return pushed::refused;
  if (as_next) {
    goroutine* old = run_next.load(std::memory_order_relaxed);
    run_next.store(g, std::memory_order_relaxed);
    g = old;
  }
  if (g != nullptr) put_ring(g);
  return ring_count() != 0 ? pushed::queued : pushed::as_next;
}

goroutine* processor::refill(machine* me, global_queue& from, unsigned procs,
                             global_queue::wish w) noexcept {
  lock.lock(queue_lock_slot);
  const std::uint32_t room = detached ? 0 : ring_size - ring_count();
  std::array<goroutine*, ring_size / 2> taken;
  std::uint32_t n = 0;
  {
    global_queue::access global(from);
    const std::uint32_t share = std::min({from.size() / procs + 1, ring_size / 2, room + 1});
    n = global.take_share(taken.data(), share, w);
  }
  std::uint32_t t = tail.load(std::memory_order_relaxed);
  for (std::uint32_t i = 1; i < n; ++i) ring[t++ % ring_size] = taken[i];
  tail.store(t, std::memory_order_relaxed);
  lock.unlock(me, queue_lock_slot);
  return n != 0 ? taken[0] : nullptr;
}

goroutine* processor::exchange(machine* me, global_queue& with) noexcept {
  const std::uint64_t now = yields.read();
  const std::uint64_t yielded = now - yields_exchanged;
  yields_exchanged = now;
  lock.lock(queue_lock_slot);
  const std::uint32_t n =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(yielded, ring_count()));
  std::array<goroutine*, ring_size / 4> overdue;
  const std::uint32_t room = detached ? 0 : ring_size - ring_count();
  std::uint32_t t = tail.load(std::memory_order_relaxed) - n;
  goroutine* first = nullptr;
  const auto add = [&](goroutine* g) {
    if (first == nullptr) {
      first = g;
    } else {
      ring[t++ % ring_size] = g;
    }
  };
  {
    global_queue::access global(with);
    for (std::uint32_t i = 0; i < n; ++i) global.put(ring[(t + i) % ring_size]);
    const std::uint32_t due = global.take_overdue(overdue.data(), std::min(room, ring_size / 4));
    for (std::uint32_t i = 0; i < due; ++i) add(overdue[i]);
    for (std::uint32_t i = 0; i <= n; ++i) {
      goroutine* g = global.take();
      if (g == nullptr) break;
      add(g);
    }
  }
  tail.store(t, std::memory_order_relaxed);
  lock.unlock(me, queue_lock_slot);
  return first;
}

void processor::end_visit() noexcept {
  const bool biased = !detached && heavy_fence_enabled();
  lock.unlock_visit(biased ? m.load(std::memory_order_relaxed) : nullptr);
}

std::uint32_t processor::steal(goroutine** out, bool take_next) noexcept {
  if (ring_count() == 0 && !(take_next && run_next.load(std::memory_order_relaxed) != nullptr)) {
    return 0;
  }
  if (!lock.try_lock_visit()) return 0;
  const std::uint32_t h = head.load(std::memory_order_relaxed);
  const std::uint32_t count = tail.load(std::memory_order_relaxed) - h;
  const std::uint32_t n = count - count / 2;
  for (std::uint32_t i = 0; i < n; ++i) out[i] = ring[(h + i) % ring_size];
  head.store(h + n, std::memory_order_relaxed);
  std::uint32_t taken = n;
  goroutine* next = run_next.load(std::memory_order_relaxed);
  if (n == 0 && take_next && next != nullptr) {
    out[taken++] = next;
    run_next.store(nullptr, std::memory_order_relaxed);
  }
  end_visit();
  return taken;
}

bool processor::take_in(goroutine* g, const machine* holder) noexcept {
  if (!lock.try_lock_visit()) return false;
  // release_processor writes m before it takes the lock: who is seen here has yet to take it.
  const bool room =
      !detached && m.load(std::memory_order_relaxed) == holder && ring_count() < ring_size / 2;
  if (room) put_ring(g);
  end_visit();
  return room;
}

std::uint32_t processor::drain(goroutine*& first, goroutine*& last, bool detach) noexcept {
  backoff b;
  while (!lock.try_lock_visit()) b.wait();
  std::uint32_t n = 0;
  first = last = nullptr;
  const auto append = [&](goroutine* g) {
    g->next = nullptr;
    (first == nullptr ? first : last->next) = g;
    last = g;
    ++n;
  };
  if (goroutine* next = run_next.load(std::memory_order_relaxed)) append(next);
  run_next.store(nullptr, std::memory_order_relaxed);
  const std::uint32_t t = tail.load(std::memory_order_relaxed);
  for (std::uint32_t h = head.load(std::memory_order_relaxed); h != t; ++h)
    append(ring[h % ring_size]);
  head.store(t, std::memory_order_relaxed);
  if (detach) detached = true;
  end_visit();
  return n;
}

}  // namespace runnel::runtime

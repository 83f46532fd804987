#include "runtime/processor.hpp"

#include <algorithm>

#include "runtime/scheduler.hpp"

namespace runnel::runtime {

void processor::put_ring(goroutine* g) noexcept {
  const std::uint32_t h = head.load(std::memory_order_relaxed);
  std::uint32_t t = tail.load(std::memory_order_relaxed);
  if (t - h == ring_size) {
    // Full: half of it and g go to the global queue, in order.
    global_queue::access global(sched->global);
    for (std::uint32_t i = 0; i < ring_size / 2; ++i) global.put(ring[(h + i) % ring_size]);
    global.put(g);
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

goroutine* processor::refill(machine* me, global_queue& from, unsigned procs) noexcept {
  lock.lock(queue_lock_slot);
  const std::uint32_t room = detached ? 0 : ring_size - ring_count();
  goroutine* g = nullptr;
  {
    global_queue::access global(from);
    const std::uint32_t share =
        std::min({from.size() / procs + 1, static_cast<std::uint32_t>(ring_size / 2), room + 1});
    g = global.take();
    std::uint32_t t = tail.load(std::memory_order_relaxed);
    for (std::uint32_t i = 1; i < share && g != nullptr; ++i) {
      goroutine* next = global.take();
      if (next == nullptr) break;
      ring[t++ % ring_size] = next;
    }
    tail.store(t, std::memory_order_relaxed);
  }
  lock.unlock(me, queue_lock_slot);
  return g;
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
  lock.unlock_visit(detached ? nullptr
                             : static_cast<detail::thread*>(m.load(std::memory_order_relaxed)));
  return taken;
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
  lock.unlock_visit(detached ? nullptr
                             : static_cast<detail::thread*>(m.load(std::memory_order_relaxed)));
  return n;
}

}  // namespace runnel::runtime

// The steps that channel operations and select are both made of: what happens to elements and
// waiters inside the lock (begin) and after it (finish). See the head of chan_core.cpp.
#pragma once

#include <cstring>
#include <runnel/detail/cache_line.hpp>
#include <runnel/detail/chan_core.hpp>

#include "chan/race_tokens.hpp"

namespace runnel::detail {

RUNNEL_INLINE void copy_bytes(void* to, const void* from, std::size_t size) noexcept {
  switch (size) {  // the usual sizes without a call
    case 0:
      return;
    case 4:
      std::memcpy(to, from, 4);
      return;
    case 8:
      std::memcpy(to, from, 8);
      return;
    case 16:
      std::memcpy(to, from, 16);
      return;
    default:
      std::memcpy(to, from, size);
  }
}

RUNNEL_INLINE void move_element(const element_ops& ops, void* to, void* from) noexcept {
  if (ops.move != nullptr) {
    ops.move(to, from);
  } else {
    copy_bytes(to, from, ops.size);
  }
}

RUNNEL_INLINE void relocate_element(const element_ops& ops, void* to, void* from) noexcept {
  if (ops.relocate != nullptr) {
    ops.relocate(to, from);
  } else {
    copy_bytes(to, from, ops.size);
  }
}

RUNNEL_INLINE bool build_element(const element_ops& ops, void* to, void* value,
                                 make_element make) noexcept {
  if (__builtin_expect(make != nullptr, 0)) return make(to, value);
  move_element(ops, to, value);
  return true;
}

RUNNEL_INLINE void finish_peer(chan_waiter& w, bool made) noexcept {
  w.ok = made;
  if (!made) w.slot = nullptr;
}

/// Whoever is about to be made ready has not run for a while, and will go on two cache lines below
/// its waiter, where park's frame is, and return through the one above. The waiter's own is missed
/// first, so that these arrive with it. (ThreadRing503, one processor, with the line that `ready`
/// asks for: 78 -> 71 ns, medians of 15; more lines brought no more.)
RUNNEL_INLINE void prefetch_around(const waiter* w) noexcept {
  const auto here = reinterpret_cast<std::uintptr_t>(w);
  __builtin_prefetch(reinterpret_cast<const void*>(here - 2 * cache_line));
  __builtin_prefetch(reinterpret_cast<const void*>(here + cache_line));
}

/// Every waiter of a channel's queues is one.
RUNNEL_INLINE chan_waiter* pop(wait_queue& queue) noexcept {
  if (queue.empty()) return nullptr;
  prefetch_around(queue.front());
  return static_cast<chan_waiter*>(queue.pop());
}

inline std::size_t ring_offset(const element_ops& ops) noexcept {
  return (sizeof(chan_core) + ops.align - 1) & ~(ops.align - 1);
}

inline void ready_all(waiter* chain) noexcept {
  while (chain != nullptr) {
    waiter* next = chain->next;
    ready(chain->who);  // *chain is gone now
    chain = next;
  }
}

RUNNEL_INLINE void* chan_core::slot(std::size_t index) noexcept {
  return reinterpret_cast<std::byte*>(this) + ring_offset(*ops_) + index * ops_->size;
}

RUNNEL_INLINE chan_outcome chan_core::begin_send(send_source source, handoff& h) noexcept {
  if (phase_.load(std::memory_order_relaxed) == phase::closed) return chan_outcome::closed;
  if (chan_waiter* w = pop(receivers_)) {
    h.peer = w;
#if RUNNEL_RACE
    tokens_sent(race_ledger_, h);
    tokens_received(race_ledger_, *w);
    tokens_room(race_ledger_, h);
#endif
    return chan_outcome::done;
  }
  const std::size_t count = count_.load(std::memory_order_relaxed);
  if (count == capacity_) return chan_outcome::would_block;
  if (!build_element(*ops_, slot(put_), source.value, source.make)) return chan_outcome::failed;
#if RUNNEL_RACE
  tokens_sent(race_ledger_, h);
  tokens_room(race_ledger_, h);
#endif
  count_put(put_, count);
  return chan_outcome::done;
}

RUNNEL_INLINE bool chan_core::finish_send(send_source source, handoff& h) noexcept {
  bool made = true;
  if (chan_waiter* w = h.peer) {
    made = build_element(*ops_, w->slot, source.value, source.make);
    finish_peer(*w, made);
    ready(w->who);
  }
  tokens_end(h);
  return made;
}

RUNNEL_INLINE chan_outcome chan_core::begin_recv(void* to, handoff& h) noexcept {
  const std::size_t count = count_.load(std::memory_order_relaxed);
  if (count != 0) {
    const std::size_t index = take_;
    relocate_element(*ops_, to, slot(index));
#if RUNNEL_RACE
    tokens_received(race_ledger_, h);
#endif
    count_taken(index, count);
    if (__builtin_expect(!senders_.empty(), 0)) refill(index, h);
    return chan_outcome::done;
  }
  if (phase_.load(std::memory_order_relaxed) != phase::open) return begin_recv_unopen(to);
  if (chan_waiter* w = pop(senders_)) {  // only at capacity 0
    h.peer = w;
#if RUNNEL_RACE
    tokens_sent(race_ledger_, *w);
    tokens_received(race_ledger_, h);
    tokens_room(race_ledger_, *w);
#endif
    return chan_outcome::done;
  }
  return chan_outcome::would_block;
}

RUNNEL_INLINE bool chan_core::finish_recv(void* to, handoff& h) noexcept {
  bool made = true;
  if (chan_waiter* w = h.peer) {
    made = build_element(*ops_, to, w->slot, w->make);
    finish_peer(*w, made);
    ready(w->who);
  } else if (h.served != nullptr) {
    ready_all(h.served);
  }
  tokens_end(h);
  race_received();
  return made;
}

}  // namespace runnel::detail

#include "runtime/global_queue.hpp"

#include <sys/mman.h>

#include "runtime/scheduler.hpp"

namespace runnel::runtime {

/// Appends an empty batch. False: no memory.
bool global_queue::add_batch(list& l) noexcept {
  if (spare_ == nullptr) {
    void* slab =
        mmap(nullptr, slab_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (slab == MAP_FAILED) return false;
    auto* batches = static_cast<batch*>(slab);
    for (std::size_t i = 0; i < slab_size / sizeof(batch); ++i) {
      batches[i].next = spare_;
      spare_ = &batches[i];
    }
  }
  batch* b = spare_;
  spare_ = b->next;
  b->next = nullptr;
  b->previous = l.last;
  b->since = coarse_now.load(std::memory_order_relaxed);
  b->begin = b->end = 0;
  (l.first == nullptr ? l.first : l.last->next) = b;
  l.last = b;
  return true;
}

void global_queue::remove_batch(list& l, batch* b) noexcept {
  (b->previous == nullptr ? l.first : b->previous->next) = b->next;
  (b->next == nullptr ? l.last : b->next->previous) = b->previous;
  b->next = spare_;
  spare_ = b;
}

void global_queue::put(list& l, goroutine* g) noexcept {
  if ((l.last == nullptr || l.last->end == l.last->g.size()) && !add_batch(l)) {
    g->next = nullptr;
    (linked_first_ == nullptr ? linked_first_ : linked_last_->next) = g;
    linked_last_ = g;
  } else {
    l.last->g[l.last->end++] = g;
  }
  size_.store(size_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

goroutine* global_queue::take_first(list& l) noexcept {
  batch* b = l.first;
  if (b == nullptr) return nullptr;
  goroutine* g = b->g[b->begin++];
  if (b->begin == b->end) remove_batch(l, b);
  return g;
}

goroutine* global_queue::take_last(list& l) noexcept {
  batch* b = l.last;
  if (b == nullptr) return nullptr;
  goroutine* g = b->g[--b->end];
  if (b->begin == b->end) remove_batch(l, b);
  return g;
}

/// The list to take from now; null: both are empty.
global_queue::list* global_queue::list_in_turn() noexcept {
  if (queued_.first == nullptr) return spilled_.first != nullptr ? &spilled_ : nullptr;
  if (spilled_.first == nullptr) return &queued_;
  spilled_had_turn_ = !spilled_had_turn_;
  return spilled_had_turn_ ? &spilled_ : &queued_;
}

/// Whether the oldest of the spilled have waited for so long that it is their turn; if so, it will
/// not be for a while.
bool global_queue::oldest_spilled_first() noexcept {
  if (spilled_.first == nullptr) return false;
  const std::int64_t now = coarse_now.load(std::memory_order_relaxed);
  if (now - spilled_.first->since < patience_ns || now - oldest_had_turn_ < patience_ns) {
    return false;
  }
  oldest_had_turn_ = now;
  return true;
}

std::uint32_t global_queue::take_from(list& l, bool oldest, goroutine** out,
                                      std::uint32_t n) noexcept {
  std::uint32_t taken = 0;
  while (taken < n && l.first != nullptr) out[taken++] = oldest ? take_first(l) : take_last(l);
  size_.store(size_.load(std::memory_order_relaxed) - taken, std::memory_order_relaxed);
  return taken;
}

goroutine* global_queue::take() noexcept {
  goroutine* g = nullptr;
  if (list* l = list_in_turn()) {
    take_from(*l, l == &queued_, &g, 1);
  } else if ((g = linked_first_) != nullptr) {
    linked_first_ = g->next;
    size_.store(size_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
  }
  return g;
}

std::uint32_t global_queue::take_share(goroutine** out, std::uint32_t n, wish w) noexcept {
  list* const l = list_in_turn();
  if (l == nullptr) {
    *out = take();
    return *out != nullptr ? 1 : 0;
  }
  return take_from(*l, l == &queued_ || w == wish::oldest_first || oldest_spilled_first(), out, n);
}

void global_queue::push_chain(goroutine* first) noexcept {
  access all(*this);
  while (first != nullptr) {
    goroutine* g = first;
    first = g->next;
    all.put(g);
  }
}

}  // namespace runnel::runtime

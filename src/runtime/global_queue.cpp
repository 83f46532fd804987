#include "runtime/global_queue.hpp"

#include <sys/mman.h>

namespace runnel::runtime {

/// Appends an empty batch. False: no memory.
bool global_queue::add_batch() noexcept {
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
  b->begin = b->end = 0;
  (first_ == nullptr ? first_ : last_->next) = b;
  last_ = b;
  return true;
}

void global_queue::put(goroutine* g) noexcept {
  if ((first_ == nullptr || last_->end == last_->g.size()) && !add_batch()) {
    g->next = nullptr;
    (linked_first_ == nullptr ? linked_first_ : linked_last_->next) = g;
    linked_last_ = g;
  } else {
    last_->g[last_->end++] = g;
  }
  size_.store(size_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

goroutine* global_queue::take() noexcept {
  goroutine* g = nullptr;
  if (batch* b = first_) {
    g = b->g[b->begin++];
    if (b->begin == b->end) {
      first_ = b->next;
      b->next = spare_;
      spare_ = b;
    }
  } else if (linked_first_ != nullptr) {
    g = linked_first_;
    linked_first_ = g->next;
  } else {
    return nullptr;
  }
  size_.store(size_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
  return g;
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

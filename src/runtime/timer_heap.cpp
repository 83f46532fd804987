#include "runtime/timer_heap.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "arch/sanitizer.hpp"

namespace runnel::runtime {

using detail::parker;
using detail::timer_node;

namespace {

// A ticker whose ticks nobody takes need not be looked at for each of them: who comes to receive
// one asks (fire_if_due), and a select can wait for so long.
constexpr std::int64_t unwanted_ns = 20'000;

bool drained(timer_node& node, detail::timer_drain drain) noexcept {
  return drain != nullptr && drain(node);
}

}  // namespace

class timer_heap::guard {
 public:
  explicit guard(detail::object_lock& l) noexcept : lock_(l) { lock_.lock(lock_slot); }
  ~guard() { lock_.unlock(lock_slot); }
  guard(const guard&) = delete;
  guard& operator=(const guard&) = delete;

 private:
  detail::object_lock& lock_;
};

void timer_heap::abandon() noexcept {
  ::new (this) timer_heap();
  abandoned_ = true;
}

/// Whether a node of this shard is armed.
inline bool timer_heap::holds(const timer_node& node) const noexcept {
  if (node.index == 0 || __builtin_expect(!abandoned_, 1)) return node.index != 0;
  return node.index <= size_ && heap_[node.index - 1].node == &node;
}

timer_heap::~timer_heap() {
  arch::tsan_ignore_begin();
  std::free(block_);
  arch::tsan_ignore_end();
}

bool timer_heap::arm(timer_node& node, std::int64_t when, std::int64_t period, unsigned self) {
  guard hold(lock_);
  node.shard.store(self, std::memory_order_relaxed);
  make_room();
  return insert(node, when, period);
}

bool timer_heap::adopt(timer_node& node, unsigned self, detail::timer_claim claim) {
  guard hold(lock_);
  make_room();
  return claim(node, self) && insert(node, node.when, node.period);
}

timer_heap::found timer_heap::cancel(timer_node& node, unsigned self,
                                     detail::timer_drain drain) noexcept {
  guard hold(lock_);
  if (node.shard.load(std::memory_order_relaxed) != self) return found::elsewhere;
  if (!holds(node)) return drained(node, drain) ? found::armed : found::idle;
  remove(node.index - 1);
  node.index = 0;
  publish();
  shrink();
  if (node.period != 0) drained(node, drain);
  return found::armed;
}

timer_heap::found timer_heap::reset(timer_node& node, const arming& how, unsigned self,
                                    unsigned target, bool& earliest) {
  guard hold(lock_);
  if (node.shard.load(std::memory_order_relaxed) != self) return found::elsewhere;
  if (!holds(node)) {
    if (self != target) {
      node.shard.store(target, std::memory_order_relaxed);
      return found::elsewhere;
    }
    make_room();
    const bool had = drained(node, how.drain);
    earliest = insert(node, how.when, how.period);
    return had ? found::armed : found::idle;
  }
  if (how.armed == if_armed::keep) return found::armed;
  if (node.period != 0) drained(node, how.drain);
  node.period = how.period;
  earliest = change(node, how.when);
  return found::armed;
}

timer_heap::found timer_heap::move(timer_node& node, std::int64_t when, unsigned self,
                                   bool& earliest) noexcept {
  guard hold(lock_);
  if (node.shard.load(std::memory_order_relaxed) != self) return found::elsewhere;
  if (!holds(node)) return found::idle;
  earliest = change(node, when);
  return found::armed;
}

std::int64_t timer_heap::run_expired(std::int64_t now, ready_fn ready) noexcept {
  std::int64_t deadline = next.load(std::memory_order_acquire);
  if (deadline > now) return deadline;
  constexpr int batch_size = 64;
  int fired = batch_size;
  while (fired == batch_size) {
    parker* batch[batch_size];
    int waiting = 0;
    {
      guard hold(lock_);
      for (fired = 0; fired < batch_size && size_ != 0 && heap_[0].when <= now; ++fired) {
        if (settle_root()) continue;
        if (parker* p = fire(0, now)) batch[waiting++] = p;
      }
      publish();
      deadline = next.load(std::memory_order_relaxed);
      shrink();
    }
    for (int i = 0; i < waiting; ++i) ready(batch[i]);
  }
  return deadline;
}

timer_heap::found timer_heap::fire_if_due(timer_node& node, unsigned self, std::int64_t now,
                                          ready_fn ready) noexcept {
  if (next.load(std::memory_order_acquire) > now) return found::idle;
  parker* waiting = nullptr;
  {
    guard hold(lock_);
    if (node.shard.load(std::memory_order_relaxed) != self) return found::elsewhere;
    if (!holds(node) || node.when > now) return found::idle;
    waiting = fire(node.index - 1, now);
    publish();
  }
  if (waiting != nullptr) ready(waiting);
  return found::armed;
}

/// Fires the entry at `at`, which is due; it goes, or gets its next deadline.
parker* timer_heap::fire(std::size_t at, std::int64_t now) noexcept {
  timer_node* node = heap_[at].node;
  const detail::steady_time time{std::chrono::nanoseconds(now)};
  if (node->period == 0) {
    remove(at);
    node->index = 0;
    return node->fire(node, time);  // after which the node may be gone
  }
  parker* waiting = node->fire(node, time);
  const bool can_wait = node->unwanted && node->period < unwanted_ns;
  node->when = detail::next_tick(node->when, node->period, can_wait ? now + unwanted_ns : now);
  sift_down(at, {node->when, node});
  return waiting;
}

std::size_t timer_heap::size() noexcept {
  guard hold(lock_);
  return size_;
}

/// For one more entry.
inline void timer_heap::make_room() {
  if (__builtin_expect(size_ < capacity_, 1)) return;
  if (!set_capacity(std::max<std::size_t>(capacity_ * 2, 64))) throw std::bad_alloc();
}

/// After make_room.
bool timer_heap::insert(timer_node& node, std::int64_t when, std::int64_t period) noexcept {
  node.when = when;
  node.period = period;
  sift_up(size_++, {when, &node});
  return publish();
}

/// Gives an armed node another deadline. True if `next` moved to an earlier time.
bool timer_heap::change(timer_node& node, std::int64_t when) noexcept {
  const std::size_t at = node.index - 1;
  const bool later = when >= node.when;
  node.when = when;
  if (later && at != 0) return false;  // without a look at the entry
  if (when < heap_[at].when) {
    sift_up(at, {when, &node});
  } else if (at == 0) {
    sift_down(0, {when, &node});
  }
  return publish();
}

/// Puts the root where its deadline belongs if that has been moved. False if it has not.
inline bool timer_heap::settle_root() noexcept {
  timer_node* node = heap_[0].node;
  if (__builtin_expect(node->when == heap_[0].when, 1)) return false;
  sift_down(0, {node->when, node});
  return true;
}

/// Takes the entry at `at` out; its node's index is the caller's to clear.
void timer_heap::remove(std::size_t at) noexcept {
  const entry last = heap_[--size_];
  if (at == size_) return;
  if (at != 0 && last.when < heap_[(at - 1) / 4].when) {
    sift_up(at, last);
  } else {
    sift_down(at, last);
  }
}

void timer_heap::place(std::size_t at, entry e) noexcept {
  heap_[at] = e;
  e.node->index = static_cast<std::uint32_t>(at + 1);
}

/// Puts e at `at` or above it.
void timer_heap::sift_up(std::size_t at, entry e) noexcept {
  while (at != 0) {
    const std::size_t parent = (at - 1) / 4;
    if (heap_[parent].when <= e.when) break;
    place(at, heap_[parent]);
    at = parent;
  }
  place(at, e);
}

/// Puts e at `at` or below it.
void timer_heap::sift_down(std::size_t at, entry e) noexcept {
  for (std::size_t first = 4 * at + 1; first < size_; first = 4 * at + 1) {
    const std::size_t child = earliest_child(first);
    if (heap_[child].when >= e.when) break;
    place(at, heap_[child]);
    at = child;
  }
  place(at, e);
}

/// The earliest of the up to four siblings that begin at `first`.
std::size_t timer_heap::earliest_child(std::size_t first) const noexcept {
  if (first + 4 <= size_) {
    const std::size_t a = heap_[first + 1].when < heap_[first].when ? first + 1 : first;
    const std::size_t b = heap_[first + 3].when < heap_[first + 2].when ? first + 3 : first + 2;
    return heap_[b].when < heap_[a].when ? b : a;
  }
  std::size_t best = first;
  for (std::size_t i = first + 1; i < size_; ++i) {
    if (heap_[i].when < heap_[best].when) best = i;
  }
  return best;
}

/// Brings the root and `next` up to date. True if `next` moved to an earlier time.
bool timer_heap::publish() noexcept {
  for (int i = 0; i < settled_at_once && size_ != 0 && settle_root(); ++i) {
  }
  const std::int64_t was = next.load(std::memory_order_relaxed);
  const std::int64_t is = size_ == 0 ? no_deadline : heap_[0].when;
  if (is != was) next.store(is, std::memory_order_release);
  return is < was;
}

/// Moves the heap to an array of `capacity` entries; false, and no change, if there is no memory.
bool timer_heap::set_capacity(std::size_t capacity) noexcept {
  // realloc, because the kernel moves a large block without copying it. It keeps the alignment of
  // those; a small block may have to be slid by a few entries.
  constexpr std::size_t slack = detail::cache_line / sizeof(entry);
  const std::size_t offset =
      block_ == nullptr
          ? 0
          : static_cast<std::size_t>(reinterpret_cast<char*>(heap_) - static_cast<char*>(block_));
  // The array is moved by whoever holds our lock, which ThreadSanitizer does not see.
  arch::tsan_ignore_begin();
  void* block = std::realloc(block_, (capacity + slack) * sizeof(entry));
  if (block == nullptr) {
    arch::tsan_ignore_end();
    return false;
  }
  const std::uintptr_t base = reinterpret_cast<std::uintptr_t>(block);
  const std::uintptr_t children =
      (base + sizeof(entry) + detail::cache_line - 1) & ~(detail::cache_line - 1);
  entry* heap = reinterpret_cast<entry*>(children) - 1;
  if (size_ != 0) std::memmove(heap, static_cast<char*>(block) + offset, size_ * sizeof(entry));
  arch::tsan_ignore_end();
  block_ = block;
  heap_ = heap;
  capacity_ = capacity;
  return true;
}

/// Gives memory back when seven eighths of a large array have fallen empty.
void timer_heap::shrink() noexcept {
  if (capacity_ <= kept_capacity || size_ >= capacity_ / 8) return;
  set_capacity(std::max(capacity_ / 4, kept_capacity));
}

}  // namespace runnel::runtime

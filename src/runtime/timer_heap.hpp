// One shard of the runtime's timers: a heap of intrusive nodes and the lock over it. Go: timers.
//
// A 4-ary min-heap whose entries carry the deadline beside the pointer, so that comparing touches
// no node, and whose four children share one cache line. Every node knows its place, which makes
// removal exact: nothing dead ever stays in the heap, so the earliest deadline is always that of a
// live timer (the deadlock report relies on it) and memory follows the number of armed timers.
//
// Only moves to a later deadline are lazy, as time-outs that are extended again and again are moved
// so: the node gets the new deadline, and its entry keeps the old one until it comes to the root.
// One line is touched instead of a path of the heap and the nodes along it: resetting one of
// 100,000 or a million timers at random took 146 and 388 ns where Go took 109 and 297.
//
// Invariants
//  - All members but `next` and all fields of an armed node are guarded by lock_.
//  - node->index is the entry's position + 1 while armed, 0 otherwise; but for nodes armed before
//  the
//    fork that made this process, which are armed only if their entry says so.
//  - entry.when <= node->when: the heap is ordered by lower bounds of the deadlines.
//  - node->shard changes only under the lock of the shard it names, or before others act on it:
//    when the node is new, or joins its first heap (adopt).
//  - next is written under lock_ and equals the root's bound (no_deadline when empty) whenever the
//    lock is free. The root's bound is its deadline, and so the earliest of all, unless more than
//    settled_at_once moved timers came to the root one after the other: then it may be too early,
//    whoever looks settles as many again, and fires nothing before its time.
//
// Rejected
//  - Lazy deletion (Go's zombies): O(1) stop even at the root, but clearing 10 M entries under the
//    lock stops a processor for a fifth of a second, and a stale root delays the deadlock report
//    or costs a wakeup. Removing a random entry moves 1.3 others on average: as cheap.
//  - Hierarchical wheels: O(1) arming without memory, but deadlines exact to the nanosecond and
//    fired in order (which Go's users rely on) take up to six moves of every timer that fires, and
//    an exact next deadline, which an idle process needs to sleep through, a scan of a bucket.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <runnel/detail/cache_line.hpp>
#include <runnel/detail/object_lock.hpp>
#include <runnel/detail/timer_node.hpp>

namespace runnel::runtime {

inline constexpr std::int64_t no_deadline = std::numeric_limits<std::int64_t>::max();
/// What later deadlines are cut to: "armed for ever" is not "not armed".
inline constexpr std::int64_t latest_deadline = no_deadline - 1;

class alignas(detail::cache_line) timer_heap {
 public:
  /// How run_expired lets a parker go on: detail::ready, except in tests.
  using ready_fn = void (*)(detail::parker*) noexcept;

  /// How an operation on a node that may be shared found it.
  enum class found : std::uint8_t { idle, armed, elsewhere };

  /// What reset does with an armed node.
  enum class if_armed : std::uint8_t { move, keep };

  constexpr timer_heap() noexcept = default;
  ~timer_heap();
  timer_heap(const timer_heap&) = delete;
  timer_heap& operator=(const timer_heap&) = delete;

  /// Earliest deadline, steady_clock nanoseconds; no_deadline when nothing is armed. Any thread may
  /// read it; acquire pairs with the release in publish().
  std::atomic<std::int64_t> next{no_deadline};

  /// Arms a node that is armed nowhere and that no other thread is arming or resetting. `self` is
  /// this shard's number. True if it became the earliest. Throws std::bad_alloc; O(log n).
  bool arm(detail::timer_node& node, std::int64_t when, std::int64_t period, unsigned self);

  /// As arm, at the node's own deadline, if `claim` says so (detail::timer_adopt).
  bool adopt(detail::timer_node& node, unsigned self, detail::timer_claim claim);

  /// Disarms the node if this shard, number `self`, is where it belongs; `drain`, if not null, as
  /// in detail::timer_cancel. O(log n).
  found cancel(detail::timer_node& node, unsigned self, detail::timer_drain drain) noexcept;

  /// How reset arms.
  struct arming {
    std::int64_t when;
    std::int64_t period;
    if_armed armed;
    detail::timer_drain drain;  // may be null
  };

  /// As cancel then arm. An armed node keeps its shard; an idle one is first handed to shard
  /// `target`, and if that is another one the answer is `elsewhere`. `earliest` as arm's result.
  /// Throws std::bad_alloc, and then the node is idle as it was.
  found reset(detail::timer_node& node, const arming& how, unsigned self, unsigned target,
              bool& earliest);

  /// Gives a node that is armed, to fire once, another deadline. `idle`: it is not; nothing was
  /// done.
  found move(detail::timer_node& node, std::int64_t when, unsigned self, bool& earliest) noexcept;

  /// Fires the node if it is due at `now`, and readies who waits. `idle`: it is not.
  found fire_if_due(detail::timer_node& node, unsigned self, std::int64_t now,
                    ready_fn ready) noexcept;

  /// Fires all that is due at `now` in order of deadline, a batch under each hold of the lock, and
  /// readies who waits after each. Returns the next deadline. O(log n) per timer fired.
  std::int64_t run_expired(std::int64_t now, ready_fn ready) noexcept;

  /// In the child of a fork: forgets all timers, the array and who may have held the lock.
  void abandon() noexcept;

  /// Timers armed here.
  std::size_t size() noexcept;

 private:
  struct entry {
    std::int64_t when;  // not after the node's
    detail::timer_node* node;
  };

  // Channels that fire() fills are locked under ours, by slot 0.
  static constexpr std::size_t lock_slot = detail::holding_slots - 1;
  // Bounds how long an operation holds the lock, as a million timers may have been moved.
  static constexpr int settled_at_once = 64;
  // Below this many entries (512 KiB) the array never shrinks, so that bursts allocate once.
  static constexpr std::size_t kept_capacity = 32768;

  class guard;

  bool holds(const detail::timer_node& node) const noexcept;
  detail::parker* fire(std::size_t at, std::int64_t now) noexcept;
  void make_room();
  bool insert(detail::timer_node& node, std::int64_t when, std::int64_t period) noexcept;
  bool change(detail::timer_node& node, std::int64_t when) noexcept;
  bool settle_root() noexcept;
  void remove(std::size_t at) noexcept;
  void place(std::size_t at, entry e) noexcept;
  void sift_up(std::size_t at, entry e) noexcept;
  void sift_down(std::size_t at, entry e) noexcept;
  std::size_t earliest_child(std::size_t first) const noexcept;
  bool publish() noexcept;
  bool set_capacity(std::size_t capacity) noexcept;
  void shrink() noexcept;

  detail::object_lock lock_;
  entry* heap_ = nullptr;  // into block_, such that &heap_[1] begins a cache line
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
  void* block_ = nullptr;   // from malloc
  bool abandoned_ = false;  // nodes may say that they are in a heap that is no more
};

}  // namespace runnel::runtime

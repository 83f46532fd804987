// A cache of objects that are expensive to make.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <runnel/detail/cache_line.hpp>
#include <runnel/detail/config.hpp>
#include <runnel/detail/fatal.hpp>
#include <runnel/detail/object_lock.hpp>
#include <runnel/detail/section.hpp>
#include <type_traits>
#include <utility>
#include <vector>

namespace runnel {

namespace detail {

/// Spreads threads over the parts of an object: the same number for the same thread, different ones
/// as long as there are enough. (By a hash of the record's address two processors met in the same
/// part in every sixteenth run: Pool 23 ns instead of 2.2.)
RUNNEL_INLINE std::size_t thread_part(std::size_t parts) noexcept {
  const thread* me = current_thread();
  return me != nullptr ? me->number % parts : 0;
}

}  // namespace detail

/// Keeps objects that are not in use at the moment for whoever needs one next. Go: sync.Pool.
///
///     runnel::pool<std::string> buffers([] { return std::string(4096, '\0'); });
///     std::string s = buffers.get();
///     ...
///     buffers.put(std::move(s));
///
/// Objects are kept per OS thread, so that goroutines on different processors do not meet, and
/// taken from the others' when there is none. Of more than 256 unused ones of a thread some are
/// destroyed. Nothing may be assumed of what get() returns but that the factory made it, or
/// somebody put() it. It can be neither copied nor moved. T's move constructor and destructor must
/// not block.
///
/// Synchronizes: put(x) → the return of the get() that returns x.
template <class T>
class pool {
 public:
  /// factory() makes an object when there is none. It is called without any lock held, on several
  /// threads at once.
  template <class F>
  requires std::is_invocable_r_v<T, F&> pool(F factory) : factory_(copyable(std::move(factory))) {}
  pool(const pool&) = delete;
  pool& operator=(const pool&) = delete;

  /// An unused object, or a new one. Never blocks, but for the factory.
  T get() {
    const std::size_t mine = detail::thread_part(shard_count);
    {
      shard& s = shards_[mine];
      const detail::section inside(s.lock);
      if (!s.unused.empty()) return s.take();
      note_empty(mine);
    }
    for (std::size_t i = 0; i < shard_count; ++i) {
      if (!any_[i].load(std::memory_order_relaxed)) continue;
      shard& s = shards_[i];
      const detail::section inside(s.lock);
      if (!s.unused.empty()) return s.take();
      note_empty(i);
    }
    return factory_();
  }

  /// Gives an object back for use by others. Never blocks. If there are too many unused ones, or no
  /// memory to keep it, it is destroyed. Amortised O(1).
  void put(T x) {
    if constexpr (boxed) {
      keep(std::make_unique<T>(std::move(x)));
    } else {
      keep(std::move(x));
    }
  }

 private:
  static constexpr std::size_t shard_count = 16;
  static constexpr std::size_t most_unused = 256;

  // What is moved inside a shard's lock must not throw.
  static constexpr bool boxed =
      !std::is_nothrow_move_constructible_v<T> || !std::is_nothrow_destructible_v<T>;
  using stored = std::conditional_t<boxed, std::unique_ptr<T>, T>;
  // Two cache lines at least: those of two threads may come from one allocator's heap, side by
  // side. (From 4 bytes on, in one line: Pool at two processors 17 instead of 6 ns.)
  static constexpr std::size_t first_room = 2 * detail::cache_line / sizeof(stored) + 1;

  struct alignas(detail::cache_line) shard {
    detail::object_lock lock;
    std::vector<stored> unused;  // guarded by lock; last in, first out: its memory is warm

    // Inside the lock.
    T take() {
      struct drop {
        std::vector<stored>& from;
        ~drop() { from.pop_back(); }
      } at_end{unused};
      if constexpr (boxed) {
        return std::move(*unused.back());
      } else {
        return std::move(unused.back());
      }
    }
  };

  void keep(stored x) {
    const std::size_t mine = detail::thread_part(shard_count);
    shard& s = shards_[mine];
    const detail::section inside(s.lock);
    if (s.unused.size() >= most_unused) return;
    try {
      if (s.unused.capacity() == 0) s.unused.reserve(first_room);
      s.unused.push_back(std::move(x));
    } catch (const std::bad_alloc&) {
      return;
    }
    if (!any_[mine].load(std::memory_order_relaxed)) {
      any_[mine].store(true, std::memory_order_relaxed);
    }
  }

  // Inside the lock of the shard.
  void note_empty(std::size_t i) noexcept {
    if (any_[i].load(std::memory_order_relaxed)) any_[i].store(false, std::memory_order_relaxed);
  }

  // std::function wants what it holds to be copyable; a factory need only be movable.
  template <class F>
  static std::function<T()> copyable(F&& factory) {
    if constexpr (std::is_copy_constructible_v<F>) {
      return std::forward<F>(factory);
    } else {
      return [held = std::make_shared<F>(std::forward<F>(factory))]() -> T { return (*held)(); };
    }
  }

  std::array<shard, shard_count> shards_;
  // False: the shard is empty. Written inside its lock, when somebody finds it so or puts the first
  // object in; for those who look for one elsewhere. (They looked at each shard's size, which its
  // thread writes with each put and get: PoolStarvation at two processors 3.5 us instead of 2.8 [Go
  // 4.3]. Half of another shard at once: no better there, and worse at one processor.)
  alignas(detail::cache_line) std::array<std::atomic<bool>, shard_count> any_{};
  std::function<T()> factory_;
};

template <class F>
pool(F) -> pool<std::decay_t<std::invoke_result_t<F&>>>;

}  // namespace runnel

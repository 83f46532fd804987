// A map for many goroutines.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <runnel/detail/cache_line.hpp>
#include <runnel/detail/map_table.hpp>
#include <runnel/detail/read_bias.hpp>
#include <runnel/sync/shared_mutex.hpp>
#include <type_traits>
#include <utility>
#include <vector>

namespace runnel {

namespace detail {
/// How many parts a map is divided into: enough that processors seldom meet in one.
RUNNEL_API std::size_t map_shards() noexcept;
}  // namespace detail

/// A map from K to V that goroutines and threads may use at once. Go: sync.Map.
///
/// Divided into parts with a reader-writer lock each: loads do not disturb each other, and stores
/// of different keys seldom. While a part is only read, which includes load_or_store of what is
/// there and whatever finds nothing to delete or swap, its lock is not touched at all; the first
/// change after many reads then costs some microseconds. Keys are compared by ==; V need be neither
/// default-constructible nor assignable; what returns a V copies it (load_and_delete and swap
/// move). Copying a K or V and comparing may use other maps and block, but must not use the same
/// map. Values are destroyed outside the locks. It can be neither copied nor moved.
///
/// Operations block only while another one works on the same part (a change that waits for a reader
/// whose copying blocks polls), and throw std::bad_alloc and what K and V throw. Then nothing has
/// changed, except that what swap and load_and_delete take out is lost if moving it throws.
/// Expected O(1).
///
/// Synchronizes: a store → every load, or other operation, that sees its value.
template <class K, class V, class Hash = std::hash<K>>
class concurrent_map {
  // load and load_or_store are inlined lest GCC assemble their results in memory: the words read
  // back would wait for the bytes written (LoadMostlyHits 10 instead of 5 ns).
 public:
  explicit concurrent_map(Hash hash = Hash())
      : hash_(std::move(hash)),
        mask_(detail::map_shards() - 1),
        shards_(std::make_unique<shard[]>(mask_ + 1)) {}
  ~concurrent_map() { clear(); }
  concurrent_map(const concurrent_map&) = delete;
  concurrent_map& operator=(const concurrent_map&) = delete;

  /// The value stored under k.
  RUNNEL_INLINE std::optional<V> load(const K& k) const {
    const std::size_t h = hash_of(k);
    shard& s = shard_of(h);
    if (seen_empty(s)) return std::nullopt;
    const detail::biased_reader inside(s.bias, s.lock);
    const slot* at = s.find(h, k);
    return at != nullptr ? std::optional<V>(at->get().value) : std::nullopt;
  }

  /// Stores v under k, in place of what is there.
  void store(K k, V v) {
    const std::size_t h = hash_of(k);
    shard& s = shard_of(h);
    owned old;
    owned fresh = table::make(std::move(k), std::move(v));
    const detail::biased_writer inside(s.bias, s.lock);
    old = put(s, h, std::move(fresh));
  }

  /// Stores v under k; returns what it replaced. Go: Swap.
  std::optional<V> swap(K k, V v) {
    const std::size_t h = hash_of(k);
    shard& s = shard_of(h);
    owned old;
    owned fresh = table::make(std::move(k), std::move(v));
    {
      const detail::biased_writer inside(s.bias, s.lock);
      old = put(s, h, std::move(fresh));
    }
    return taken(old);
  }

  /// The value under k and true; or, if there is none, stores v and returns it and false.
  RUNNEL_INLINE std::pair<V, bool> load_or_store(K k, V v) {
    const std::size_t h = hash_of(k);
    shard& s = shard_of(h);
    if (const detail::biased_glance inside(s.bias); inside) {
      if (const slot* at = s.find(h, k)) return {at->get().value, true};
    }
    return load_or_store_locked(s, h, std::move(k), std::move(v));
  }

  /// Removes k and returns its value.
  std::optional<V> load_and_delete(const K& k) {
    owned old = remove(k, [](const V&) { return true; });
    return taken(old);
  }

  /// Removes k if it is there.
  void erase(const K& k) {
    remove(k, [](const V&) { return true; });
  }

  /// Stores v under k if the value there equals the expected one. False: it does not, or there is
  /// none.
  bool compare_and_swap(const K& k, const V& expected, V v) {
    const std::size_t h = hash_of(k);
    shard& s = shard_of(h);
    owned old;  // destroyed after the lock was left
    if (const detail::biased_glance inside(s.bias); inside) {
      const slot* at = s.find(h, k);
      if (at == nullptr || !(at->get().value == expected)) return false;
    }
    const detail::biased_writer inside(s.bias, s.lock);
    slot* at = s.find(h, k);
    if (at == nullptr || !(at->get().value == expected)) {
      if constexpr (detail::inline_paths) s.bias.count_read();
      return false;
    }
    old = s.replace(at, table::make(k, std::move(v)));
    return true;
  }

  /// Removes k if its value equals old. Go: CompareAndDelete.
  bool compare_and_delete(const K& k, const V& old) {
    return static_cast<bool>(remove(k, [&](const V& v) { return v == old; }));
  }

  /// Calls f(key, value) for the entries until f returns false. Other operations, by f too, go on
  /// meanwhile: no key is visited twice, and of one that changes any of its values may be seen.
  /// Copies the entries of a part at a time; f is called without a lock. O(entries), at least.
  template <class F>
  void range(F f) const {
    std::vector<std::pair<K, V>> entries;
    for (std::size_t i = 0; i <= mask_; ++i) {
      entries.clear();
      {
        shard& s = shards_[i];
        const detail::biased_reader inside(s.bias, s.lock);
        entries.reserve(s.size());
        for (const slot& at : s) {
          if (!at.free()) entries.emplace_back(at.get().key, at.get().value);
        }
      }
      for (const auto& [k, v] : entries) {
        if (!f(k, v)) return;
      }
    }
  }

  /// Removes everything. Go: Clear.
  void clear() {
    for (std::size_t i = 0; i <= mask_; ++i) {
      table old;  // destroyed outside the lock
      const detail::biased_writer inside(shards_[i].bias, shards_[i].lock);
      shards_[i].move_to(old);
    }
  }

 private:
  using table = detail::map_table<K, V>;
  using owned = typename table::owned;
  using slot = typename table::slot;

  // What readers need of a part lies in its first cache line, and the lock in others: readers that
  // take shares write the latter.
  struct alignas(detail::cache_line) shard : table {
    // The last load_or_store found nothing, nor will the next, perhaps: it need not take a share to
    // look first, unless it would have to close the bias. A hint, written inside the lock.
    std::atomic<bool> absent_lately{false};
    mutable detail::read_bias bias;
    alignas(detail::cache_line) mutable shared_mutex lock;
  };

  static bool seen_empty(const shard& s) noexcept {
    return detail::inline_paths && !s.seems_occupied();
  }
  static std::optional<V> taken(owned& e) {
    return e ? std::optional<V>(std::move(e->value)) : std::nullopt;
  }

  // Inside the lock. Returns what it replaces.
  static owned put(shard& s, std::size_t h, owned&& fresh) {
    if (slot* at = s.find(h, fresh->key)) return s.replace(at, std::move(fresh));
    s.reserve_one();
    s.insert(h, std::move(fresh));
    return owned();
  }

  RUNNEL_NOINLINE static std::pair<V, bool> load_or_store_locked(shard& s, std::size_t h, K&& k,
                                                                 V&& v) {
    if (s.bias.is_open() || !s.absent_lately.load(std::memory_order_relaxed)) {
      const detail::biased_reader inside(s.bias, s.lock);
      if (const slot* at = s.find(h, k)) return {at->get().value, true};
    }
    owned fresh;  // what throws leaves it to be destroyed after the lock was left
    const detail::biased_writer inside(s.bias, s.lock);
    if (const slot* at = s.find(h, k)) {
      s.absent_lately.store(false, std::memory_order_relaxed);
      if constexpr (detail::inline_paths) s.bias.count_read();
      return {at->get().value, true};
    }
    s.absent_lately.store(true, std::memory_order_relaxed);
    fresh = table::make(std::move(k), std::move(v));
    s.reserve_one();
    slot* const at = s.insert(h, std::move(fresh));
    try {
      // Copied where it is returned: a copy in here would be destroyed in here.
      return {at->get().value, false};
    } catch (...) {
      fresh = s.take(at);
      throw;
    }
  }

  template <class Condition>
  owned remove(const K& k, Condition wanted) {
    const std::size_t h = hash_of(k);
    shard& s = shard_of(h);
    if (seen_empty(s)) return owned();
    if (const detail::biased_glance inside(s.bias); inside) {
      // What is not there is found so without disturbing readers. A share for this would be one
      // more round of the lock for whoever does remove something.
      const slot* at = s.find(h, k);
      if (at == nullptr || !wanted(at->get().value)) return owned();
    }
    const detail::biased_writer inside(s.bias, s.lock);
    slot* at = s.find(h, k);
    if (at == nullptr || !wanted(at->get().value)) {
      if constexpr (detail::inline_paths) s.bias.count_read();
      return owned();
    }
    return s.take(at);
  }

  // std::hash of an integer is the integer. The low half of the product spreads what differs in low
  // bits, the high half brings down what differs in high ones. The low bits then choose the slot,
  // high ones the part.
  std::size_t hash_of(const K& k) const {
    __extension__ using product = unsigned __int128;
    const std::uint64_t h = static_cast<std::uint64_t>(hash_(k));
    const product p = static_cast<product>(h) * 0x9e3779b97f4a7c15ULL;
    return static_cast<std::size_t>(static_cast<std::uint64_t>(p >> 64) ^
                                    static_cast<std::uint64_t>(p)) |
           table::taken_bit;
  }
  shard& shard_of(std::size_t hash) const noexcept { return shards_[(hash >> 56) & mask_]; }

  [[no_unique_address]] Hash hash_;
  const std::size_t mask_;
  const std::unique_ptr<shard[]> shards_;
};

}  // namespace runnel

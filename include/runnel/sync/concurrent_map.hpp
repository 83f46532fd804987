// A map for many goroutines.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <runnel/detail/cache_line.hpp>
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
/// whose copying blocks polls), and throw std::bad_alloc and what K and V throw; then nothing has
/// changed. Expected O(1).
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
    if (s.seen_empty()) return std::nullopt;
    const detail::biased_reader inside(s.bias, s.lock);
    node* const* at = s.find(h, k);
    return at != nullptr ? std::optional<V>((*at)->value) : std::nullopt;
  }

  /// Stores v under k, in place of what is there.
  void store(K k, V v) {
    const std::size_t h = hash_of(k);
    shard& s = shard_of(h);
    owned_node old;
    owned_node fresh = make(h, std::move(k), std::move(v));
    const detail::biased_writer inside(s.bias, s.lock);
    old = s.put(std::move(fresh));
  }

  /// Stores v under k; returns what it replaced. Go: Swap.
  std::optional<V> swap(K k, V v) {
    const std::size_t h = hash_of(k);
    shard& s = shard_of(h);
    owned_node old;
    owned_node fresh = make(h, std::move(k), std::move(v));
    {
      const detail::biased_writer inside(s.bias, s.lock);
      old = s.put(std::move(fresh));
    }
    return taken(old);
  }

  /// The value under k and true; or, if there is none, stores v and returns it and false.
  RUNNEL_INLINE std::pair<V, bool> load_or_store(K k, V v) {
    const std::size_t h = hash_of(k);
    shard& s = shard_of(h);
    {
      const detail::biased_reader inside(s.bias, s.lock);
      if (node* const* at = s.find(h, k)) return {(*at)->value, true};
    }
    return store_if_absent(s, make(h, std::move(k), std::move(v)));
  }

  /// Removes k and returns its value.
  std::optional<V> load_and_delete(const K& k) {
    owned_node old = remove(k, [](const V&) { return true; });
    return taken(old);
  }

  /// Removes k if it is there.
  void erase(const K& k) {
    remove(k, [](const V&) { return true; });
  }

  /// Stores v under k if the value there equals old. False: it does not, or there is none.
  bool compare_and_swap(const K& k, const V& old, V v) {
    const std::size_t h = hash_of(k);
    shard& s = shard_of(h);
    owned_node fresh;  // at last the replaced one, to be destroyed after the lock was left
    if (const detail::biased_glance inside(s.bias); inside) {
      node* const* at = s.find(h, k);
      if (at == nullptr || !((*at)->value == old)) return false;
    }
    const detail::biased_writer inside(s.bias, s.lock);
    node** at = s.find(h, k);
    if (at == nullptr || !((*at)->value == old)) {
      if constexpr (detail::inline_paths) s.bias.count_read();
      return false;
    }
    fresh = make(h, k, std::move(v));
    fresh->next = (*at)->next;
    node* replaced = std::exchange(*at, fresh.release());
    fresh.reset(replaced);
    return true;
  }

  /// Removes k if its value equals old. Go: CompareAndDelete.
  bool compare_and_delete(const K& k, const V& old) {
    return remove(k, [&](const V& v) { return v == old; }) != nullptr;
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
        entries.reserve(s.count);
        for (std::size_t b = 0; b <= s.mask; ++b) {
          for (const node* n = s.buckets[b]; n != nullptr; n = n->next) {
            entries.emplace_back(n->key, n->value);
          }
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
  struct node {
    node* next;
    std::size_t hash;
    K key;
    V value;
  };
  using owned_node = std::unique_ptr<node>;

  // The entries of a part: chains of nodes, at least as many as there are entries.
  struct table {
    node** buckets = &none;  // mask + 1, a power of two
    std::size_t mask = 0;
    std::size_t count = 0;
    node* none = nullptr;  // the only bucket before the first entry; stays empty
    // count != 0, for who looks from outside. Changed inside the lock; becomes true by a
    // sequentially consistent store: of two who each store in one part and then look into the
    // other's, at least one finds something, as if both had used the locks.
    std::atomic<bool> occupied{false};

    table() = default;
    table(const table&) = delete;
    table& operator=(const table&) = delete;
    ~table() {
      for (std::size_t i = 0; i <= mask; ++i) {
        for (node* n = buckets[i]; n != nullptr;) delete std::exchange(n, n->next);
      }
      if (buckets != &none) delete[] buckets;
    }

    node** find(std::size_t hash, const K& k) {
      for (node** at = &buckets[hash & mask]; *at != nullptr; at = &(*at)->next) {
        if ((*at)->hash == hash && (*at)->key == k) return at;
      }
      return nullptr;
    }

    // Returns the node it replaces.
    owned_node put(owned_node fresh) {
      if (node** at = find(fresh->hash, fresh->key)) {
        fresh->next = (*at)->next;
        return owned_node(std::exchange(*at, fresh.release()));
      }
      if (buckets == &none) {
        buckets = new node* [8] {};
        mask = 7;
      } else if (count > mask) {
        grow();
      }
      node*& first = buckets[fresh->hash & mask];
      fresh->next = first;
      first = fresh.release();
      if (++count == 1) occupied.store(true, std::memory_order_seq_cst);
      return nullptr;
    }

    owned_node take(node** at) noexcept {
      if (--count == 0) occupied.store(false, std::memory_order_release);
      return owned_node(std::exchange(*at, (*at)->next));
    }

    // Outside the lock. True: at this moment there is no entry.
    bool seen_empty() const noexcept {
      return detail::inline_paths && !occupied.load(std::memory_order_seq_cst);
    }

    void grow() {
      const std::size_t wider_mask = 2 * mask + 1;
      node** wider = new node* [wider_mask + 1] {};
      for (std::size_t i = 0; i <= mask; ++i) {
        for (node* n = buckets[i]; n != nullptr;) {
          node*& first = wider[n->hash & wider_mask];
          node* next = std::exchange(n->next, first);
          first = std::exchange(n, next);
        }
      }
      delete[] std::exchange(buckets, wider);
      mask = wider_mask;
    }

    // The other one is empty.
    void move_to(table& other) noexcept {
      if (buckets == &none) return;
      other.buckets = std::exchange(buckets, &none);
      other.mask = std::exchange(mask, 0);
      other.count = std::exchange(count, 0);
      occupied.store(false, std::memory_order_release);
    }
  };

  // What readers need of a part lies in its first cache line, and the lock in others: readers that
  // take shares write the latter.
  struct alignas(detail::cache_line) shard : table {
    mutable detail::read_bias bias;
    alignas(detail::cache_line) mutable shared_mutex lock;
  };

  template <class Key>
  static owned_node make(std::size_t h, Key&& k, V&& v) {
    return owned_node(new node{nullptr, h, std::forward<Key>(k), std::move(v)});
  }
  static std::optional<V> taken(const owned_node& n) {
    return n != nullptr ? std::optional<V>(std::move(n->value)) : std::nullopt;
  }

  RUNNEL_NOINLINE static std::pair<V, bool> store_if_absent(shard& s, owned_node fresh) {
    const detail::biased_writer inside(s.bias, s.lock);
    if (node* const* at = s.find(fresh->hash, fresh->key)) return {(*at)->value, true};
    std::pair<V, bool> result(fresh->value, false);
    s.put(std::move(fresh));
    return result;
  }

  template <class Condition>
  owned_node remove(const K& k, Condition wanted) {
    const std::size_t h = hash_of(k);
    shard& s = shard_of(h);
    if (s.seen_empty()) return nullptr;
    if (const detail::biased_glance inside(s.bias); inside) {
      // What is not there is found so without disturbing readers. A share for this would be one
      // more round of the lock for whoever does remove something.
      node* const* at = s.find(h, k);
      if (at == nullptr || !wanted((*at)->value)) return nullptr;
    }
    const detail::biased_writer inside(s.bias, s.lock);
    node** at = s.find(h, k);
    if (at == nullptr || !wanted((*at)->value)) {
      if constexpr (detail::inline_paths) s.bias.count_read();
      return nullptr;
    }
    return s.take(at);
  }

  // std::hash of an integer is the integer. The low bits choose the bucket, the high ones the part.
  std::size_t hash_of(const K& k) const {
    const std::uint64_t h = static_cast<std::uint64_t>(hash_(k)) * 0x9e3779b97f4a7c15ULL;
    return static_cast<std::size_t>(h ^ (h >> 32));
  }
  shard& shard_of(std::size_t hash) const noexcept { return shards_[(hash >> 24) & mask_]; }

  [[no_unique_address]] Hash hash_;
  const std::size_t mask_;
  const std::unique_ptr<shard[]> shards_;
};

}  // namespace runnel

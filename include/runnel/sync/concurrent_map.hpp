// A map for many goroutines.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <runnel/detail/cache_line.hpp>
#include <runnel/sync/shared_mutex.hpp>
#include <shared_mutex>
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
/// of different keys seldom. Keys are compared by ==; V need be neither default-constructible nor
/// assignable; what returns a V copies it (load_and_delete and swap move). Copying a K or V and
/// comparing must not use the same map. Values are destroyed outside the locks. It can be neither
/// copied nor moved.
///
/// Operations block only while another one works on the same part, and throw std::bad_alloc and
/// what K and V throw; then nothing has changed. Expected O(1).
///
/// Synchronizes: a store → every load, or other operation, that sees its value.
template <class K, class V, class Hash = std::hash<K>>
class concurrent_map {
 public:
  explicit concurrent_map(Hash hash = Hash())
      : hash_(std::move(hash)),
        mask_(detail::map_shards() - 1),
        shards_(std::make_unique<shard[]>(mask_ + 1)) {}
  ~concurrent_map() { clear(); }
  concurrent_map(const concurrent_map&) = delete;
  concurrent_map& operator=(const concurrent_map&) = delete;

  /// The value stored under k.
  std::optional<V> load(const K& k) const {
    const std::size_t h = hash_of(k);
    shard& s = shard_of(h);
    const std::shared_lock inside(s.lock);
    node* const* at = s.find(h, k);
    return at != nullptr ? std::optional<V>((*at)->value) : std::nullopt;
  }

  /// Stores v under k, in place of what is there.
  void store(K k, V v) {
    const std::size_t h = hash_of(k);
    shard& s = shard_of(h);
    owned_node old;
    owned_node fresh = make(h, std::move(k), std::move(v));
    const std::lock_guard inside(s.lock);
    old = s.put(std::move(fresh));
  }

  /// Stores v under k; returns what it replaced. Go: Swap.
  std::optional<V> swap(K k, V v) {
    const std::size_t h = hash_of(k);
    shard& s = shard_of(h);
    owned_node old;
    owned_node fresh = make(h, std::move(k), std::move(v));
    {
      const std::lock_guard inside(s.lock);
      old = s.put(std::move(fresh));
    }
    return taken(old);
  }

  /// The value under k and true; or, if there is none, stores v and returns it and false.
  std::pair<V, bool> load_or_store(K k, V v) {
    const std::size_t h = hash_of(k);
    shard& s = shard_of(h);
    {
      const std::shared_lock inside(s.lock);
      if (node* const* at = s.find(h, k)) return {(*at)->value, true};
    }
    owned_node fresh = make(h, std::move(k), std::move(v));
    const std::lock_guard inside(s.lock);
    if (node* const* at = s.find(h, fresh->key)) return {(*at)->value, true};
    std::pair<V, bool> result(fresh->value, false);
    s.put(std::move(fresh));
    return result;
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
    {
      // Most that fail, fail here, without disturbing readers or building a node.
      const std::shared_lock inside(s.lock);
      node* const* at = s.find(h, k);
      if (at == nullptr || !((*at)->value == old)) return false;
    }
    owned_node fresh = make(h, k, std::move(v));
    const std::lock_guard inside(s.lock);
    node** at = s.find(h, k);
    if (at == nullptr || !((*at)->value == old)) return false;
    fresh->next = (*at)->next;
    node* replaced = std::exchange(*at, fresh.release());
    fresh.reset(replaced);  // destroyed after the lock was left: declared before it
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
        const std::shared_lock inside(s.lock);
        entries.reserve(s.count);
        for (const node* n : s.buckets) {
          for (; n != nullptr; n = n->next) entries.emplace_back(n->key, n->value);
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
      std::vector<node*> old;
      {
        const std::lock_guard inside(shards_[i].lock);
        old.swap(shards_[i].buckets);
        shards_[i].count = 0;
      }
      for (node* n : old) {
        while (n != nullptr) delete std::exchange(n, n->next);
      }
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

  // A part: chains of nodes, as many as there are entries or up to twice that. Its functions are
  // called inside its lock.
  struct alignas(detail::cache_line) shard {
    mutable shared_mutex lock;
    std::vector<node*> buckets;  // its size is a power of two, or zero
    std::size_t count = 0;

    node** find(std::size_t hash, const K& k) {
      if (buckets.empty()) return nullptr;
      for (node** at = &buckets[hash & (buckets.size() - 1)]; *at != nullptr; at = &(*at)->next) {
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
      if (count == buckets.size()) grow();
      node*& first = buckets[fresh->hash & (buckets.size() - 1)];
      fresh->next = first;
      first = fresh.release();
      ++count;
      return nullptr;
    }

    void grow() {
      std::vector<node*> wider(buckets.empty() ? 8 : 2 * buckets.size());
      for (node* n : buckets) {
        while (n != nullptr) {
          node* next = n->next;
          node*& first = wider[n->hash & (wider.size() - 1)];
          n->next = first;
          first = n;
          n = next;
        }
      }
      buckets.swap(wider);
    }
  };

  template <class Key>
  static owned_node make(std::size_t h, Key&& k, V&& v) {
    return owned_node(new node{nullptr, h, std::forward<Key>(k), std::move(v)});
  }
  static std::optional<V> taken(const owned_node& n) {
    return n != nullptr ? std::optional<V>(std::move(n->value)) : std::nullopt;
  }

  template <class Condition>
  owned_node remove(const K& k, Condition wanted) {
    const std::size_t h = hash_of(k);
    shard& s = shard_of(h);
    const std::lock_guard inside(s.lock);
    node** at = s.find(h, k);
    if (at == nullptr || !wanted((*at)->value)) return nullptr;
    --s.count;
    return owned_node(std::exchange(*at, (*at)->next));
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

// The entries of one part of a concurrent_map: a table with open addressing and linear probing.
//
// Each slot holds the hash beside its entry, so that neither a key that is not there nor growing
// costs a look at what entries point to. Small entries that are plain bytes lie in the slots,
// others are allocated each. Rejected: chains of nodes, where a table larger than the caches costs
// two or three misses and an allocation for each new key; see docs/design/performance.md.
//
// Invariants, guarded by the lock of the part
//  - From the slot that an entry's hash names (its home) to the one it lies in no slot is free.
//    Removing keeps it so by moving later ones forward: there are no tombstones.
//  - At least a quarter of the slots is free, so every search ends.
//
// Homes of a table with 2^n slots are made of 2n bits of the hash. Were they n of them, a smaller
// table that is filled in the order of a larger one's slots (a copy by range, for instance) would
// be filled from one end to the other, twice: what comes the second time finds half of the table
// crowded and the other half empty, in quadratic time (1.2 million entries 2260 ns each, now 92).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <runnel/detail/config.hpp>
#include <type_traits>
#include <utility>

namespace runnel::detail {

template <class K, class V>
class map_table {
 public:
  struct entry {
    K key;
    V value;
  };

  static constexpr bool in_slots =
      std::is_trivially_copyable_v<entry> && std::is_move_constructible_v<entry> &&
      std::is_move_assignable_v<entry> && sizeof(entry) <= 2 * sizeof(void*) &&
      alignof(entry) <= alignof(void*);

  /// An entry outside a table, or none. Of an allocated one only the pointer moves.
  /// A class of its own, lest K and V have to be complete where a map is only declared.
  struct owned : std::conditional_t<in_slots, std::optional<entry>, std::unique_ptr<entry>> {
    using std::conditional_t<in_slots, std::optional<entry>, std::unique_ptr<entry>>::conditional_t;
  };

  /// Hashes have this bit set: a slot whose hash is 0 is free.
  static constexpr std::size_t taken_bit = ~(~std::size_t{0} >> 1);

  class slot {
   public:
    bool free() const noexcept { return hash_ == 0; }
    entry& get() noexcept {
      if constexpr (in_slots) {
        return *std::launder(reinterpret_cast<entry*>(held_.bytes));
      } else {
        return *held_;
      }
    }
    const entry& get() const noexcept { return const_cast<slot*>(this)->get(); }

   private:
    friend class map_table;

    struct storage {
      alignas(entry) std::byte bytes[sizeof(entry)];
    };

    void fill(std::size_t hash, owned&& e) noexcept {
      hash_ = hash;
      if constexpr (in_slots) {
        ::new (static_cast<void*>(held_.bytes)) entry(std::move(*e));
      } else {
        held_ = e.release();
      }
    }
    // The caller then marks the slot free, or fills it again.
    owned empty() noexcept {
      if constexpr (in_slots) {
        return owned(std::move(get()));
      } else {
        return owned(held_);
      }
    }

    std::size_t hash_ = 0;
    // Copied byte by byte: whoever copies a slot decides which of the two holds the entry.
    std::conditional_t<in_slots, storage, entry*> held_;
  };

  map_table() = default;
  map_table(const map_table&) = delete;
  map_table& operator=(const map_table&) = delete;
  ~map_table() {
    if constexpr (!in_slots) {
      for (slot& s : *this) {
        if (!s.free()) s.empty();
      }
    }
    delete[] slots_;
  }

  template <class Key>
  static owned make(Key&& k, V&& v) {
    if constexpr (in_slots) {
      return owned(entry{std::forward<Key>(k), std::move(v)});
    } else {
      return owned(new entry{std::forward<Key>(k), std::move(v)});
    }
  }

  std::size_t size() const noexcept { return size_; }

  /// All slots, the free ones too.
  slot* begin() const noexcept { return slots_; }
  slot* end() const noexcept { return slots_ != nullptr ? slots_ + mask_ + 1 : nullptr; }

  slot* find(std::size_t hash, const K& k) {
    if (slots_ == nullptr) return nullptr;
    for (std::size_t i = home(hash);; ++i) {
      slot& s = slots_[i & mask_];
      if (s.hash_ == hash && s.get().key == k) return &s;
      if (s.free()) return nullptr;
    }
  }

  /// Makes sure that the next insert does not fail.
  void reserve_one() {
    if ((size_ + 1) * 4 > (mask_ + 1) * 3) grow();
  }

  /// Its key is not there, and there is room for it.
  slot* insert(std::size_t hash, owned&& fresh) noexcept {
    slot& s = first_free(hash);
    s.fill(hash, std::move(fresh));
    if (++size_ == 1) occupied_.store(true, std::memory_order_seq_cst);
    return &s;
  }

  /// In the place of the entry in s, whose key is equal. Returns that one.
  owned replace(slot* s, owned&& fresh) noexcept {
    owned old = s->empty();
    s->fill(s->hash_, std::move(fresh));
    return old;
  }

  owned take(slot* s) noexcept {
    owned old = s->empty();
    std::size_t hole = static_cast<std::size_t>(s - slots_);
    for (std::size_t i = (hole + 1) & mask_; !slots_[i].free(); i = (i + 1) & mask_) {
      // May it lie in the hole? Not if its home is behind that.
      const std::size_t from_home = (i - home(slots_[i].hash_)) & mask_;
      if (from_home < ((i - hole) & mask_)) continue;
      slots_[hole] = slots_[i];
      hole = i;
    }
    slots_[hole].hash_ = 0;
    if (--size_ == 0) occupied_.store(false, std::memory_order_release);
    return old;
  }

  /// Outside the lock. False: at this moment there is no entry.
  bool seems_occupied() const noexcept { return occupied_.load(std::memory_order_seq_cst); }

  /// The other one has never had an entry.
  void move_to(map_table& other) noexcept {
    other.slots_ = std::exchange(slots_, nullptr);
    other.mask_ = std::exchange(mask_, 0);
    other.bits_ = std::exchange(bits_, 0);
    other.size_ = std::exchange(size_, 0);
    occupied_.store(false, std::memory_order_release);
  }

 private:
  static constexpr std::uint8_t first_bits = 3;

  std::size_t home(std::size_t hash) const noexcept { return hash ^ (hash >> bits_); }

  slot& first_free(std::size_t hash) noexcept {
    std::size_t i = home(hash);
    while (!slots_[i & mask_].free()) ++i;
    return slots_[i & mask_];
  }

  RUNNEL_NOINLINE void grow() {
    const auto bits = static_cast<std::uint8_t>(slots_ == nullptr ? first_bits : bits_ + 1);
    slot* const old = std::exchange(slots_, new slot[std::size_t{1} << bits]);
    const std::size_t old_mask = std::exchange(mask_, (std::size_t{1} << bits) - 1);
    bits_ = bits;
    if (old == nullptr) return;
    for (std::size_t i = 0; i <= old_mask; ++i) {
      if (!old[i].free()) first_free(old[i].hash_) = old[i];
    }
    delete[] old;
  }

  slot* slots_ = nullptr;  // mask_ + 1, a power of two; null before the first entry
  std::size_t mask_ = 0;
  std::size_t size_ = 0;
  // size_ != 0, for who looks from outside. Changed inside the lock; becomes true by a sequentially
  // consistent store: of two who each store in one part and then look into the other's, at least
  // one finds something, as if both had used the locks.
  std::atomic<bool> occupied_{false};
  std::uint8_t bits_ = 0;  // the number of bits of mask_
};

}  // namespace runnel::detail

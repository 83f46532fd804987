// The lock inside every channel, mutex and other waitable object: short critical sections, no parks
// inside, never held by user code.
//
// It is a one-byte spin lock with a bias. A locked instruction costs 7-8 ns where this was written
// and a channel operation's own work 2 ns, so an object used by one thread for a while (all the
// goroutines of one processor) is biased to that thread, which then enters with plain stores.
//
// Protocol
//   owner_   the thread the lock is biased to, or nobody(). Written only by the holder of word_.
//   word_    the ordinary lock; 1 = held. Everyone but the owner enters through it.
//   owner_->holding[slot] == this   the owner is inside (or about to look).
//
//   owner enters:    holding = this; [A] compiler fence; if owner_ == me: inside
//                    else: holding = null; enter through word_.
//   others enter:    word_ = 1 (acquire); if owner_ is a thread: owner_ = nobody;
//                    [B] heavy fence (membarrier: a full fence on every running thread);
//                    wait until no slot of the former owner says this.
//   Dekker: the owner stores holding then loads owner_; the revoker stores owner_ then loads
//   holding. B makes the owner's A a full fence exactly when someone looks, so at least one sees
//   the other. holding belongs to the thread, not to the lock, so that a stale store of a former
//   owner can never be mistaken for, or erase, that of the present one. Leaving: the holder knows
//   how it entered by its own slot, which only it writes.
//
// A lock becomes biased when one thread has taken it through word_ bias_streak times running; each
// revocation doubles that number, so the total cost of revocations stays within a constant factor
// of the locked instructions saved. Without membarrier (old kernels, some emulators) nothing is
// biased.
//
// Goroutines on several threads that do next to nothing but wait for one lock are faster on one
// thread, where the lock is biased. A channel's operations, who hold nothing yet, may therefore go
// over to the processor of whom they wait for (lock_joining; src/runtime/join.cpp).
//
// Waiting spins, then yields the CPU, then sleeps in growing steps (the holder may be a preempted
// thread): a futex would need a locked instruction in every unlock to learn of sleepers.
#pragma once

#include <atomic>
#include <cstdint>
#include <runnel/detail/config.hpp>
#include <runnel/detail/thread.hpp>

namespace runnel::detail {

class object_lock {
 public:
  constexpr object_lock() noexcept = default;
  object_lock(const object_lock&) = delete;
  object_lock& operator=(const object_lock&) = delete;

  /// Enters. A thread that holds several locks at once gives each its own slot.
  RUNNEL_INLINE void lock(std::size_t slot = 0) noexcept {
    thread* me = current_thread();
    if (__builtin_expect(!enter_biased(me, slot), 0)) lock_slow(me);
  }

  /// Enters as lock() does, but may let the calling goroutine, which must hold no lock, go over to
  /// another processor first: on return the thread may be another one.
  RUNNEL_INLINE void lock_joining() noexcept {
    if (__builtin_expect(!enter_biased(current_thread(), 0), 0)) lock_joining_slow();
  }

  /// Enters only where the lock is biased to this thread; what inlined paths use, so that the
  /// rest stays out of line.
  RUNNEL_INLINE bool try_lock_biased(thread* me, std::size_t slot = 0) noexcept {
    return enter_biased(me, slot);
  }

  /// Leaves what try_lock_biased entered.
  RUNNEL_INLINE void unlock_biased(thread* me, std::size_t slot = 0) noexcept {
    me->holding[slot].store(nullptr, std::memory_order_release);  // pairs with revoke
  }

  RUNNEL_INLINE void unlock(std::size_t slot = 0) noexcept { unlock(current_thread(), slot); }

  RUNNEL_INLINE void unlock(thread* me, std::size_t slot) noexcept {
    if (__builtin_expect(me != nullptr && me->holding[slot].load(std::memory_order_relaxed) == this,
                         1)) {
      me->holding[slot].store(nullptr, std::memory_order_release);  // pairs with revoke
    } else {
      word_.store(0, std::memory_order_release);  // pairs with lock_slow
    }
  }

  /// Enters without ever using or granting a bias: for holders of more locks than there are slots.
  RUNNEL_API void lock_plain() noexcept;
  void unlock_plain() noexcept { word_.store(0, std::memory_order_release); }

  /// For a lock that has one natural owner for good (a processor's queue): sets the bias.
  /// The caller must be the only one who knows the lock, or hold it by lock_plain.
  void bias_to(thread* owner) noexcept { owner_.store(owner, std::memory_order_relaxed); }

  /// Tries to enter in place of the natural owner; on success the caller must give the bias back by
  /// unlock_visit.
  RUNNEL_API bool try_lock_visit() noexcept;
  void unlock_visit(thread* owner) noexcept {
    // What the visitor did comes first: the owner enters by this alone (acquire in enter_biased).
    owner_.store(owner, std::memory_order_release);
    word_.store(0, std::memory_order_release);
  }

 private:
  // The slot is null: see lock. Rejected: a look at owner_ first, which spares those who are not it
  // two plain stores before their locked instruction and costs the owner a quarter of an
  // uncontended mutex's lock and unlock (5.0 instead of 3.7 ns at one processor, Go 5.2).
  RUNNEL_INLINE bool enter_biased(thread* me, std::size_t slot) noexcept {
    if (__builtin_expect(me == nullptr, 0)) return false;
    me->holding[slot].store(this, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);  // made a full fence by revoke
    if (__builtin_expect(owner_.load(std::memory_order_acquire) == me, 1)) return true;
    me->holding[slot].store(nullptr, std::memory_order_release);
    return false;
  }
  RUNNEL_API void lock_slow(thread* me) noexcept;
  RUNNEL_API void lock_joining_slow() noexcept;
  void acquire_word() noexcept;
  bool wait_for_word() noexcept;
  bool join_last(thread* me, std::uint64_t begun, bool soon) noexcept;
  void note_entry(thread* me) noexcept;
  void revoke(thread* owner) noexcept;

  std::atomic<thread*> owner_{nullptr};  // null: nobody
  thread* last_ = nullptr;               // guarded by word_: who took word_ last
  std::atomic<std::uint8_t> word_{0};
  std::uint8_t revocations_ = 0;  // guarded by word_
  std::uint16_t streak_ = 0;      // guarded by word_: times running last_ took word_
  std::uint32_t went_ = 0;        // guarded by word_: 1 + number of the thread last gone over from
};

/// RAII for one object_lock.
class lock_guard {
 public:
  RUNNEL_INLINE explicit lock_guard(object_lock& l) noexcept : lock_(l) { lock_.lock(); }
  RUNNEL_INLINE ~lock_guard() { lock_.unlock(); }
  lock_guard(const lock_guard&) = delete;
  lock_guard& operator=(const lock_guard&) = delete;

 private:
  object_lock& lock_;
};

}  // namespace runnel::detail

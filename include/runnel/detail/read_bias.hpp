// What lets readers of a shared_mutex pass it by: while a bias is open they enter and leave with
// two plain stores each to a line of their own thread, where taking and giving back a share costs
// two locked instructions (8 ns each where this was written) and the lines of the lock. The first
// writer who comes closes it and pays for all of them. The idea is BRAVO's (Dice and Kogan, 2019),
// with a slot in the thread's record in place of a table of readers, and membarrier in place of
// their fence.
//
// Protocol
//   open_            readers may pass the lock by. Becomes true only under a share of the lock, or
//                    under the exclusive lock by a holder that changes nothing any more; false only
//                    under the exclusive lock. So it is false while a writer changes anything.
//   thread::reading  == this: a reader that came from this thread is inside (or about to look).
//
//   reader enters:   slot null? reading = this; [A] compiler fence; if open_: inside
//                    else: reading = null; take a share.
//   reader leaves:   reading = null in the record it entered by.
//   writer enters:   takes the exclusive lock; if open_: open_ = false;
//                    [B] heavy fence (membarrier: a full fence on every running thread);
//                    wait until no record says this.
//   Dekker: the reader stores reading then loads open_; the writer stores open_ then loads reading.
//   B makes A a full fence exactly when someone looks, so at least one sees the other: a reader
//   that is inside is waited for, and one that comes sees `false` and queues for the lock, until
//   the bias is opened again, which needs a share, hence no writer inside. A thread whose record
//   was linked after B began entered its first bias after B, too, and sees `false`.
//
//   Pairs: reading = null (release) with the writer's walk (acquire): what was read was read before
//   it is overwritten. open_ = true (release) with the reader's second look (acquire): the opener's
//   share came after the last writer's unlock, so readers see what that one wrote.
//
// User code runs inside (== and copies), and may use other biases, park, and come back on another
// thread. So the slot is that of the thread it entered on, which the guard remembers and clears
// from afar: the owner loads the slot (acquire) and stores to it (release), lest a writer that
// sees the owner's next value miss that clear. Whoever finds the slot of its thread in use, by a
// reader around it or by one that is parked, takes a share. The reader a writer waits for may also
// be waiting for the writer's processor; hence the writer yields, then sleeps, in growing steps.
//
// When to open. Closing costs the writer some 1 to 2 us, mostly the membarrier. A bias opens after
// so many reads through the lock as cost about twice that. Each closing that came sooner after the
// opening than worth_open times what it took itself doubles that number, up to most_reads; each
// that came later halves it. So the cost of closing stays a fraction of that of the reads. Reads
// through the lock are counted by the thread, and passed on by `sample`: a common counter would be
// a line that all readers write.
//
// Without membarrier (old kernels, some emulators) nothing is opened. Nor is it for race-detecting
// programs, for which the lock announces the edges of the memory model.
#pragma once

#include <atomic>
#include <cstdint>
#include <runnel/detail/config.hpp>
#include <runnel/detail/thread.hpp>
#include <runnel/sync/shared_mutex.hpp>

namespace runnel::detail {

class read_bias {
 public:
  constexpr read_bias() noexcept = default;
  read_bias(const read_bias&) = delete;
  read_bias& operator=(const read_bias&) = delete;

  /// Enters past the lock. Returns the thread to leave() with; null: the caller is not inside.
  RUNNEL_INLINE thread* enter() noexcept {
    thread* me = current_thread();
    if (!open_.load(std::memory_order_relaxed) || me == nullptr ||
        __builtin_expect(me->reading.load(std::memory_order_acquire) != nullptr, 0)) {
      return nullptr;
    }
    me->reading.store(this, std::memory_order_release);
    std::atomic_signal_fence(std::memory_order_seq_cst);  // made a full fence by close
    if (__builtin_expect(open_.load(std::memory_order_acquire), 1)) return me;
    leave(me);
    return nullptr;
  }
  RUNNEL_INLINE static void leave(thread* entered) noexcept {
    entered->reading.store(nullptr, std::memory_order_release);  // pairs with close
  }

  /// A hint: what changes something would have to close it.
  bool is_open() const noexcept { return open_.load(std::memory_order_relaxed); }

  /// Takes a share of the lock for a reader that enter() refused.
  RUNNEL_API void enter_slow(shared_mutex& lock);
  RUNNEL_API static void leave_slow(shared_mutex& lock);

  /// Notes a read that went through the lock, while the lock is held. The holder of the exclusive
  /// lock must change nothing afterwards.
  RUNNEL_API void count_read() noexcept;

  /// For a writer who has just got the exclusive lock; returns when no reader is inside.
  RUNNEL_INLINE void keep_out() noexcept {
    if (__builtin_expect(open_.load(std::memory_order_relaxed), 0)) close();
  }

 private:
  static constexpr std::uint32_t first_reads = 256;

  void open() noexcept;
  RUNNEL_API void close() noexcept;

  std::atomic<bool> open_{false};
  std::atomic<std::uint32_t> reads_{0};        // since it was closed; some may be lost
  std::uint32_t reads_to_open_ = first_reads;  // written under the exclusive lock
  std::atomic<std::int64_t> opened_at_{0};     // steady nanoseconds; written by openers
};

/// RAII: shared access to what a bias and its lock guard.
class biased_reader {
 public:
  RUNNEL_INLINE biased_reader(read_bias& bias, shared_mutex& lock) : lock_(lock) {
    if constexpr (inline_paths) {
      entered_ = bias.enter();
      if (__builtin_expect(entered_ == nullptr, 0)) bias.enter_slow(lock);
    } else {
      lock.lock_shared();
    }
  }
  RUNNEL_INLINE ~biased_reader() {
    if (__builtin_expect(entered_ != nullptr, 1)) {
      read_bias::leave(entered_);
    } else {
      read_bias::leave_slow(lock_);
    }
  }
  biased_reader(const biased_reader&) = delete;
  biased_reader& operator=(const biased_reader&) = delete;

 private:
  shared_mutex& lock_;
  thread* entered_ = nullptr;
};

/// RAII: shared access, where that is to be had past the lock; else none.
class biased_glance {
 public:
  RUNNEL_INLINE explicit biased_glance(read_bias& bias) noexcept {
    if constexpr (inline_paths) entered_ = bias.enter();
  }
  RUNNEL_INLINE ~biased_glance() {
    if (entered_ != nullptr) read_bias::leave(entered_);
  }
  biased_glance(const biased_glance&) = delete;
  biased_glance& operator=(const biased_glance&) = delete;

  explicit operator bool() const noexcept { return entered_ != nullptr; }

 private:
  thread* entered_ = nullptr;
};

/// RAII: exclusive access to what a bias and its lock guard.
class biased_writer {
 public:
  RUNNEL_INLINE biased_writer(read_bias& bias, shared_mutex& lock) : lock_(lock) {
    lock_.lock();
    if constexpr (inline_paths) bias.keep_out();
  }
  RUNNEL_INLINE ~biased_writer() { lock_.unlock(); }
  biased_writer(const biased_writer&) = delete;
  biased_writer& operator=(const biased_writer&) = delete;

 private:
  shared_mutex& lock_;
};

}  // namespace runnel::detail

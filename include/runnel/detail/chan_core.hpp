// The engine of every channel, without the type of what it carries. Go: runtime.hchan.
//
// One allocation: a chan_core, then the ring. Everything but the atomics read by the lock-free
// looks is guarded by lock(). The protocol is described in src/chan/chan_core.cpp.
//
// Invariants, whenever the lock is free
//  - Somebody waits to receive only while nothing is buffered: receivers_ not empty => count_ == 0.
//  - Somebody waits to send only while the ring is full: senders_ not empty => count_ == capacity_.
//  - Not both wait, unless each pair of them belongs to one select, which never meets itself.
//  - phase closed => nobody waits. It stays so.
//  - phase dormant only for the channel of a timer; then nothing is buffered.
//  - put_ is (take_ + count_) modulo capacity_.
//
// The inlined paths below do one operation on the buffer where the lock is biased to the calling
// thread and nobody waits: no locked instruction and no call. Everything else is out of line.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <runnel/detail/chan_element.hpp>
#include <runnel/detail/park.hpp>
#include <runnel/detail/selectable.hpp>

namespace runnel {

/// How an operation that does not wait ended.
enum class chan_status : std::uint8_t { ok, would_block, closed };

namespace detail {

/// Builds the element to be sent at `to` from whatever `value` is. False: it could not; the reason
/// is kept where `value` leads, for the sender to throw. Runs at most once with result true.
using make_element = bool (*)(void* to, void* value) noexcept;

/// What a sender offers: an element to be moved from (make == null), or the means to build one at
/// the moment it is wanted, for a value that must stay untouched unless it is sent.
struct send_source {
  void* value;
  make_element make = nullptr;
};

struct race_token;

#if RUNNEL_RACE || RUNNEL_TSAN
/// The tokens of operations that nobody has matched yet; see src/chan/race_tokens.hpp.
struct race_ledger {
  struct queue {
    race_token* first = nullptr;
    race_token* last = nullptr;
  };
  explicit race_ledger(std::size_t capacity) noexcept : free_sends(capacity) {}
  std::size_t free_sends;  // sends to come that need wait for no receive
  queue sent;              // of buffered elements, in their order
  queue taken;             // of receives, for the sends they make room for
};
#endif

/// A wait on a channel. slot: where the element goes to, or send_source::value.
/// How it ended: ok true: done. ok false: closed; or, with slot null, nothing has happened to the
/// channel: a receiver tries again, a sender's element could not be made.
struct chan_waiter : waiter {
  make_element make = nullptr;
#if RUNNEL_RACE || RUNNEL_TSAN
  race_token* mine = nullptr;  // see src/chan/race_tokens.hpp
  race_token* theirs = nullptr;
#endif
};

/// What an operation that was decided inside the lock still owes to others after it.
struct handoff {
  chan_waiter* peer = nullptr;  // popped: the element still has to go to it, or come from it
  waiter* served = nullptr;     // chain of waiters with nothing more to come, to be made ready
#if RUNNEL_RACE || RUNNEL_TSAN
  race_token* mine = nullptr;
  race_token* theirs = nullptr;
#endif
};

enum class chan_outcome : std::uint8_t {
  done,
  would_block,
  closed,
  failed,  // the element could not be made; the channel is as it was
};

/// How far an inlined attempt got.
enum class chan_entry : std::uint8_t {
  done,
  inside,   // the lock is held, but the rest is not for the inlined path
  outside,  // the lock is not biased to this thread
};

class chan_core : public selectable {
 public:
  enum class phase : std::uint8_t {
    open,
    // A timer is armed, but only here: nobody will send, whoever comes to receive looks at the
    // clock (element_ops::take_due). The looks call such a channel receivable, as it may be.
    dormant,
    closed,
  };

  /// A channel with one reference. Throws panic("makechan: size out of range"), std::bad_alloc.
  RUNNEL_API static chan_core* make(const element_ops& ops, std::size_t capacity);

  void add_reference() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
  /// Frees the channel, and destroys what it still buffers, if this was the last one.
  void drop_reference() noexcept;

  // The four operations. c may be null (the nil channel). `inside`: the caller has entered the
  // lock, which is left in every case.

  /// Blocks. Throws panic("send on closed channel"), and then *element is untouched.
  RUNNEL_API static void send(chan_core* c, void* element, bool inside);
  /// Blocks. Builds the element at `to`; false: closed and drained. Throws std::bad_alloc, only for
  /// the channel of a timer.
  RUNNEL_API static bool recv(chan_core* c, void* to, bool inside);
  /// done, would_block or failed. Throws panic("send on closed channel").
  RUNNEL_API static chan_outcome try_send(chan_core* c, send_source source);
  /// done, would_block or closed.
  RUNNEL_API static chan_outcome try_recv(chan_core* c, void* to);
  /// Throws panic("close of closed channel"), panic("close of nil channel").
  RUNNEL_API static void close(chan_core* c);

  // For the channels of timers, which only a timer sends to.

  /// try_send for a timer's fire function, which runs under a lock and must not call ready: the
  /// parker to be made ready is returned (null: none). `sent` says whether the element was moved
  /// from; it is not where the channel is full or closed.
  RUNNEL_API parker* send_from_timer(void* element, bool& sent) noexcept;
  bool is_dormant() const noexcept {
    return phase_.load(std::memory_order_relaxed) == phase::dormant;
  }
  /// With the lock held. Not dormant: open.
  void set_dormant(bool dormant) noexcept {
    phase_.store(dormant ? phase::dormant : phase::open, std::memory_order_relaxed);
  }
  /// element_ops::get_sender, of a channel that is or was dormant.
  void get_sender() { ops_->get_sender(extra()); }
  /// Destroys what is buffered (Go: timerchandrain). True if there was something. The caller keeps
  /// the timer from firing meanwhile.
  RUNNEL_API bool discard_buffered() noexcept;
  /// The element_ops::extra bytes, aligned as new aligns; uninitialised at first.
  RUNNEL_API void* extra() noexcept;
  /// The same if the channel belongs to who retires it so, else null.
  void* extra_of(bool (*retire)(void* extra) noexcept) noexcept {
    return ops_->retire == retire ? extra() : nullptr;
  }
  /// Ends the channel, whoever refers to it.
  RUNNEL_API void free() noexcept;
  /// Orders what the caller has done before everything that follows a receive (Go's racerelease
  /// when a timer is armed). Only the race detector cares; only for ops with looks_unbuffered.
  void timer_armed() noexcept {
#if RUNNEL_RACE || RUNNEL_TSAN
    race_release_merge(&timer_word_);
#endif
  }

  std::size_t size() const noexcept {
    return ops_->looks_unbuffered ? 0 : count_.load(std::memory_order_acquire);
  }
  std::size_t capacity() const noexcept { return ops_->looks_unbuffered ? 0 : capacity_; }

  // Looks without the lock, for operations that do not wait. Not ready is an answer (there was a
  // moment within the call when it was true); ready is a hint.

  /// A send would have to wait.
  bool looks_unsendable() const noexcept {
    // In this order: see the head of chan_core.cpp. The fence costs nothing on x86.
    const bool full = count_.load(std::memory_order_relaxed) >= capacity_ && receivers_.empty();
    std::atomic_thread_fence(std::memory_order_acquire);
    return full && phase_.load(std::memory_order_relaxed) != phase::closed;
  }
  /// A receive would have to wait.
  bool looks_unreceivable() const noexcept {
    const bool empty = count_.load(std::memory_order_relaxed) == 0 && senders_.empty();
    std::atomic_thread_fence(std::memory_order_acquire);
    return empty && phase_.load(std::memory_order_relaxed) == phase::open;
  }

  /// Closed, with nothing left to receive: for ever. Synchronizes with close.
  bool is_drained() const noexcept {
    return phase_.load(std::memory_order_acquire) == phase::closed &&
           count_.load(std::memory_order_relaxed) == 0;
  }

  /// Hints: put_inline, take_inline might do it.
  bool looks_puttable() const noexcept {
    return count_.load(std::memory_order_relaxed) < capacity_ && receivers_.empty();
  }
  bool looks_takable() const noexcept { return count_.load(std::memory_order_relaxed) != 0; }

  // The inlined paths. `done`: v was moved into the buffer / the first element was given to f,
  // which must leave nothing to be destroyed of it but the shell.
  template <class E>
  RUNNEL_INLINE static chan_entry put_inline(chan_core* c, E& v) noexcept;
  template <class E, class F>
  RUNNEL_INLINE static chan_entry take_inline(chan_core* c, F&& f) noexcept;
  // The same for chan<void>.
  RUNNEL_INLINE static chan_entry put_inline_void(chan_core* c) noexcept;
  RUNNEL_INLINE static chan_entry take_inline_void(chan_core* c) noexcept;
  /// Leaves the lock after chan_entry::inside.
  RUNNEL_INLINE void leave_inline() noexcept { leave_biased(current_thread()); }

  // For select, with the lock held: defined in src/chan/transfer.hpp. After `done` the caller
  // leaves the lock (all locks it holds) and calls the finish function.

  chan_outcome begin_send(send_source source, handoff& h) noexcept;
  chan_outcome begin_recv(void* to, handoff& h) noexcept;
  /// False: the element could not be made; the peer was told to try again.
  bool finish_send(send_source source, handoff& h) noexcept;
  /// False: the peer's element could not be made; try again.
  bool finish_recv(void* to, handoff& h) noexcept;
  wait_queue& receivers() noexcept { return receivers_; }
  wait_queue& senders() noexcept { return senders_; }

#if RUNNEL_RACE || RUNNEL_TSAN
  /// Where a send "reads" and a close "writes", so that the race detector reports the two if
  /// nothing orders them.
  volatile char& race_byte() noexcept { return race_byte_; }
  RUNNEL_API bool race_is_closed() const noexcept;
  // The end of an operation whose element came from, or failed to come from, elsewhere.
  void race_closed() const noexcept { race_acquire(&close_word_); }
  void race_received() const noexcept {
    if (ops_->looks_unbuffered) race_acquire(&timer_word_);
  }
#else
  void race_closed() const noexcept {}
  void race_received() const noexcept {}
#endif

 private:
  chan_core(const element_ops& ops, std::size_t capacity) noexcept
      : capacity_(capacity), ops_(&ops) {}
  ~chan_core() = default;
  RUNNEL_API void destroy() noexcept;
  RUNNEL_API void drop_reference_unseen() noexcept;

  RUNNEL_INLINE void leave_biased(thread* me) noexcept {
    // What lock_.unlock would find out by itself: the lock was entered through the bias.
    me->holding[0].store(nullptr, std::memory_order_release);
  }
  std::size_t after(std::size_t index) const noexcept {
    return index + 1 == capacity_ ? 0 : index + 1;  // a division would cost 20 cycles
  }
  template <class E>
  E* ring() noexcept {
    constexpr std::size_t offset = (sizeof(chan_core) + alignof(E) - 1) / alignof(E) * alignof(E);
    return reinterpret_cast<E*>(reinterpret_cast<std::byte*>(this) + offset);
  }
  RUNNEL_INLINE bool can_put(std::size_t count) const noexcept {
    return count < capacity_ && receivers_.empty() &&
           phase_.load(std::memory_order_relaxed) == phase::open;
  }
  RUNNEL_INLINE bool can_take(std::size_t count) const noexcept {
    return count != 0 && senders_.empty();
  }
  // `count`: what count_ is before.
  RUNNEL_INLINE void count_put(std::size_t index, std::size_t count) noexcept {
    put_ = after(index);
    count_.store(count + 1, std::memory_order_relaxed);
  }
  RUNNEL_INLINE void count_taken(std::size_t index, std::size_t count) noexcept {
    take_ = after(index);
    count_.store(count - 1, std::memory_order_relaxed);
  }
  void* slot(std::size_t index) noexcept;
  chan_outcome begin_recv_unopen(void* to) noexcept;
  void refill(std::size_t index, handoff& h) noexcept;
  bool take_waiters(int most, waiter*& first) noexcept;

  std::atomic<std::size_t> count_{0};
  const std::size_t capacity_;
  std::size_t put_ = 0;   // where the next element goes
  std::size_t take_ = 0;  // where the oldest one is
  std::atomic<phase> phase_{phase::open};
#if RUNNEL_RACE || RUNNEL_TSAN
  volatile char race_byte_ = 0;
  char close_word_ = 0;  // names of clocks
  char timer_word_ = 0;
#endif
  wait_queue receivers_;
  wait_queue senders_;
  const element_ops* const ops_;
  std::atomic<std::size_t> references_{1};
#if RUNNEL_RACE || RUNNEL_TSAN
  race_ledger race_ledger_{capacity_};
#endif
};

inline void chan_core::drop_reference() noexcept {
  // The detector must not take this for an ordering: in Go there is nothing here.
  if constexpr (race_enabled) return drop_reference_unseen();
  // The last reference of all needs no locked instruction. acq_rel: destroy comes after every use.
  if (references_.load(std::memory_order_acquire) == 1 ||
      references_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    destroy();
  }
}

template <class E>
RUNNEL_INLINE chan_entry chan_core::put_inline(chan_core* c, E& v) noexcept {
  if constexpr (!inline_paths) return chan_entry::outside;
  thread* me = current_thread();
  if (c == nullptr || !c->lock_.try_lock_biased(me)) return chan_entry::outside;
  const std::size_t count = c->count_.load(std::memory_order_relaxed);
  if (__builtin_expect(!c->can_put(count), 0)) return chan_entry::inside;
  const std::size_t index = c->put_;
  ::new (static_cast<void*>(c->ring<E>() + index)) E(std::move(v));
  c->count_put(index, count);
  c->leave_biased(me);
  return chan_entry::done;
}

template <class E, class F>
RUNNEL_INLINE chan_entry chan_core::take_inline(chan_core* c, F&& f) noexcept {
  if constexpr (!inline_paths) return chan_entry::outside;
  thread* me = current_thread();
  if (c == nullptr || !c->lock_.try_lock_biased(me)) return chan_entry::outside;
  const std::size_t count = c->count_.load(std::memory_order_relaxed);
  if (__builtin_expect(!c->can_take(count), 0)) return chan_entry::inside;
  const std::size_t index = c->take_;
  E* e = c->ring<E>() + index;
  f(*e);
  e->~E();
  c->count_taken(index, count);
  c->leave_biased(me);
  return chan_entry::done;
}

RUNNEL_INLINE chan_entry chan_core::put_inline_void(chan_core* c) noexcept {
  if constexpr (!inline_paths) return chan_entry::outside;
  thread* me = current_thread();
  if (c == nullptr || !c->lock_.try_lock_biased(me)) return chan_entry::outside;
  const std::size_t count = c->count_.load(std::memory_order_relaxed);
  if (__builtin_expect(!c->can_put(count), 0)) return chan_entry::inside;
  c->count_put(c->put_, count);
  c->leave_biased(me);
  return chan_entry::done;
}

RUNNEL_INLINE chan_entry chan_core::take_inline_void(chan_core* c) noexcept {
  if constexpr (!inline_paths) return chan_entry::outside;
  thread* me = current_thread();
  if (c == nullptr || !c->lock_.try_lock_biased(me)) return chan_entry::outside;
  const std::size_t count = c->count_.load(std::memory_order_relaxed);
  if (__builtin_expect(!c->can_take(count), 0)) return chan_entry::inside;
  c->count_taken(c->take_, count);
  c->leave_biased(me);
  return chan_entry::done;
}

}  // namespace detail
}  // namespace runnel

// Channels: who meets whom, and when.
//
// States of a channel, seen with its lock free
//   open, c buffered of C:   c < C: sends go into the ring at once.   c > 0: receives come out of
//   it. receivers wait:          only at c == 0. The next send goes straight to the first of them.
//   senders wait:            only at c == C. The next receive takes the oldest element and lets the
//                            first of them fill the freed slot (C == 0: takes its element
//                            directly).
//   closed:                  nobody waits; what is buffered is still received, then "closed".
//   dormant, c == 0:         a timer's, which is in no heap (timer_channel.hpp). A receive asks the
//                            clock; before it waits it has the timer put in a heap, and the channel
//                            is open.
// Each operation looks once, under the lock, and either completes, or links itself and parks; so
// whoever came first is served first, and a new arrival cannot overtake: it completes at once only
// in states in which nobody of its kind waits.
//
// Why no wakeup is lost. A waiter is linked under the lock in the same section in which its
// operation was found impossible. Whatever makes it possible (a send, a receive, close) happens in
// a later section, sees the waiter, and pops it: the popped waiter is completed by that operation,
// no other can find it any more, and it is made ready exactly once. It may be made ready before it
// has parked; park is built for that (detail/park.hpp).
//
// Who wins. A waiter of send or recv has one waker: who pops it. A waiter of a select shares its
// claim with the other cases and a time-out; popping it claims it (wait_queue::pop), and one that
// was claimed elsewhere is skipped. A running operation is never claimable itself, so two selects
// that try each other cannot claim each other at the same time.
//
// Where elements move. From and to the ring: inside the lock. Between two that meet: after the lock
// was left, for the popped one cannot run before it is made ready, so its slot stays. Thus the
// direct hand-off runs no user code inside the lock. Making an element for a select's send case
// (make_element) may fail; then the sender is told and the operation goes on with the next one, or,
// where a popped receiver would be left without its element, that one tries again from the start.
//
// A channel found closed and then empty stays so: nothing is sent after close, so the count, which
// the look at phase_ has made visible as of close, only falls. is_drained needs no lock.
//
// close takes the waiters out and makes them ready outside the lock, a batch at a time, so that a
// million of them keep nobody from the lock for long, and each is still in the cache when its turn
// comes. Senders among them throw: those that a batch has left in the queue of a closed channel are
// nobody's to complete.
//
// Lock-free looks (looks_unsendable, looks_unreceivable). Not ready is read first, then not closed.
// Closing is for ever, so at the moment of the first read the channel was open and not ready: that
// is the moment the answer holds for. (If it was dormant at the first read and open at the second:
// the moment when it ceased to be dormant, as what was due had been received then, or had not been
// sent.) With the reads the other way round the channel could be
// closed in between and the answer would be wrong at every moment.
#include <array>
#include <limits>
#include <new>
#include <runnel/detail/chan_core.hpp>
#include <runnel/detail/fatal.hpp>
#include <utility>

#include "chan/transfer.hpp"
#include "runtime/only_machine.hpp"

namespace runnel::detail {
namespace {

[[noreturn]] void wait_for_ever(wait_reason reason) noexcept {
  for (;;) park(reason);
}

std::size_t extra_offset(const element_ops& ops, std::size_t capacity) noexcept {
  constexpr std::size_t align = __STDCPP_DEFAULT_NEW_ALIGNMENT__;
  return (ring_offset(ops) + capacity * ops.size + align - 1) / align * align;
}

constexpr int close_batch = 256;

}  // namespace

chan_core* chan_core::make(const element_ops& ops, std::size_t capacity) {
  constexpr std::size_t most = std::numeric_limits<std::ptrdiff_t>::max();
  constexpr std::size_t most_bytes = std::size_t{1} << 47;  // the address space, as in Go
  const std::size_t header = ring_offset(ops);
  if (capacity > most || (ops.size != 0 && capacity > (most_bytes - header) / ops.size)) {
    throw_panic("makechan: size out of range");
  }
  const std::size_t bytes =
      ops.extra == 0 ? header + capacity * ops.size : extra_offset(ops, capacity) + ops.extra;
  const race_ignore ignore;
  void* memory = ops.align <= __STDCPP_DEFAULT_NEW_ALIGNMENT__
                     ? ::operator new(bytes, std::nothrow)
                     : ::operator new(bytes, std::align_val_t(ops.align), std::nothrow);
  if (memory == nullptr) throw std::bad_alloc();
  auto* c = ::new (memory) chan_core(ops, capacity);
  // With one processor whoever meets here most likely does so on this machine: skip the time in
  // which a lock finds out, which a channel used a few times does not outlive.
  if (thread* only = runtime::only_machine()) c->lock_.bias_to(only);
  return c;
}

void* chan_core::extra() noexcept {
  return reinterpret_cast<std::byte*>(this) + extra_offset(*ops_, capacity_);
}

void chan_core::destroy() noexcept {
  if (ops_->retire == nullptr || ops_->retire(extra())) free();
}

void chan_core::free() noexcept {
  const element_ops& ops = *ops_;
#if RUNNEL_RACE
  tokens_destroy(race_ledger_);
#endif
  if (ops.destroy != nullptr) {
    std::size_t index = take_;
    for (std::size_t n = count_.load(std::memory_order_relaxed); n != 0; --n) {
      ops.destroy(slot(index));
      index = after(index);
    }
  }
  const race_ignore ignore;
  this->~chan_core();
  if (ops.align <= __STDCPP_DEFAULT_NEW_ALIGNMENT__) {
    ::operator delete(this);
  } else {
    ::operator delete(this, std::align_val_t(ops.align));
  }
}

/// begin_recv where nothing is buffered and the channel is closed or dormant.
chan_outcome chan_core::begin_recv_unopen(void* to) noexcept {
  if (!is_dormant()) return chan_outcome::closed;
  return ops_->take_due(extra(), to) ? chan_outcome::done : chan_outcome::would_block;
}

/// The ring was full and slot `index`, the next to be used, has become free: for the first sender.
void chan_core::refill(std::size_t index, handoff& h) noexcept {
  if (phase_.load(std::memory_order_relaxed) == phase::closed) return;
  while (chan_waiter* w = pop(senders_)) {
    const bool made = build_element(*ops_, slot(index), w->slot, w->make);
    finish_peer(*w, made);
    w->next = h.served;
    h.served = w;
    if (made) {
#if RUNNEL_RACE
      tokens_sent(race_ledger_, *w);
      tokens_room(race_ledger_, *w);
#endif
      count_put(index, capacity_ - 1);
      return;
    }
  }
}

void chan_core::send(chan_core* c, void* element, bool inside) {
  if (c == nullptr) wait_for_ever(wait_reason::chan_send_nil);
  parker* const me = self();
  const send_source source{element};
  handoff h;
  tokens_begin(h);
  if (!inside) c->lock_.lock_joining();
  const chan_outcome outcome = c->begin_send(source, h);
  if (outcome == chan_outcome::done) {
    c->lock_.unlock();
    c->finish_send(source, h);
    return;
  }
  if (outcome == chan_outcome::would_block) {
    chan_waiter w;
    w.who = me;
    w.slot = element;
    tokens_park(h, w);
    c->senders_.push_back(w);
    c->lock_.unlock();
    park(wait_reason::chan_send);
    tokens_wake(w);
    if (__builtin_expect(w.ok, 1)) return;
    c->race_closed();
  } else {
    c->lock_.unlock();
    tokens_end(h);
  }
  throw_panic("send on closed channel");
}

bool chan_core::recv(chan_core* c, void* to, bool inside) {
  if (c == nullptr) wait_for_ever(wait_reason::chan_receive_nil);
  parker* const me = self();
  bool asked = c->ops_->get_sender == nullptr;
  for (;; inside = false) {
    handoff h;
    tokens_begin(h);
    if (!inside) c->lock_.lock_joining();
    const chan_outcome outcome = c->begin_recv(to, h);
    if (outcome == chan_outcome::done) {
      c->lock_.unlock();
      if (__builtin_expect(c->finish_recv(to, h), 1)) return true;
      continue;
    }
    if (outcome == chan_outcome::closed) {
      c->lock_.unlock();
      tokens_end(h);
      c->race_closed();
      return false;
    }
    if (!asked || c->is_dormant()) {
      c->lock_.unlock();
      tokens_end(h);
      c->get_sender();
      asked = true;
      continue;
    }
    chan_waiter w;
    w.who = me;
    w.slot = to;
    tokens_park(h, w);
    c->receivers_.push_back(w);
    c->lock_.unlock();
    park(wait_reason::chan_receive);
    tokens_wake(w);
    if (__builtin_expect(w.ok, 1)) {
      c->race_received();
      return true;
    }
    if (w.slot != nullptr) {
      c->race_closed();
      return false;
    }
  }
}

chan_outcome chan_core::try_send(chan_core* c, send_source source) {
  if (c == nullptr || c->looks_unsendable()) return chan_outcome::would_block;
  handoff h;
  tokens_begin(h);
  c->lock_.lock();
  const chan_outcome outcome = c->begin_send(source, h);
  c->lock_.unlock();
  if (outcome == chan_outcome::done) {
    return c->finish_send(source, h) ? outcome : chan_outcome::failed;
  }
  tokens_end(h);
  if (outcome == chan_outcome::closed) throw_panic("send on closed channel");
  return outcome;
}

chan_outcome chan_core::try_recv(chan_core* c, void* to) {
  if (c == nullptr) return chan_outcome::would_block;
  for (;;) {
    if (c->looks_unreceivable()) return chan_outcome::would_block;
    handoff h;
    tokens_begin(h);
    c->lock_.lock();
    const chan_outcome outcome = c->begin_recv(to, h);
    c->lock_.unlock();
    if (outcome == chan_outcome::done) {
      if (c->finish_recv(to, h)) return outcome;
      continue;
    }
    tokens_end(h);
    if (outcome == chan_outcome::closed) c->race_closed();
    return outcome;
  }
}

/// Up to `most` waiters, unlinked and told that the channel is closed; in their order, receivers
/// first. False: there may be more.
bool chan_core::take_waiters(int most, waiter*& first) noexcept {
  waiter** last = &first;
  // Waiters lie on their stacks, a miss each, and only the one before tells where the next one is.
  // Those who began to wait one after the other mostly lie at even distances, but for the colours
  // of their stacks, which come round after eight: so the one after eight more is guessed. (A
  // million at two processors 474 -> 438 ns each, medians of 14; the fastest 340 -> 295. At one no
  // difference.)
  std::array<std::uintptr_t, 8> before{};
  unsigned at = 0;
  for (wait_queue* queue : {&receivers_, &senders_}) {
    while (most > 0) {
      waiter* w = queue->pop();
      if (w == nullptr) break;
      const auto here = reinterpret_cast<std::uintptr_t>(w);
      const std::uintptr_t there = std::exchange(before[at++ % before.size()], here);
      if (there != 0) __builtin_prefetch(reinterpret_cast<const void*>(2 * here - there), 1);
      w->ok = false;
      *last = w;
      last = &w->next;
      --most;
    }
  }
  *last = nullptr;
  return most > 0;
}

void chan_core::close(chan_core* c) {
  if (c == nullptr) throw_panic("close of nil channel");
  c->lock_.lock();
  if (c->phase_.load(std::memory_order_relaxed) == phase::closed) {
    c->lock_.unlock();
    throw_panic("close of closed channel");
  }
#if RUNNEL_RACE
  race_release(&c->close_word_);
#endif
  c->phase_.store(phase::closed, std::memory_order_release);
  waiter* chain = nullptr;
  if (__builtin_expect(c->take_waiters(close_batch, chain), 1)) {
    c->lock_.unlock();
    ready_all(chain);  // any of these may free the channel
    return;
  }
  c->add_reference();
  for (bool all = false; !all;) {
    c->lock_.unlock();
    ready_all(chain);
    c->lock_.lock();
    all = c->take_waiters(close_batch, chain);
  }
  c->lock_.unlock();
  ready_all(chain);
  c->drop_reference();
}

parker* chan_core::send_from_timer(void* element, bool& sent) noexcept {
  const send_source source{element};
  handoff h;
  sent = false;
  lock_.lock();
  const chan_outcome outcome = begin_send(source, h);
  lock_.unlock();
#if RUNNEL_RACE
  drop_token(h.theirs);
#endif
  if (outcome != chan_outcome::done) return nullptr;
  sent = true;
  chan_waiter* w = h.peer;
  if (w == nullptr) return nullptr;
  build_element(*ops_, w->slot, element, nullptr);
  finish_peer(*w, true);
  return w->who;
}

bool chan_core::discard_buffered() noexcept {
  if (count_.load(std::memory_order_relaxed) == 0) return false;  // nor is anybody sending
  lock_.lock();
  std::size_t count = count_.load(std::memory_order_relaxed);
  const bool any = count != 0;
  for (; count != 0; --count) {
    const std::size_t index = take_;
    if (ops_->destroy != nullptr) ops_->destroy(slot(index));
#if RUNNEL_RACE
    drop_token(pop_token(race_ledger_.sent));
    ++race_ledger_.free_sends;
#endif
    count_taken(index, count);
  }
  lock_.unlock();
  return any;
}

void chan_core::drop_reference_unseen() noexcept {
  if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy();
}

#if RUNNEL_RACE
bool chan_core::race_is_closed() const noexcept {
  return phase_.load(std::memory_order_relaxed) == phase::closed;
}
#endif

}  // namespace runnel::detail

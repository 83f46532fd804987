// The edges of Go's memory model for channels, announced to ThreadSanitizer. Race build only;
// otherwise every function here is empty.
//
// Each operation makes a token and releases its clock into it before it touches the channel. The
// channel passes tokens around both ways, each in the order of the operations:
//  - a sender's token travels with its element to the receiver of that element, which acquires it:
//    send -> its receive's completion;
//  - a receiver's token goes to the send that its receive makes room for, which acquires it: the
//    k-th receive's to the (k+C)-th send's completion, C being the capacity, 0 included.
// A token is released once and acquired at most once, by the goroutine it concerns and in its own
// context, so there is no edge between two senders or two receivers, whoever did the work for whom.
// This is what Go's racereleaseacquire on each buffer slot amounts to; on behalf of another
// goroutine Go acts in that one's state, which is not to be had for plain threads here.
// Difference: for elements of size 0 Go orders every operation on a buffered channel after every
// earlier one, because all slots share an address. Here chan<void> has the exact edges too.
//
// An element handed to a waiting receiver counts as having gone through the buffer, as in Go.
#pragma once

#include <new>
#include <runnel/detail/chan_core.hpp>
#include <utility>

#if RUNNEL_RACE
extern "C" {
// Weak: a program that links the race library without -fsanitize=thread still runs.
void AnnotateIgnoreReadsBegin(const char* file, int line) __attribute__((weak));
void AnnotateIgnoreReadsEnd(const char* file, int line) __attribute__((weak));
void AnnotateIgnoreWritesBegin(const char* file, int line) __attribute__((weak));
void AnnotateIgnoreWritesEnd(const char* file, int line) __attribute__((weak));
void AnnotateIgnoreSyncBegin(const char* file, int line) __attribute__((weak));
void AnnotateIgnoreSyncEnd(const char* file, int line) __attribute__((weak));
}
#endif

namespace runnel::detail {

#if RUNNEL_RACE

/// What is allocated and freed within its scope is not taken for an access by the one who does it:
/// who frees a channel last is no event of the program.
class race_ignore {
 public:
  race_ignore() noexcept {
    if (&AnnotateIgnoreReadsBegin == nullptr) return;
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  }
  ~race_ignore() {
    if (&AnnotateIgnoreReadsEnd == nullptr) return;
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  }
  race_ignore(const race_ignore&) = delete;
  race_ignore& operator=(const race_ignore&) = delete;
};

/// An address to name a clock by.
struct race_token {
  race_token* next = nullptr;
};

inline void push_token(race_ledger::queue& q, race_token* token) noexcept {
  token->next = nullptr;
  (q.first != nullptr ? q.last->next : q.first) = token;
  q.last = token;
}
inline race_token* pop_token(race_ledger::queue& q) noexcept {
  race_token* token = q.first;
  if (token != nullptr) q.first = token->next;
  return token;
}

inline void drop_token(race_token* token) noexcept {
  const race_ignore ignore;
  delete token;
}
inline void consume_token(race_token* token) noexcept {
  if (token != nullptr) race_acquire(token);
  drop_token(token);
}

/// Start of an operation. Out of memory ends the program, as it does in the detector itself.
inline void tokens_begin(handoff& h) noexcept {
  {
    const race_ignore ignore;
    h.mine = new race_token;
  }
  race_release(h.mine);
}
/// End of an operation in the context of the one who asked for it.
inline void tokens_end(handoff& h) noexcept {
  consume_token(h.theirs);
  drop_token(h.mine);
}
inline void tokens_park(handoff& h, chan_waiter& w) noexcept {
  w.mine = std::exchange(h.mine, nullptr);
}
/// After a wait.
inline void tokens_wake(chan_waiter& w) noexcept {
  consume_token(w.theirs);
  drop_token(w.mine);
}

// A send, or a receive, takes place. `op`: the handoff of who does it or the waiter of for whom it
// is done. Of two that meet the send comes first for its token to be there, but what it gets from
// the receive comes after that: hence three steps.
template <class Op>
void tokens_sent(race_ledger& l, Op& op) noexcept {
  if (op.mine != nullptr) push_token(l.sent, std::exchange(op.mine, nullptr));
}
template <class Op>
void tokens_received(race_ledger& l, Op& op) noexcept {
  op.theirs = pop_token(l.sent);
  if (op.mine != nullptr) push_token(l.taken, std::exchange(op.mine, nullptr));
}
template <class Op>
void tokens_room(race_ledger& l, Op& op) noexcept {
  if (l.free_sends != 0) {
    --l.free_sends;
  } else {
    op.theirs = pop_token(l.taken);
  }
}
inline void tokens_destroy(race_ledger& l) noexcept {
  // Elements that nobody received are destroyed after they were sent.
  while (race_token* t = pop_token(l.sent)) consume_token(t);
  while (race_token* t = pop_token(l.taken)) drop_token(t);
}

#else

class race_ignore {
 public:
  race_ignore() noexcept {}
};
inline void tokens_begin(handoff&) noexcept {}
inline void tokens_end(handoff&) noexcept {}
inline void tokens_park(handoff&, chan_waiter&) noexcept {}
inline void tokens_wake(chan_waiter&) noexcept {}

#endif

}  // namespace runnel::detail

// Select: how one of many cases wins, and exactly one.
//
// 1. Look. Each case is looked at without a lock; one of those that may be ready is chosen at
//    random (select_ordered: the first) and tried under its own object's lock only. Selects of a
//    few channels look and choose in inlined code (select_cases), which also does the operation if
//    the buffer is all it takes.
// 2. Wait. If that did not do it, all objects are locked, in the order of their addresses, and
//    looked at again; those that may be ready are tried in random order until one succeeds. So the
//    winner is uniform among the ready ones: the first of them in a random permutation, without
//    making one. Now "none is ready" is true of one moment, so `otherwise` may be taken; looking
//    one by one proves nothing, since a value may move from a channel not yet looked at to one
//    already looked at (with a single object the look alone is such a moment, and no lock is
//    taken). Without otherwise a waiter is linked into every object, all locks are left, and the
//    goroutine parks. (Before that, the timers of dormant channels are put in a heap, all locks
//    being left for it and step 2 begun anew.)
// 3. Wake. Whoever makes a case possible pops its waiter and claims the select; whichever claim
//    comes first wins, be it a channel operation, close, another object's waker or the time-out.
//    The winner's waiter is out of its queue; the others are unlinked, one object at a time.
//
// Why exactly one wins. All waiters share one claim_word on this stack. It goes from 0 to the
// winner's tag by one compare-and-swap. A waiter popped by a waker that fails to claim is just
// dropped from its queue (wait_queue::pop goes on to the next), so the loser's object is unchanged.
// A select that is still looking is linked nowhere and cannot be claimed; hence two selects
// facing each other cannot claim each other at once, and a select cannot meet itself: at the second
// look its own waiters are not linked yet.
//
// Why no wakeup is lost. Between the second look and the linking no lock is left, so whatever makes
// a case ready does so before (and is seen by the look) or after (and sees the waiter).
//
// Why nothing dangles. Losing waiters are unlinked under their objects' locks before this frame
// ends; a waker touches a waiter it could not claim only inside that lock. The object of the
// winning case is not touched after the wake.
//
// A wake may turn out to be nothing (chan_waiter, selectable_ops: the element could not be made; a
// lock was free but taken by another): then everything is unlinked and step 2 is done again, with
// the deadline of the first time.
//
// Locks: up to seven at once are entered through their bias, each in a holding slot of its own; the
// rest by lock_plain. Slot 7 is the scheduler's.
#include <algorithm>
#include <new>
#include <runnel/detail/fatal.hpp>
#include <runnel/detail/select_core.hpp>

#include "chan/select_deadline.hpp"
#include "chan/transfer.hpp"
#include "runtime/machine.hpp"

namespace runnel::detail {
namespace {

constexpr std::size_t none = no_case;
constexpr std::size_t biased_slots = holding_slots - 1;

/// A case that waits on an object. (Its object and kind are repeated here: one cache line less.)
struct live_case {
  selectable* object;
  std::uint32_t index;
  select_kind kind;
};
static_assert(select_space >= sizeof(chan_waiter) + sizeof(live_case) + sizeof(std::uint32_t) &&
              select_space % alignof(chan_waiter) == 0);

class selection {
 public:
  selection(select_record* cases, std::size_t n, void* space, bool ordered) noexcept
      : cases_(cases),
        n_(n),
        waiters_(static_cast<chan_waiter*>(space)),
        live_(reinterpret_cast<live_case*>(waiters_ + n)),
        candidates_(reinterpret_cast<std::uint32_t*>(live_ + n)),
        ordered_(ordered) {}

  /// `look`: else nobody seemed ready just now.
  std::size_t run(bool look) {
    gather();
    if (look) {
      find_candidates();
      if (candidate_count_ != 0) {
        const std::uint32_t i = take_candidate();
        if (attempt(cases_[i], cases_, n_)) return i;
        return wait();
      }
    }
    if (otherwise_ != none && live_count_ <= 1) return otherwise_;
    return wait();
  }

  /// Tries one of the n cases under its own lock. True: it is done.
  static bool attempt(select_record& r, const select_record* cases, std::size_t n) {
    if (r.kind > select_kind::object) return true;
    object_lock& lock = r.object->lock();
    handoff h;
    tokens_begin(h);
    if (__builtin_expect(!lock.try_lock_biased(current_thread()), 0)) {
      may_wait(cases, n) ? lock.lock_joining() : lock.lock();
    }
    const chan_outcome outcome = begin(r, h);
    lock.unlock();
    return finish(r, outcome, h);
  }

 private:
  static bool may_wait(const select_record* cases, std::size_t n) noexcept {
    return std::none_of(cases, cases + n,
                        [](const select_record& r) { return r.kind == select_kind::otherwise; });
  }

  // ---- step 1

  /// Sorts the cases by what they are, and those on objects by address; cases on one object stay in
  /// the order written.
  void gather() {
    const bool few = n_ <= 8;
    for (std::size_t i = 0; i < n_; ++i) {
      const select_record& r = cases_[i];
      if (r.kind > select_kind::object) {
        gather_other(i);
      } else if (r.object != nullptr) {
        std::size_t to = live_count_++;
        for (; few && to > 0 && before(r.object, live_[to - 1].object); --to) {
          live_[to] = live_[to - 1];
        }
        live_[to] = {r.object, static_cast<std::uint32_t>(i), r.kind};
      }
    }
    if (!few) {
      std::sort(live_, live_ + live_count_, [](const live_case& a, const live_case& b) {
        return a.object != b.object ? before(a.object, b.object) : a.index < b.index;
      });
    }
    for (std::size_t k = 1; k < live_count_; ++k) {
      if (live_[k].object == live_[k - 1].object) distinct_ = false;
    }
    if (!distinct_ && !ordered_) shuffle_cases_of_one_object();
    simple_ = distinct_ && live_count_ <= biased_slots;
  }

  void gather_other(std::size_t i) {
    if (cases_[i].kind != select_kind::otherwise) {
      timed_ = true;
    } else {
      if (otherwise_ != none) throw_panic("reflect.Select: multiple default cases");
      otherwise_ = i;
    }
  }

  static bool before(const selectable* a, const selectable* b) noexcept {
    return std::less<>{}(a, b);
  }

  /// A waker takes the first of several cases on its object, so chance decides which is first.
  void shuffle_cases_of_one_object() {
    for_each_object([this](selectable&, std::size_t first, std::size_t last) {
      for (; last - first > 1; ++first) {
        const std::size_t other = first + select_random(static_cast<std::uint32_t>(last - first));
        std::swap(live_[first], live_[other]);
      }
    });
  }

  /// Those that look ready; with all locks held, all that are.
  void find_candidates() {
    candidate_count_ = 0;
    for (std::size_t k = 0; k < live_count_; ++k) {
      const live_case& c = live_[k];
      if (c.kind == select_kind::recv) {
        if (static_cast<chan_core*>(c.object)->looks_unreceivable()) continue;
      } else if (c.kind == select_kind::send) {
        if (static_cast<chan_core*>(c.object)->looks_unsendable()) continue;
      }
      candidates_[candidate_count_++] = c.index;
    }
    if (timed_) find_timed_candidates();
  }

  void find_timed_candidates() {
    for (std::size_t i = 0; i < n_; ++i) {
      if (time_.has_come(cases_[i]))
        candidates_[candidate_count_++] = static_cast<std::uint32_t>(i);
    }
  }

  std::uint32_t take_candidate() noexcept {
    std::uint32_t at = 0;
    if (ordered_) {
      for (std::uint32_t k = 1; k < candidate_count_; ++k) {
        if (candidates_[k] < candidates_[at]) at = k;
      }
    } else if (candidate_count_ > 1) {
      at = select_random(candidate_count_);
    }
    const std::uint32_t i = candidates_[at];
    candidates_[at] = candidates_[--candidate_count_];
    return i;
  }

  /// With the lock held.
  static chan_outcome begin(const select_record& r, handoff& h) noexcept {
    if (r.kind == select_kind::recv) return channel(r)->begin_recv(r.slot, h);
    if (r.kind == select_kind::send) return channel(r)->begin_send({r.slot, r.make}, h);
    if (r.kind != select_kind::object) return chan_outcome::done;  // a time that has come
    return r.ops->try_now(*r.object, r.slot) ? chan_outcome::done : chan_outcome::would_block;
  }

  /// After the lock was left.
  static bool finish(select_record& r, chan_outcome outcome, handoff& h) {
    r.end = select_end::done;
    if (outcome == chan_outcome::done) {
      if (r.kind == select_kind::recv) return channel(r)->finish_recv(r.slot, h);
      if (r.kind == select_kind::send) {
        if (!channel(r)->finish_send({r.slot, r.make}, h)) r.end = select_end::failed;
      } else {
        tokens_end(h);
      }
      return true;
    }
    tokens_end(h);
    switch (outcome) {
      case chan_outcome::closed:
        if (r.kind == select_kind::send) throw_panic("send on closed channel");
        channel(r)->race_closed();
        r.end = select_end::closed;
        return true;
      case chan_outcome::failed:
        r.end = select_end::failed;
        return true;
      default:
        return false;
    }
  }

  // ---- step 2

  std::size_t wait() {
    const std::size_t timeout = timed_ && otherwise_ == none ? time_.find(cases_, n_) : none;
    claim_word claim;
    for (;;) {
      lock_all();
      find_candidates();
      if (candidate_count_ != 0) {
        const std::size_t i = attempt_locked();
        if (i != none) return i;
      }
      if (otherwise_ != none) {
        unlock_all();
        return otherwise_;
      }
      if (left_for_dormant()) continue;
      parker* const me = self();
      for (std::size_t k = 0; k < live_count_; ++k) enqueue(live_[k], me, claim);
      unlock_all();
      const std::size_t winner = park_for(me, claim, timeout);
      unlink_losers(winner);
      if (finish_woken(winner)) return winner;
      claim.reset();
    }
  }

  /// Nobody sends to a dormant channel until its timer is in a heap. With all locks held; if there
  /// are such channels, all locks are left to see to that, and the answer is true.
  bool left_for_dormant() {
    const auto dormant = [](const live_case& c) {
      return c.kind == select_kind::recv && static_cast<chan_core*>(c.object)->is_dormant();
    };
    if (std::none_of(live_, live_ + live_count_, dormant)) return false;
    unlock_all();
    for (std::size_t k = 0; k < live_count_; ++k) {
      if (dormant(live_[k])) static_cast<chan_core*>(live_[k].object)->get_sender();
    }
    return true;
  }

  /// Calls f(object, first, last) for each distinct object, in order: live_[first, last) are its
  /// cases.
  template <class F>
  void for_each_object(F f) const {
    for (std::size_t first = 0; first < live_count_;) {
      selectable& object = *live_[first].object;
      std::size_t last = first + 1;
      while (last < live_count_ && live_[last].object == &object) ++last;
      f(object, first, last);
      first = last;
    }
  }

  void lock_all() noexcept {
    if (simple_) {
      for (std::size_t k = 0; k < live_count_; ++k) live_[k].object->lock().lock(k);
      return;
    }
    std::size_t slot = 0;
    for_each_object([&](selectable& object, std::size_t, std::size_t) {
      if (slot < biased_slots) {
        object.lock().lock(slot++);
      } else {
        object.lock().lock_plain();
      }
    });
  }

  void unlock_all() noexcept {
    thread* const me = current_thread();
    if (simple_) {
      for (std::size_t k = 0; k < live_count_; ++k) live_[k].object->lock().unlock(me, k);
      return;
    }
    std::size_t slot = 0;
    for_each_object([&](selectable& object, std::size_t, std::size_t) {
      if (slot < biased_slots) {
        object.lock().unlock(me, slot++);
      } else {
        object.lock().unlock_plain();
      }
    });
  }

  /// Tries the candidates with all locks held. On success all locks are left and the case is done;
  /// otherwise they are still held.
  std::size_t attempt_locked() {
    std::size_t chosen = none;
    chan_outcome outcome = chan_outcome::would_block;
    handoff h;
    tokens_begin(h);
    while (candidate_count_ != 0 && outcome == chan_outcome::would_block) {
      chosen = take_candidate();
      outcome = begin(cases_[chosen], h);
    }
    if (outcome == chan_outcome::would_block) {
      tokens_end(h);
      return none;
    }
    unlock_all();
    if (finish(cases_[chosen], outcome, h)) return chosen;
    lock_all();  // the peer's element could not be made
    find_candidates();
    return attempt_locked();
  }

  RUNNEL_INLINE void enqueue(const live_case& c, parker* me, claim_word& claim) noexcept {
    const select_record& r = cases_[c.index];
    auto* w = ::new (static_cast<void*>(waiters_ + c.index)) chan_waiter;
    w->who = me;
    w->claim = &claim;
    w->slot = r.slot;
    w->tag = c.index + 1;
    if (c.kind == select_kind::object) {
      r.ops->enqueue(*c.object, *w, r.slot);
      return;
    }
    handoff h;
    tokens_begin(h);
    tokens_park(h, *w);
    if (c.kind == select_kind::recv) {
      static_cast<chan_core*>(c.object)->receivers().push_back(*w);
    } else {
      w->make = r.make;
      static_cast<chan_core*>(c.object)->senders().push_back(*w);
    }
  }

  // ---- step 3

  /// Returns the index of the case that won.
  std::size_t park_for(parker* me, claim_word& claim, std::size_t timeout) noexcept {
    if (timeout == none) {
      do {
        park(wait_reason::select);
      } while (claim.winner() == 0);  // with no live case nobody ever comes
      return claim.winner() - 1;
    }
    waiter w;
    w.who = me;
    w.claim = &claim;
    if (!park_until(wait_reason::select, w, time_.when())) return timeout;
    return claim.winner() - 1;
  }

  void unlink_losers(std::size_t winner) noexcept {
    if (distinct_) {
      for (std::size_t k = 0; k < live_count_; ++k) {
        if (live_[k].index == winner) continue;
        object_lock& lock = live_[k].object->lock();
        lock.lock();
        unlink(live_[k]);
        lock.unlock();
        tell_gave_up(live_[k]);
      }
      return;
    }
    for_each_object([&](selectable& object, std::size_t first, std::size_t last) {
      if (last - first == 1 && live_[first].index == winner) return;
      object.lock().lock();
      for (std::size_t k = first; k < last; ++k) {
        if (live_[k].index != winner) unlink(live_[k]);
      }
      object.lock().unlock();
      for (std::size_t k = first; k < last; ++k) {
        if (live_[k].index != winner) tell_gave_up(live_[k]);
      }
    });
  }

  void unlink(const live_case& c) noexcept {
    chan_waiter& w = waiters_[c.index];
    if (c.kind == select_kind::recv) {
      static_cast<chan_core*>(c.object)->receivers().remove(w);
    } else if (c.kind == select_kind::send) {
      static_cast<chan_core*>(c.object)->senders().remove(w);
    } else {
      const select_record& r = cases_[c.index];
      r.ops->dequeue(*c.object, w, r.slot);
    }
  }

  void tell_gave_up(const live_case& c) noexcept {
    if (c.kind != select_kind::object) return;
    const selectable_ops& ops = *cases_[c.index].ops;
    if (ops.gave_up != nullptr) ops.gave_up(*c.object);
  }

  /// False: it was nothing, wait again.
  bool finish_woken(std::size_t winner) {
    for (std::size_t k = 0; k < live_count_; ++k) tokens_wake(waiters_[live_[k].index]);
    select_record& r = cases_[winner];
    r.end = select_end::done;
    if (r.kind > select_kind::object) return true;
    const chan_waiter& w = waiters_[winner];
    if (w.ok) {
      if (r.kind == select_kind::recv) channel(r)->race_received();
      return true;
    }
    if (r.kind == select_kind::object) return false;
    if (w.slot == nullptr) {
      if (r.kind == select_kind::recv) return false;
      r.end = select_end::failed;
      return true;
    }
    channel(r)->race_closed();
    if (r.kind == select_kind::send) throw_panic("send on closed channel");
    r.end = select_end::closed;
    return true;
  }

  static chan_core* channel(const select_record& r) noexcept {
    return static_cast<chan_core*>(r.object);
  }

  select_record* const cases_;
  const std::size_t n_;
  chan_waiter* const waiters_;       // by case
  live_case* const live_;            // by address
  std::uint32_t* const candidates_;  // indices of cases not yet tried
  const bool ordered_;
  bool timed_ = false;
  bool distinct_ = true;  // no two cases on one object
  bool simple_ = true;    // and few enough for a holding slot each
  std::uint32_t candidate_count_ = 0;
  std::size_t live_count_ = 0;
  std::size_t otherwise_ = none;
  select_deadline time_;
};

}  // namespace

std::size_t select_run(select_record* cases, std::size_t n, void* space, bool ordered,
                       std::size_t first) {
  if (__builtin_expect(current_thread() == nullptr, 0)) attach_thread();
  if (first < n && selection::attempt(cases[first], cases, n)) return first;
  return selection(cases, n, space, ordered).run(first != none_ready);
}

std::uint32_t select_random(std::uint32_t n) noexcept {
  runtime::machine* m = runtime::current_machine();
  if (__builtin_expect(m == nullptr, 0)) return 0;  // the first case of a thread's first select
  return static_cast<std::uint32_t>((std::uint64_t{m->next_random()} * n) >> 32);
}

void select_nothing() noexcept {
  for (;;) park(wait_reason::select_no_cases);
}

}  // namespace runnel::detail

#include <atomic>
#include <chrono>
#include <mutex>
#include <new>
#include <runnel/detail/fatal.hpp>
#include <runnel/detail/timer_channel.hpp>
#include <runnel/detail/timer_node.hpp>
#include <type_traits>

#include "chan/race_tokens.hpp"

namespace runnel::detail {
namespace {

// What the channel carries for a time (see chan_element.hpp).
using tick = element<steady_time>;

template <class E = tick>
E make_tick(std::int64_t when) noexcept {
  const steady_time time{std::chrono::nanoseconds(when)};
  if constexpr (std::is_same_v<E, steady_time>) {
    return time;
  } else {
    const race_ignore ignore;
    E box = new (std::nothrow) steady_time(time);
    if (box == nullptr) fatal("out of memory: cannot send the time of a timer");
    return box;
  }
}

void drop_tick(tick& t) noexcept {
  const race_ignore ignore;
  discard<steady_time>(t);
}

struct channel_timer : timer_node {
  explicit channel_timer(chan_core& c) noexcept : core(c) { fire = &fired; }
  chan_core& core;
  // It has been in a heap, whose lock guards it from then on. Written with that lock and the
  // channel's held, after `shard`; whoever reads it without either does so with acquire.
  std::atomic<bool> heaped{false};

  // With the channel's lock held.

  bool was_heaped() const noexcept { return heaped.load(std::memory_order_relaxed); }

  /// Else idle, or in a heap.
  void make_dormant(bool dormant) noexcept {
    if (core.is_dormant() != dormant) count_dormant_timer(dormant);
    core.set_dormant(dormant);
  }

  // Needs no reference to the channel, whose end disarms first.
  static parker* fired(timer_node* node, steady_time) noexcept {
    tick t = make_tick(node->when);
    bool sent = false;
    parker* who = static_cast<channel_timer*>(node)->core.send_from_timer(&t, sent);
    if (!sent) drop_tick(t);
    node->unwanted = !sent;
    return who;
  }
};

// Such an object is trivially destroyed: its memory is the channel's.
bool retire(void* extra) noexcept {
  auto& timer = *static_cast<channel_timer*>(extra);
  if (timer.was_heaped()) timer_cancel(timer);
  timer.make_dormant(false);
  return true;
}

bool take_due(void* extra, void* to) noexcept {
  auto& timer = *static_cast<channel_timer*>(extra);
  const std::int64_t now = timer_deadline(std::chrono::steady_clock::now());
  // Those who wait come first, as soon as the one who has reset the timer has armed it for them.
  if (timer.when > now || !timer.core.receivers().empty()) return false;
  ::new (to) tick(make_tick(timer.when));
  if (timer.period == 0) {
    timer.make_dormant(false);
  } else {
    timer.when = next_tick(timer.when, timer.period, now);
  }
  return true;
}

bool join_heap(timer_node& node, std::uint32_t shard) noexcept {
  auto& timer = static_cast<channel_timer&>(node);
  const std::lock_guard hold(timer.core.lock());
  if (!timer.core.is_dormant()) return false;
  timer.make_dormant(false);
  timer.shard.store(shard, std::memory_order_relaxed);
  timer.heaped.store(true, std::memory_order_release);
  return true;
}

// Of a node that has never been in a heap `shard` says nothing: nobody's lock would keep a machine
// that fires it from one that puts it in a heap just now.
void get_sender(void* extra) {
  auto& timer = *static_cast<channel_timer*>(extra);
  if (timer.heaped.load(std::memory_order_acquire)) {
    timer_fire_if_due(timer);
  } else if (timer.core.is_dormant()) {
    timer_adopt(timer, &join_heap);
  }
}

constexpr element_ops timer_ops = [] {
  element_ops ops = ops_for<steady_time, true>;
  ops.extra = sizeof(channel_timer);
  ops.retire = &retire;
  ops.take_due = &take_due;
  ops.get_sender = &get_sender;
  return ops;
}();

/// Makes a dormant timer idle. False: somebody has armed it in a heap, stopped it or set it anew,
/// and so that arming is no more.
bool withdraw(channel_timer& timer, std::int64_t when, std::int64_t period) noexcept {
  const std::lock_guard hold(timer.core.lock());
  const bool found = timer.core.is_dormant() && timer.when == when && timer.period == period;
  if (found) timer.make_dormant(false);
  return found;
}

channel_timer& timer_of(chan_core& c) noexcept { return *static_cast<channel_timer*>(c.extra()); }

bool discard(timer_node& node) noexcept {
  return static_cast<channel_timer&>(node).core.discard_buffered();
}

}  // namespace

chan_core* make_timer_channel(steady_time when, std::chrono::nanoseconds period) {
  chan_core* c = chan_core::make(timer_ops, 1);
  auto* timer = ::new (c->extra()) channel_timer(*c);
  c->timer_armed();
  timer->when = timer_deadline(when);
  timer->period = period.count();
  timer->make_dormant(true);
  return c;
}

bool stop_timer_channel(chan_core& c) noexcept {
  channel_timer& timer = timer_of(c);
  c.lock().lock();
  if (timer.was_heaped()) {
    c.lock().unlock();
    return timer_cancel(timer, &discard);
  }
  const bool was_armed = c.is_dormant();
  timer.make_dormant(false);
  c.lock().unlock();
  return was_armed;
}

bool reset_timer_channel(chan_core& c, steady_time when, std::chrono::nanoseconds period) {
  channel_timer& timer = timer_of(c);
  c.timer_armed();
  c.lock().lock();
  if (timer.was_heaped()) {
    c.lock().unlock();
    return timer_reset(timer, when, period, &discard);
  }
  const bool was_armed = c.is_dormant();
  const bool waited_for = !c.receivers().empty();
  timer.when = timer_deadline(when);
  timer.period = period.count();
  timer.make_dormant(true);
  c.lock().unlock();
  if (waited_for) {
    try {
      timer_adopt(timer, &join_heap);
    } catch (const std::bad_alloc&) {
      if (withdraw(timer, timer_deadline(when), period.count())) throw;
    }
  }
  return was_armed;
}

}  // namespace runnel::detail

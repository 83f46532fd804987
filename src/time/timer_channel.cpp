#include <new>
#include <runnel/detail/timer_channel.hpp>
#include <runnel/detail/timer_node.hpp>
#include <type_traits>

#include "chan/race_tokens.hpp"

namespace runnel::detail {
namespace {

/// Sends the time, whatever the channel makes of it (see chan_element.hpp). A full channel drops
/// it.
template <class E>
parker* send_tick(chan_core& c, steady_time now, bool& sent) noexcept {
  if constexpr (std::is_same_v<E, steady_time>) {
    return c.send_from_timer(&now, sent);
  } else {
    const race_ignore ignore;
    E box = new (std::nothrow) steady_time(now);
    if (box == nullptr) return nullptr;  // a dropped tick
    parker* who = c.send_from_timer(&box, sent);
    if (!sent) delete box;
    return who;
  }
}

struct channel_timer : timer_node {
  explicit channel_timer(chan_core& c) noexcept : core(c) { fire = &fired; }
  chan_core& core;

  // Needs no reference to the channel, whose end disarms first.
  static parker* fired(timer_node* node, steady_time now) noexcept {
    bool sent = false;
    parker* who =
        send_tick<element<steady_time>>(static_cast<channel_timer*>(node)->core, now, sent);
    node->unwanted = !sent;
    return who;
  }
};

// Such an object is trivially destroyed: its memory is the channel's.
bool retire(void* extra) noexcept {
  timer_cancel(*static_cast<channel_timer*>(extra));
  return true;
}

void refill(void* extra) noexcept { timer_fire_if_due(*static_cast<channel_timer*>(extra)); }

constexpr element_ops timer_ops = [] {
  element_ops ops = ops_for<steady_time, true>;
  ops.extra = sizeof(channel_timer);
  ops.retire = &retire;
  ops.refill = &refill;
  return ops;
}();

channel_timer& timer_of(chan_core& c) noexcept { return *static_cast<channel_timer*>(c.extra()); }

bool discard(timer_node& node) noexcept {
  return static_cast<channel_timer&>(node).core.discard_buffered();
}

}  // namespace

chan_core* make_timer_channel(steady_time when, std::chrono::nanoseconds period) {
  chan_core* c = chan_core::make(timer_ops, 1);
  auto* timer = ::new (c->extra()) channel_timer(*c);
  c->timer_armed();
  try {
    timer_arm(*timer, when, period);
  } catch (...) {
    c->drop_reference();
    throw;
  }
  return c;
}

bool stop_timer_channel(chan_core& c) noexcept { return timer_cancel(timer_of(c), &discard); }

bool reset_timer_channel(chan_core& c, steady_time when, std::chrono::nanoseconds period) {
  c.timer_armed();
  return timer_reset(timer_of(c), when, period, &discard);
}

}  // namespace runnel::detail

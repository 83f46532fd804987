// detail/timer_node.hpp on top of the shards.
#include "runtime/timers.hpp"

#include <algorithm>
#include <new>
#include <runnel/detail/park.hpp>

#include "runtime/scheduler.hpp"

namespace runnel::runtime {
namespace {

using detail::steady_time;
using detail::timer_node;

// Never destroyed: machines look at their shards while static destructors run.
union immortal_shards {
  constexpr immortal_shards() noexcept : heaps{} {}
  ~immortal_shards() {}
  timer_heap heaps[max_timer_shards];
};
constinit immortal_shards shards;

// As processor::dormant_timers, by those that hold no processor.
constinit std::atomic<std::uint64_t> foreign_dormant{0};

// One more than the highest shard ever armed in; only grows.
constinit std::atomic<unsigned> shards_in_use{0};

std::uint64_t dormant_timers() noexcept {
  std::uint64_t sum = foreign_dormant.load(std::memory_order_relaxed);
  if (sched == nullptr) return sum;
  for (processor* p = sched->made.load(std::memory_order_acquire); p != nullptr; p = p->next_made) {
    sum += p->dormant_timers.read();
  }
  return sum;
}

/// The shard to arm in, announced to those who look for deadlines.
unsigned choose_shard() noexcept {
  const unsigned shard = timer_shard_hint();
  unsigned known = shards_in_use.load(std::memory_order_relaxed);
  while (known <= shard &&
         !shards_in_use.compare_exchange_weak(known, shard + 1, std::memory_order_seq_cst)) {
  }
  return shard;
}

void let_go(detail::parker* p) noexcept {
  if (p->what == detail::parker::kind::call) {
    auto* call = static_cast<detail::timer_call*>(p);
    call->run(call);
  } else {
    detail::ready(p);
  }
}

/// Arms a node that other threads may know of. True if it was armed.
bool rearm(timer_node& node, const timer_heap::arming& how) {
  const unsigned target = choose_shard();
  for (;;) {
    const unsigned shard = node.shard.load(std::memory_order_relaxed);
    bool earliest = false;
    const timer_heap::found as = shards.heaps[shard].reset(node, how, shard, target, earliest);
    if (as == timer_heap::found::elsewhere) continue;
    if (earliest) timer_earliest_changed(shard, how.when);
    return as == timer_heap::found::armed;
  }
}

}  // namespace

void run_expired_timers(unsigned shard, std::int64_t now) noexcept {
  shards.heaps[shard].run_expired(now, &let_go);
}

std::int64_t next_deadline(unsigned shard) noexcept {
  return shards.heaps[shard].next.load(std::memory_order_acquire);
}

std::int64_t next_deadline() noexcept {
  std::int64_t earliest = no_deadline;
  const unsigned n = timer_shards();
  for (unsigned i = 0; i < n; ++i) earliest = std::min(earliest, next_deadline(i));
  return earliest;
}

unsigned timer_shards() noexcept { return shards_in_use.load(std::memory_order_acquire); }

void abandon_timers() noexcept {
  for (timer_heap& heap : shards.heaps) heap.abandon();
  foreign_dormant.store(dormant_timers(), std::memory_order_relaxed);
}

std::size_t armed_timers() noexcept {
  const std::uint64_t dormant = dormant_timers();
  // One processor may have been read before a timer began, another after its end.
  std::size_t sum = static_cast<std::int64_t>(dormant) < 0 ? 0 : dormant;
  const unsigned n = timer_shards();
  for (unsigned i = 0; i < n; ++i) sum += shards.heaps[i].size();
  return sum;
}

}  // namespace runnel::runtime

namespace runnel::detail {

using runtime::shards;
using runtime::timer_heap;
using found = timer_heap::found;

void count_dormant_timer(bool more) noexcept {
  const std::uint64_t by = more ? 1 : ~std::uint64_t{0};
  const runtime::machine* m = runtime::current_machine();
  if (m != nullptr && m->p != nullptr) {
    m->p->dormant_timers.add(by);
  } else {
    runtime::foreign_dormant.fetch_add(by, std::memory_order_relaxed);
  }
}

// Cut to 0 and the latest, so that "deadline - now" never overflows.
std::int64_t timer_deadline(steady_time t) noexcept {
  const auto since = std::chrono::duration_cast<std::chrono::nanoseconds>(t.time_since_epoch());
  return std::clamp<std::int64_t>(since.count(), 0, runtime::latest_deadline);
}

std::int64_t next_tick(std::int64_t when, std::int64_t period, std::int64_t now) noexcept {
  const std::int64_t last = when + (now - when) / period * period;  // <= now
  return period < runtime::latest_deadline - last ? last + period : runtime::latest_deadline;
}

void timer_arm(timer_node& node, steady_time when, std::chrono::nanoseconds period) {
  const unsigned shard = runtime::choose_shard();
  const std::int64_t deadline = timer_deadline(when);
  if (shards.heaps[shard].arm(node, deadline, period.count(), shard)) {
    runtime::timer_earliest_changed(shard, deadline);
  }
}

void timer_adopt(timer_node& node, timer_claim claim) {
  const unsigned shard = runtime::choose_shard();
  if (!shards.heaps[shard].adopt(node, shard, claim)) return;
  // The node may have fired and be gone; its deadline is as good as any other before it.
  runtime::timer_earliest_changed(shard, shards.heaps[shard].next.load(std::memory_order_relaxed));
}

void timer_fire_if_due(timer_node& node) noexcept {
  const std::int64_t now = runtime::now_ns();
  for (;;) {
    const unsigned shard = node.shard.load(std::memory_order_relaxed);
    if (shards.heaps[shard].fire_if_due(node, shard, now, &runtime::let_go) != found::elsewhere)
      return;
  }
}

bool timer_cancel(timer_node& node, timer_drain drain) noexcept {
  for (;;) {
    const unsigned shard = node.shard.load(std::memory_order_relaxed);
    const found as = shards.heaps[shard].cancel(node, shard, drain);
    if (as != found::elsewhere) return as == found::armed;
  }
}

bool timer_reset(timer_node& node, steady_time when, std::chrono::nanoseconds period,
                 timer_drain drain) {
  return runtime::rearm(node,
                        {timer_deadline(when), period.count(), timer_heap::if_armed::move, drain});
}

bool timer_move(timer_node& node, steady_time when) noexcept {
  const std::int64_t deadline = timer_deadline(when);
  for (;;) {
    const unsigned shard = node.shard.load(std::memory_order_relaxed);
    bool earliest = false;
    const found as = shards.heaps[shard].move(node, deadline, shard, earliest);
    if (as == found::elsewhere) continue;
    if (earliest) runtime::timer_earliest_changed(shard, deadline);
    return as == found::armed;
  }
}

bool timer_arm_if_idle(timer_node& node, steady_time when) {
  return runtime::rearm(node, {timer_deadline(when), 0, timer_heap::if_armed::keep, nullptr});
}

}  // namespace runnel::detail

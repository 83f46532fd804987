#include "debug/snapshot.hpp"

#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <runnel/detail/config.hpp>

#include "debug/fault_guard.hpp"
#include "debug/sample.hpp"

namespace runnel::debug {
namespace {

// Who answers does so within microseconds, if there is a CPU to be had. All together are waited for
// this long, but each is given a chance.
constexpr std::int64_t patience_ns = 200'000'000;
constexpr std::int64_t least_patience_ns = 10'000'000;

std::int64_t now_ns() noexcept {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1'000'000'000LL + t.tv_nsec;
}

void describe(snapshot& s, const runtime::goroutine_view& g) noexcept {
  s.what = snapshot::kind::goroutine;
  s.id = g.id;
  s.parent_id = g.parent_id;
  s.locked = g.locked;
  s.site = g.site;
  s.minutes = 0;
  switch (g.state) {
    case runtime::goroutine_state::running:
      s.state = "running";
      break;
    case runtime::goroutine_state::runnable:
      s.state = "runnable";
      break;
    case runtime::goroutine_state::waiting:
      s.state = detail::text(g.reason);
      s.minutes = g.waiting_ns / 60'000'000'000;
      break;
  }
  s.name_size = g.name.copy(s.name_text.data(), s.name_text.size());
}

void describe(snapshot& s, const runtime::thread_view& t) noexcept {
  s.what = t.is_main ? snapshot::kind::main_thread : snapshot::kind::thread;
  s.id = static_cast<std::uint64_t>(t.tid);
  s.state = t.reason == detail::wait_reason::none ? "running" : detail::text(t.reason);
  s.minutes = t.reason == detail::wait_reason::none ? 0 : t.waiting_ns / 60'000'000'000;
}

// A census in the making.
struct collector {
  census& all;
  const selection& which;
  std::array<pid_t, shown_goroutines> tids{};  // of goroutines that must be asked; else 0
  const runtime::goroutine_view* view = nullptr;
  snapshot* into = nullptr;
};

void describe_guarded(void* argument) {
  collector& c = *static_cast<collector*>(argument);
  describe(*c.into, *c.view);
}

bool is_same(const snapshot* s, snapshot::kind what, std::uint64_t id) noexcept {
  return s != nullptr && s->id == id &&
         (s->what == snapshot::kind::goroutine) == (what == snapshot::kind::goroutine);
}

void add_goroutine(void* argument, const runtime::goroutine_view& g) {
  collector& c = *static_cast<collector*>(argument);
  if (is_same(c.which.except, snapshot::kind::goroutine, g.id)) return;
  if (c.which.wanted != nullptr && !c.which.wanted(c.which.argument, g.id)) return;
  ++c.all.goroutine_total;
  // Kept in order of id; beyond the last place, the highest id gives way.
  std::size_t at = c.all.goroutine_count;
  while (at > 0 && c.all.goroutines[at - 1].id > g.id) --at;
  if (at == shown_goroutines) return;
  if (c.all.goroutine_count < shown_goroutines) ++c.all.goroutine_count;
  for (std::size_t i = c.all.goroutine_count - 1; i > at; --i) {
    c.all.goroutines[i] = c.all.goroutines[i - 1];
    c.tids[i] = c.tids[i - 1];
  }
  snapshot& s = c.all.goroutines[at];
  c.into = &s;
  c.view = &g;
  // The name is on the goroutine's own memory, which a new one may be taking over just now.
  if (!run_guarded(&describe_guarded, &c)) s.name_size = 0;
  c.tids[at] = g.machine_tid;
  s.has_stack = g.machine_tid == 0;
  if (s.has_stack) capture(g.context, g.stack_low, g.stack_high, s.trace);
}

void add_thread(void* argument, const runtime::thread_view& t) {
  collector& c = *static_cast<collector*>(argument);
  if (is_same(c.which.except, snapshot::kind::thread, static_cast<std::uint64_t>(t.tid))) return;
  ++c.all.thread_total;
  std::size_t at = c.all.thread_count;
  if (t.is_main && at > 0) {
    // First in the report; who stands there moves to the end, or out.
    if (at < shown_threads) c.all.threads[c.all.thread_count++] = c.all.threads[0];
    at = 0;
  } else if (at < shown_threads) {
    ++c.all.thread_count;
  } else {
    return;
  }
  c.all.threads[at] = {};
  describe(c.all.threads[at], t);
}

}  // namespace

RUNNEL_NOINLINE void take_current(snapshot& s) noexcept {
  runtime::goroutine_view g{};
  runtime::thread_view t{};
  if (runtime::current(g, t)) {
    describe(s, g);
  } else {
    describe(s, t);
  }
  s.state = "running";
  s.minutes = 0;
  capture_here(s.trace);
  s.has_stack = true;
}

void take_census(census& all, const selection& which) noexcept {
  all.goroutine_count = all.thread_count = 0;
  all.goroutine_total = all.thread_total = 0;
  collector c{all, which};
  runtime::for_each_goroutine(&add_goroutine, &c);
  if (which.threads) runtime::for_each_blocked_thread(&add_thread, &c);

  const std::int64_t until = now_ns() + patience_ns;
  const auto ask = [until](pid_t tid, std::uint64_t id, snapshot& s) {
    s.has_stack = sample(tid, id, std::max(until - now_ns(), least_patience_ns), s.trace);
  };
  // Threads first: they are asleep, and answer.
  for (std::size_t i = 0; i < all.thread_count; ++i) {
    snapshot& s = all.threads[i];
    ask(static_cast<pid_t>(s.id), 0, s);
  }
  for (std::size_t i = 0; i < all.goroutine_count; ++i) {
    snapshot& s = all.goroutines[i];
    if (c.tids[i] != 0) ask(c.tids[i], s.id, s);
  }
}

}  // namespace runnel::debug

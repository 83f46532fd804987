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

// A part of a census in the making.
struct collector {
  census& all;
  std::array<pid_t, census_part> tids{};  // of goroutines that must be asked; else 0
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

// Keeps the lowest ids, as a heap with the highest of them on top.
void add_id(void* argument, const runtime::goroutine_view& g) {
  census& all = *static_cast<census*>(argument);
  const selection& which = all.which;
  if (is_same(which.except, snapshot::kind::goroutine, g.id)) return;
  if (which.wanted != nullptr && !which.wanted(which.argument, g.id)) return;
  ++all.goroutine_total;
  const auto begin = all.ids.begin();
  if (all.id_count == shown_goroutines) {
    if (g.id > all.ids[0]) return;
    std::pop_heap(begin, begin + shown_goroutines);
    --all.id_count;
  }
  all.ids[all.id_count++] = g.id;
  std::push_heap(begin, begin + static_cast<std::ptrdiff_t>(all.id_count));
}

// The place in the part of the goroutine with this id; part_end if it is of another part.
std::size_t place_in_part(const census& all, std::uint64_t id) noexcept {
  const auto begin = all.ids.begin() + static_cast<std::ptrdiff_t>(all.part_begin);
  const auto end = all.ids.begin() + static_cast<std::ptrdiff_t>(all.part_end);
  if (begin == end || id < *begin || id > end[-1]) return all.part_end;
  const auto at = std::lower_bound(begin, end, id);
  return *at == id ? static_cast<std::size_t>(at - begin) : all.part_end;
}

void add_goroutine(void* argument, const runtime::goroutine_view& g) {
  collector& c = *static_cast<collector*>(argument);
  const std::size_t at = place_in_part(c.all, g.id);
  if (at == c.all.part_end) return;
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
  census& all = *static_cast<census*>(argument);
  if (is_same(all.which.except, snapshot::kind::thread, static_cast<std::uint64_t>(t.tid))) return;
  ++all.thread_total;
  std::size_t at = all.thread_count;
  if (t.is_main && at > 0) {
    // First in the report; who stands there moves to the end, or out.
    if (at < shown_threads) all.threads[all.thread_count++] = all.threads[0];
    at = 0;
  } else if (at < shown_threads) {
    ++all.thread_count;
  } else {
    return;
  }
  all.threads[at] = {};
  describe(all.threads[at], t);
}

// Asks a thread for its stack, or for that of the goroutine it runs.
void ask(const census& all, pid_t tid, std::uint64_t id, snapshot& s) noexcept {
  s.has_stack = sample(tid, id, std::max(all.patient_until - now_ns(), least_patience_ns), s.trace);
}

// The goroutines of the part that begins where the last one ended.
void take_part(census& all) noexcept {
  all.part_begin = all.part_end;
  all.part_end = std::min(all.part_begin + census_part, all.id_count);
  const std::size_t size = all.part_end - all.part_begin;
  collector c{all};
  for (std::size_t i = 0; i < size; ++i) all.goroutines[i].id = 0;
  runtime::for_each_goroutine(&add_goroutine, &c);
  // Close the gaps of those that have ended meanwhile.
  all.goroutine_count = 0;
  for (std::size_t i = 0; i < size; ++i) {
    if (all.goroutines[i].id == 0) continue;
    const std::size_t at = all.goroutine_count++;
    if (at != i) all.goroutines[at] = all.goroutines[i];
    snapshot& s = all.goroutines[at];
    if (c.tids[i] != 0) ask(all, c.tids[i], s.id, s);
  }
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
  all.which = which;
  all.goroutine_count = all.thread_count = all.id_count = 0;
  all.goroutine_total = all.thread_total = 0;
  all.part_begin = all.part_end = 0;
  all.patient_until = now_ns() + patience_ns;
  runtime::for_each_goroutine(&add_id, &all);
  const auto end = all.ids.begin() + static_cast<std::ptrdiff_t>(all.id_count);
  std::sort_heap(all.ids.begin(), end);
  // Who began just now may have been seen before and after.
  const auto twice = static_cast<std::size_t>(end - std::unique(all.ids.begin(), end));
  all.id_count -= twice;
  all.goroutine_total -= twice;
  if (which.threads) runtime::for_each_blocked_thread(&add_thread, &all);
  // Threads first: they are asleep, and answer.
  for (std::size_t i = 0; i < all.thread_count; ++i) {
    snapshot& s = all.threads[i];
    ask(all, static_cast<pid_t>(s.id), 0, s);
  }
  take_part(all);
}

bool take_next_part(census& all) noexcept {
  if (all.is_last_part()) return false;
  take_part(all);
  return true;
}

}  // namespace runnel::debug

// Scale: a million timers that live and contexts that come and go, half a million that end at once.
// runnel: labels: slow
// runnel: serial
#include <chrono>
#include <optional>
#include <runnel/chan.hpp>
#include <runnel/context.hpp>
#include <runnel/go.hpp>
#include <runnel/runtime.hpp>
#include <runnel/time.hpp>
#include <string>
#include <vector>

#include "support/crew.hpp"
#include "support/resident.hpp"
#include "support/test.hpp"
#include "support/timer_channels.hpp"

using namespace std::chrono_literals;
using runnel::background;
using runnel::cancel_func;
using runnel::context;
using runnel::with_cancel;
using runnel::with_timeout;
using runnel_test::crew;
using runnel_test::eventually;
using runnel_test::resident_bytes;
using runnel_test::rounds;
using runnel_test::under_sanitizer;

namespace {

const runnel::context_key<int> key{"number"};

std::size_t armed() { return runnel::stats().timers; }

/// Contexts below `root`: each below the one that `above` names by its number.
template <class Above>
std::vector<runnel::cancelable> tree(const context& root, int n, Above above) {
  std::vector<runnel::cancelable> all;
  all.reserve(static_cast<std::size_t>(n));
  for (int i = 0; i < n; ++i) {
    const std::optional<int> parent = above(i);
    all.push_back(with_cancel(parent ? all[static_cast<std::size_t>(*parent)].ctx : root));
  }
  return all;
}

}  // namespace

RUNNEL_TEST_BOTH(scale_timers, a_million_that_live) {
  runnel_test::set_deadline(600s);
  const int n = rounds(1'000'000);
  const std::size_t before = armed();
  std::vector<runnel::timer> timers;
  timers.reserve(static_cast<std::size_t>(n));
  for (int i = 0; i < n; ++i) {
    timers.emplace_back(1h + std::chrono::microseconds(i * 7919L % n));
    runnel_test::put_in_heap(timers.back().c());
  }
  EXPECT_GE(armed(), before + static_cast<std::size_t>(n));
  // Meanwhile everything else goes on, later and earlier timers too.
  runnel::sleep_for(1ms);
  EXPECT_TRUE(runnel::after(1us).recv().has_value());
  const int half = n / 2;
  for (int i = 0; i < half; ++i) {
    EXPECT_TRUE(timers[static_cast<std::size_t>(i)].reset(std::chrono::microseconds(i % 1000)));
  }
  for (int i = half; i < n; ++i) EXPECT_TRUE(timers[static_cast<std::size_t>(i)].stop());
  for (int i = 0; i < half; ++i) {
    EXPECT_TRUE(timers[static_cast<std::size_t>(i)].c().recv().has_value());
  }
  EXPECT_TRUE(eventually([&] { return armed() <= before; }));
  for (runnel::timer& t : timers) t.reset(1h);
  timers.clear();  // dropped while they are armed
  EXPECT_TRUE(eventually([&] { return armed() <= before; }));
}

RUNNEL_TEST_BOTH(scale_contexts, a_million_leave_nothing) {
  runnel_test::set_deadline(600s);
  auto [parent, cancel_parent] = with_timeout(background(), 24h);
  const auto cycles = [&, &parent = parent](int n) {
    for (int i = 0; i < n; ++i) {
      auto [ctx, cancel] = with_cancel(parent);
      auto [timed, cancel_timed] = with_timeout(ctx, 1h);
      const context valued = runnel::with_value(timed, key, i);
      const auto stop = runnel::after_func(valued, [] {});
      if (i % 4 == 0) static_cast<void>(valued.done());
      EXPECT_TRUE(stop());  // a goroutine each would pile up stacks
      cancel();
      EXPECT_EQ(valued.err(), runnel::errc::canceled);
    }
  };
  const std::size_t timers = armed();
  cycles(rounds(100'000));
  const std::size_t before = resident_bytes();
  crew workers;
  for (int w = 0; w < 4; ++w) workers.go([&] { cycles(rounds(250'000)); });
  workers.wait();
  EXPECT_TRUE(eventually([&] { return armed() <= timers; }));
  if (!under_sanitizer) {
    // 16 bytes left behind by each would be twice as much.
    EXPECT_LE(resident_bytes(), before + (std::size_t{8} << 20));
  }
}

// Work that grew with the square of their number would take minutes, and the test's deadline.
RUNNEL_TEST_BOTH(scale_contexts, half_a_million_descendants_end_in_linear_time) {
  const int n = rounds(500'000);
  const auto end = [n](auto above) {
    auto [root, cancel] = with_cancel(background());
    const auto all = tree(root, n, above);
    cancel();
    for (const auto& c : all) ASSERT_EQ(c.ctx.err(), runnel::errc::canceled);
  };
  end([](int) { return std::optional<int>(); });                               // all below the root
  end([](int i) { return i == 0 ? std::nullopt : std::optional(i - 1); });     // a chain
  end([](int i) { return i == 0 ? std::nullopt : std::optional(i / 2); });     // a tree
  end([](int i) { return i < 700 ? std::nullopt : std::optional(i % 700); });  // bundles
  // Those that go by themselves, in an order of their own.
  auto [root, cancel] = with_cancel(background());
  auto all = tree(root, n, [](int) { return std::optional<int>(); });
  for (int i = 0; i < n; ++i) {
    all[static_cast<std::size_t>(i * 7919L % n)].cancel();
  }
  all.clear();
  cancel();
}

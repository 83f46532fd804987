// Many timers, from many goroutines and threads, under stress; what they cost and leave behind.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <random>
#include <runnel/chan.hpp>
#include <runnel/go.hpp>
#include <runnel/runtime.hpp>
#include <runnel/select.hpp>
#include <runnel/sync/wait_group.hpp>
#include <runnel/time.hpp>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/alloc_count.hpp"
#include "support/crew.hpp"
#include "support/test.hpp"
#include "support/timer_channels.hpp"

using namespace std::chrono_literals;
using runnel::chan;
using runnel::recv_chan;
using runnel_test::crew;
using runnel_test::eventually;
using runnel_test::received;
using runnel_test::rounds;
using clock_type = std::chrono::steady_clock;
using time_point = clock_type::time_point;

namespace {

std::size_t armed() { return runnel::stats().timers; }

// Others may still be on their way out of a wait with a timer.
bool armed_falls_to(std::size_t n) {
  return eventually([n] { return armed() <= n; });
}

}  // namespace

RUNNEL_TEST_BOTH(timer, dropping_disarms_at_once) {
  const std::size_t before = armed();
  for (int i = 0; i < rounds(1000); ++i) {
    const auto after = runnel::after(1h);
    const auto tick = runnel::tick(1h);
    const runnel::timer t(1h);
    const runnel::ticker k(1h);
    EXPECT_GE(armed(), before + 4);
  }
  EXPECT_TRUE(armed_falls_to(before));
}

RUNNEL_TEST_BOTH(timer, the_last_handle_disarms) {
  const std::size_t before = armed();
  auto t = std::make_unique<runnel::timer>(1h);
  recv_chan<time_point> c = t->c();
  t.reset();
  EXPECT_GE(armed(), before + 1);
  c = nullptr;
  EXPECT_TRUE(armed_falls_to(before));
}

RUNNEL_TEST_BOTH(timer, dropping_an_after_func_does_not_disarm) {
  const std::size_t before = armed();
  const auto alive = std::make_shared<int>(0);
  std::atomic<bool> ran{false};
  {
    auto t = runnel::after_func(5ms, [&ran, kept = alive] { ran = true; });
    auto other = std::move(t);
  }
  EXPECT_TRUE(eventually([&] { return ran.load(); }));
  EXPECT_TRUE(eventually([&] { return alive.use_count() == 1; }));  // the function is gone, too
  EXPECT_TRUE(armed_falls_to(before));
}

RUNNEL_TEST_BOTH(timer, a_stopped_after_func_frees_its_function) {
  const auto held = std::make_shared<int>(0);
  {
    auto t = runnel::after_func(1h, [held] {});
    EXPECT_EQ(held.use_count(), 2);
    EXPECT_TRUE(t.stop());
  }
  EXPECT_EQ(held.use_count(), 1);
}

// TestTimerStopStress, TestAfterStress: stopping beside firing.
RUNNEL_TEST_BOTH(timer, stop_against_firing) {
  crew all;
  for (int g = 0; g < 20; ++g) {
    all.go([g] {
      std::atomic<bool> ran{false};
      for (int i = 0; i < rounds(50); ++i) {
        ran = false;
        auto t = runnel::after_func(std::chrono::microseconds(g * 10), [&] { ran = true; });
        if ((i & 1) != 0) runnel::sleep_for(std::chrono::microseconds(g * 10));
        if (t.stop()) {
          EXPECT_FALSE(ran);
        } else {
          EXPECT_TRUE(eventually([&] { return ran.load(); }));
        }
      }
    });
  }
}

// TestStopResult, TestResetResult: true means that nothing can be received, false that it was.
RUNNEL_TEST_BOTH(timer, stop_and_reset_tell_whether_there_is_something_to_receive) {
  const chan<void> start;
  crew all;
  for (int g = 0; g < rounds(200); ++g) {
    all.go([&, g] {
      start.recv();
      for (int i = 0; i < 5; ++i) {
        std::array<runnel::timer, 2> t{runnel::timer(1ms), runnel::timer(1ms)};
        const std::size_t first =
            runnel::select(runnel::on_recv(t[0].c()), runnel::on_recv(t[1].c()));
        runnel::timer& other = t[1 - first];
        const bool prevented = (g & 1) != 0 ? other.stop() : other.reset(1h);
        EXPECT_TRUE(prevented);  // an unreceived time was taken back
        EXPECT_FALSE(received(other.c()));
      }
    });
  }
  start.close();
}

// TestTimerModifiedEarlier, TestAdjustTimers.
RUNNEL_TEST_BOTH(timer, rapid_changes_lose_nothing) {
  std::mt19937 random(17);
  std::vector<runnel::timer> timers;
  std::vector<int> step;
  for (int i = 0; i < 100; ++i) {
    timers.emplace_back(0ns);
    step.push_back(0);
  }
  for (std::size_t left = timers.size(); left != 0;) {
    const std::size_t i = random() % timers.size();
    runnel::timer& t = timers[i];
    switch (step[i]++) {
      case 0:
        EXPECT_TRUE(t.c().recv());
        break;
      case 1:
        EXPECT_FALSE(t.reset(1min));
        break;
      case 2:
        EXPECT_TRUE(t.stop());
        break;
      case 3:
        EXPECT_FALSE(t.reset(3min));
        break;
      case 4:
        for (int k = 0; k < 10; ++k) EXPECT_TRUE(t.reset(k % 2 == 0 ? -1h : 2h));
        break;
      case 5:
        EXPECT_TRUE(t.reset(0ns));
        break;
      case 6:
        EXPECT_TRUE(t.c().recv());
        --left;
        break;
      default:
        break;
    }
  }
}

// TestMultiWakeupTicker, TestMultiWakeupTimer, TestTickerConcurrentStress.
RUNNEL_TEST_BOTH(timer, many_receivers_of_one) {
  runnel::ticker ticker(1us);
  runnel::timer timer(1ns);
  crew all;
  for (int g = 0; g < 8; ++g) {
    all.go([&] {
      for (int i = 0; i < rounds(500); ++i) {
        runnel::select(runnel::on_recv(ticker.c()), runnel::on_recv(runnel::after(1ms)));
      }
    });
    all.go([&] {
      for (int i = 0; i < rounds(2000); ++i) {
        received(timer.c());
        timer.reset(1ns);
        if (i % 64 == 0) runnel::yield();
      }
    });
  }
}

// Stop and reset of one timer by several at once: each arming that was neither stopped nor replaced
// runs once, whatever came between, and in the end the timer obeys. As Go's, stop does not wait for
// calls that have begun, nor for goroutines that are about to be made: they own what they count in,
// and only the sum tells when the last of them has run.
RUNNEL_TEST_BOTH(timer, concurrent_use_of_one_timer) {
  runnel::timer t(1h);
  const auto runs = std::make_shared<std::atomic<int>>(0);
  auto f = runnel::after_func(1h, [runs] { ++*runs; });
  std::atomic<int> armed = 1;  // armings of f less those stopped or replaced
  {
    std::vector<std::thread> threads;
    crew all;
    const auto work = [&](unsigned seed) {
      std::mt19937 random(seed);
      for (int i = 0; i < rounds(3000); ++i) {
        switch (random() % 6) {
          case 0:
            t.stop();
            break;
          case 1:
            t.reset(0ns);
            break;
          case 2:
            t.reset(1h);
            break;
          case 3:
            if (f.stop()) --armed;
            break;
          case 4:
            if (!f.reset(1us)) ++armed;
            break;
          default:
            received(t.c());
        }
      }
    };
    for (unsigned i = 0; i < 2; ++i) threads.emplace_back(work, i);
    for (unsigned i = 0; i < 4; ++i) all.go([&, i] { work(100 + i); });
    runnel::blocking([&] {
      for (auto& thread : threads) thread.join();
    });
    all.wait();
  }
  t.stop();
  EXPECT_FALSE(received(t.c()));
  t.reset(1ms);
  EXPECT_TRUE(t.c().recv());
  if (f.stop()) --armed;
  EXPECT_TRUE(eventually([&] { return *runs == armed; })) << *runs << " of " << armed;
  EXPECT_FALSE(f.reset(0ns));
  EXPECT_TRUE(eventually([&] { return *runs == armed + 1; })) << *runs << " of " << armed + 1;
}

// After stop or reset nothing that was sent before is received, however close they come to firing.
RUNNEL_TEST_BOTH(timer, no_stale_time_under_stress) {
  crew all;
  for (int g = 0; g < 8; ++g) {
    all.go([g] {
      runnel::timer t(1h);
      runnel::ticker k(1h);
      for (int i = 0; i < rounds(300); ++i) {
        const auto soon = std::chrono::microseconds((i * 7 + g) % 40);
        t.reset(soon);
        k.reset(soon + 1us);
        if (i % 3 == 0) {
          runnel::sleep_for(soon);
        } else {
          runnel::yield();
        }
        const auto before = clock_type::now();
        t.reset(soon);
        k.reset(soon + 1us);
        EXPECT_GE(*t.c().recv(), before);
        EXPECT_GE(*k.c().recv(), before);
        k.stop();
        t.stop();
        EXPECT_FALSE(received(t.c()));
        EXPECT_FALSE(received(k.c()));
      }
    });
  }
}

// A goroutine that moved to another processor, or a thread, may stop what was armed elsewhere.
RUNNEL_TEST_BOTH(timer, stopped_from_everywhere) {
  const std::size_t before = armed();
  const chan<std::unique_ptr<runnel::timer>> timers(16);
  std::atomic<int> stopped{0};
  {
    std::vector<std::thread> threads;
    crew all;
    const auto stopper = [&] {
      for (const auto& t : timers) {
        EXPECT_TRUE(t->stop());
        ++stopped;
      }
    };
    for (int i = 0; i < 3; ++i) all.go(stopper);
    threads.emplace_back(stopper);
    {
      crew makers;
      for (int g = 0; g < 4; ++g) {
        makers.go([&] {
          for (int i = 0; i < rounds(500); ++i) {
            auto t = std::make_unique<runnel::timer>(1h);
            runnel_test::put_in_heap(t->c());
            timers.send(std::move(t));
          }
        });
      }
    }
    timers.close();
    runnel::blocking([&] { threads[0].join(); });
    all.wait();
  }
  EXPECT_EQ(stopped, 4 * rounds(500));
  EXPECT_TRUE(armed_falls_to(before));
}

RUNNEL_TEST(timer, a_hundred_thousand_at_once) {
  // A million of them is the stress program's; here enough to make the heap deep and let it shrink.
  const std::size_t before = armed();
  const int n = rounds(100'000);
  std::vector<runnel::timer> timers;
  std::mt19937 random(5);
  timers.reserve(static_cast<std::size_t>(n));
  for (int i = 0; i < n; ++i) {
    timers.emplace_back(1h + std::chrono::microseconds(random() % 1'000'000));
    runnel_test::put_in_heap(timers.back().c());
  }
  EXPECT_GE(armed(), before + static_cast<std::size_t>(n));
  for (auto& t : timers) EXPECT_TRUE(t.reset(std::chrono::microseconds(random() % 100'000)));
  std::size_t stopped = 0;
  for (std::size_t i = 0; i < timers.size(); i += 3) stopped += timers[i].stop() ? 1U : 0U;
  std::size_t fired = 0;
  for (std::size_t i = 0; i < timers.size(); ++i) {
    if (i % 3 != 0) fired += timers[i].c().recv() ? 1U : 0U;
  }
  EXPECT_EQ(stopped + fired, timers.size());
  EXPECT_TRUE(armed_falls_to(before));
}

RUNNEL_TEST(timer, after_funcs_in_a_burst) {
  const int n = rounds(5000);
  runnel::wait_group wg;
  wg.add(n);
  for (int i = 0; i < n; ++i) runnel::after_func(0ns, [&] { wg.done(); });
  wg.wait();
}

// The handle is a value: it goes on meaning the timer that it came from.
RUNNEL_TEST_BOTH(timer, a_handle_outlives_its_timer) {
  static_assert(
      std::is_same_v<decltype(std::declval<runnel::timer&>().c()), recv_chan<time_point>>);
  static_assert(
      std::is_same_v<decltype(std::declval<runnel::ticker&>().c()), recv_chan<time_point>>);
  runnel::timer t(1us);
  auto&& first = t.c();
  t = runnel::timer(1h);
  EXPECT_TRUE(first.recv().has_value());
  EXPECT_NE(first, t.c());
  runnel::ticker k(1us);
  auto&& ticks = k.c();
  k = runnel::ticker(1h);
  EXPECT_TRUE(ticks.recv().has_value());
}

// What comes before the arming comes before the tick: plain accesses, for the race detector to
// judge.
RUNNEL_TEST_BOTH(timer, arming_orders_what_is_received) {
  runnel::timer t(1h);
  runnel::ticker k(1h);
  const auto tick_of_timer = t.c(), tick_of_ticker = k.c();
  int before_reset = 0, before_ticker_reset = 0;
  crew others;
  others.go([&] {
    before_reset = 1;
    t.reset(1us);
  });
  others.go([&] {
    before_ticker_reset = 1;
    k.reset(1us);
  });
  tick_of_timer.recv();
  EXPECT_EQ(before_reset, 1);
  EXPECT_EQ(runnel::select(runnel::on_recv(tick_of_ticker), runnel::on_timeout(1h)), 0U);
  EXPECT_EQ(before_ticker_reset, 1);
  others.wait();
}

#if !RUNNEL_TEST_TSAN && !RUNNEL_TEST_ASAN
RUNNEL_TEST(timer, steady_state_allocates_nothing) {
  runnel::timer t(1h);
  runnel::ticker k(1us);
  auto f = runnel::after_func(1h, [] {});
  const chan<int> never;
  const auto work = [&] {
    for (int i = 0; i < 200; ++i) {
      runnel::sleep_for(1us);
      t.reset(1h);
      t.stop();
      t.reset(0ns);
      t.c().recv();
      k.c().recv();
      f.reset(1h);
      f.stop();
      runnel::select(runnel::on_recv(never), runnel::on_timeout(1us));
    }
  };
  // What processors set up once (heaps of their own, threads) is no part of the steady state; eight
  // of them may take a while until each has had its turn.
  std::uint64_t least = ~std::uint64_t{0};
  for (int attempt = 0; attempt < 50 && least != 0; ++attempt) {
    const auto before = runnel_test::allocations();
    work();
    least = std::min(least, (runnel_test::allocations() - before).heap);
  }
  EXPECT_EQ(least, 0U);
}
#endif

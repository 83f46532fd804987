// Sleeping, timers and tickers: the behaviours of Go's time package (sleep_test.go, tick_test.go).
#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <runnel/chan.hpp>
#include <runnel/go.hpp>
#include <runnel/select.hpp>
#include <runnel/sync/wait_group.hpp>
#include <runnel/time.hpp>
#include <string>
#include <thread>
#include <vector>

#include "support/crew.hpp"
#include "support/test.hpp"
#include "support/timer_channels.hpp"

using namespace std::chrono_literals;
using runnel::chan;
using runnel::recv_chan;
using runnel_test::crew;
using runnel_test::eventually;
using runnel_test::panic_text;
using runnel_test::received;
using runnel_test::rounds;
using clock_type = std::chrono::steady_clock;
using time_point = clock_type::time_point;

// TestAfter, TestAfterTick, TestAfterTimes, TestTickTimes.
RUNNEL_TEST_BOTH(time, what_is_received_is_the_time_of_the_event) {
  const auto begin = clock_type::now();
  const time_point after = *runnel::after(10ms).recv();
  EXPECT_GE(after, begin + 10ms);
  EXPECT_LE(after, clock_type::now());

  // Not the time of the receive; which fires itself what a stalled processor has not fired.
  bool fired_before = false;
  for (int tries = 0; tries < 5 && !fired_before; ++tries) {
    const recv_chan<time_point> late = runnel::after(2ms);
    runnel::sleep_for(20ms);
    const auto before_recv = clock_type::now();
    fired_before = *late.recv() <= before_recv;
  }
  EXPECT_TRUE(fired_before);

  const auto started = clock_type::now();
  const runnel::ticker t(3ms);
  time_point last = started;
  for (int i = 0; i < 5; ++i) {
    const time_point tick = *t.c().recv();
    EXPECT_GT(tick, last);
    last = tick;
  }
  EXPECT_GE(last - started, 15ms);
}

namespace {

struct event {
  int slot;
  recv_chan<time_point> c;
  time_point not_before;
  time_point not_after;
  time_point t{};
};

std::vector<event> events_as_they_come() {
  std::vector<event> events;
  for (const int slot : {5, 3, 6, 6, 6, 1, 1, 2, 7, 9, 4, 8, 0}) {
    const time_point before = clock_type::now();
    recv_chan<time_point> c = runnel::after(slot * 20ms);
    events.push_back({slot, std::move(c), before + slot * 20ms, clock_type::now() + slot * 20ms});
  }
  crew all;
  for (event& e : events) all.go([&e] { e.t = *e.c.recv(); });
  all.wait();
  return events;
}

// What came before another that was due earlier; empty: nothing.
std::string out_of_order(const std::vector<event>& events) {
  std::string found;
  for (const event& a : events) {
    EXPECT_GE(a.t, a.not_before);
    for (const event& b : events) {
      if (a.t < b.t && a.not_before > b.not_after) {
        found += "slot " + std::to_string(a.slot) + " before " + std::to_string(b.slot) + "\n";
      }
    }
  }
  return found;
}

}  // namespace

// TestAfterQueuing: whichever was asked for first, the shorter one comes first.
//
// True, in Go as here, of timers armed on one processor: overdue ones of several are run processor
// after processor. So all are armed by one goroutine, before anything parks; and since that may be
// held up between two of them, the order to be seen is that of the deadlines, as far as it is
// known.
//
// Five tries, as many as Go's test has: who comes late to a channel whose time is over makes it
// fire there and then, so that goroutines held up until two times are over fire them in their own
// order.
RUNNEL_TEST_BOTH(time, events_come_in_the_order_of_their_times) {
  std::string found;
  for (int tries = 0; tries < 5; ++tries) {
    found = out_of_order(events_as_they_come());
    if (found.empty()) break;
  }
  EXPECT_EQ(found, "");
}

// TestAfterFunc.
RUNNEL_TEST_BOTH(time, after_func_may_arm_the_next) {
  int left = 10;
  const chan<void> done;
  std::function<void()> step = [&] {
    if (--left >= 0) {
      runnel::after_func(0ns, step);
      runnel::sleep_for(1ms);
    } else {
      done.send();
    }
  };
  runnel::after_func(0ns, step);
  done.recv();
}

// TestAfterStop.
RUNNEL_TEST_BOTH(time, stopped_timers_do_not_fire) {
  std::atomic<bool> fired{false};
  auto function = runnel::after_func(20ms, [&] { fired = true; });
  runnel::timer channel(20ms);
  EXPECT_TRUE(function.stop());
  EXPECT_TRUE(channel.stop());
  EXPECT_FALSE(function.stop());
  EXPECT_FALSE(channel.stop());
  runnel::sleep_for(40ms);
  EXPECT_FALSE(fired);
  EXPECT_FALSE(received(channel.c()));
}

// TestReset.
RUNNEL_TEST_BOTH(time, reset_moves_the_event) {
  runnel::timer t(1h);
  const auto before = clock_type::now();
  EXPECT_TRUE(t.reset(5ms));
  EXPECT_GE(*t.c().recv() - before, 5ms);
  EXPECT_FALSE(t.reset(1h));
  EXPECT_TRUE(t.reset(2h));
  EXPECT_FALSE(received(t.c()));
  EXPECT_TRUE(t.reset(0ms));
  EXPECT_TRUE(t.c().recv());
  EXPECT_FALSE(t.reset(-1h));
  EXPECT_TRUE(t.c().recv());
}

// Go 1.23: stop and reset say true where a time was there to be received, and take it back.
RUNNEL_TEST_BOTH(time, an_unreceived_time_counts_as_not_fired) {
  for (int i = 0; i < 10; ++i) {
    runnel::timer t(0ns);
    runnel::sleep_for(2ms);
    EXPECT_TRUE(t.stop());
    EXPECT_FALSE(received(t.c()));
    EXPECT_FALSE(t.reset(0ns));
    runnel::sleep_for(2ms);
    EXPECT_TRUE(t.reset(1h));
    EXPECT_FALSE(received(t.c()));
  }
}

// TestOverflowSleep.
RUNNEL_TEST_BOTH(time, the_longest_and_the_shortest_durations) {
  const auto big = std::chrono::nanoseconds::max();
  const auto small = std::chrono::nanoseconds::min();
  const auto huge = std::chrono::hours::max();
  EXPECT_EQ(
      runnel::select(runnel::on_recv(runnel::after(big)), runnel::on_recv(runnel::after(huge)),
                     runnel::on_timeout(huge), runnel::on_recv(runnel::after(20ms))),
      3U);
  runnel::sleep_for(small);
  runnel::sleep_for(std::chrono::hours::min());
  runnel::sleep_until(time_point::min());
  EXPECT_TRUE(runnel::after(small).recv());
  EXPECT_EQ(runnel::select(runnel::on_recv(runnel::after(small)), runnel::on_timeout(1h)), 0U);
  // Periods that would overflow the deadline.
  runnel::ticker slow(big);
  slow.reset(huge);
  runnel::ticker quick(1ms);
  EXPECT_TRUE(quick.c().recv());
  quick.reset(big);
  EXPECT_FALSE(received(quick.c()));
}

RUNNEL_TEST_BOTH(time, durations_of_any_type_are_rounded_up) {
  const auto begin = clock_type::now();
  runnel::sleep_for(std::chrono::duration<double, std::milli>(1.5));
  EXPECT_GE(clock_type::now() - begin, 1500us);
  runnel::sleep_for(std::chrono::duration<int, std::pico>(1));
  runnel::sleep_for(std::chrono::duration<double>(0.0 / 1));
  runnel::ticker t{std::chrono::duration<float>(1e-9F)};
  EXPECT_TRUE(t.c().recv());
  runnel::ticker fraction{std::chrono::duration<int, std::pico>(1)};  // one nanosecond, not none
  EXPECT_TRUE(fraction.c().recv());
  runnel::sleep_until(std::chrono::time_point_cast<std::chrono::hours>(clock_type::now()));
}

// TestZeroTimerStopPanics, TestZeroTimerResetPanics and their like for tickers.
RUNNEL_TEST_BOTH(time, using_a_timer_that_was_moved_from) {
  runnel::timer a(1h);
  runnel::timer b(std::move(a));
  EXPECT_EQ(panic_text([&] { a.stop(); }), "time: Stop called on uninitialized Timer");
  EXPECT_EQ(panic_text([&] { a.reset(1s); }), "time: Reset called on uninitialized Timer");
  EXPECT_FALSE(a.c());
  runnel::ticker c(1h);
  runnel::ticker d(std::move(c));
  c.stop();  // does nothing, as in Go
  EXPECT_EQ(panic_text([&] { c.reset(1s); }), "time: Reset called on uninitialized Ticker");
  EXPECT_EQ(panic_text([&] { d.reset(-1s); }), "non-positive interval for Ticker.Reset");
  a = std::move(b);
  EXPECT_TRUE(a.stop());
  c = std::move(d);
  c.reset(1ms);
  EXPECT_TRUE(c.c().recv());
}

RUNNEL_TEST_BOTH(time, the_timer_of_after_func_has_no_channel) {
  std::atomic<int> ran{0};
  auto t = runnel::after_func(1h, [&] { ++ran; });
  EXPECT_FALSE(t.c());
  EXPECT_EQ(t.c(), recv_chan<time_point>(nullptr));
  EXPECT_TRUE(t.reset(0ns));
  EXPECT_TRUE(eventually([&] { return ran == 1; }));
}

// TestChan, once for a timer and once for a ticker.
namespace {

template <class Timer>
void channel_rules(Timer t, bool ticks) {
  constexpr auto far = 10000s;
  const auto comes = [&] { return eventually([&] { return received(t.c()); }); };
  EXPECT_EQ(t.c().capacity(), 0U);
  t.stop();
  EXPECT_FALSE(received(t.c()));
  t.reset(far);
  EXPECT_FALSE(received(t.c()));
  t.reset(1ns);
  runnel::sleep_for(2ms);
  EXPECT_EQ(t.c().size(), 0U);
  EXPECT_TRUE(comes());
  runnel::sleep_for(2ms);
  t.reset(far);  // a ticker has ticked since
  EXPECT_FALSE(received(t.c()));

  // Changes while a goroutine waits for it.
  std::atomic<bool> done{false};
  crew one;
  one.go([&] {
    t.c().recv();
    done = true;
  });
  runnel::sleep_for(2ms);
  EXPECT_FALSE(done);
  t.reset(2 * far);
  runnel::sleep_for(2ms);
  EXPECT_FALSE(done);
  t.reset(1ns);
  EXPECT_TRUE(eventually([&] { return done.load(); }));
  if (ticks) {
    EXPECT_TRUE(comes());
  } else {
    EXPECT_FALSE(received(t.c()));
  }
  t.stop();
  if (ticks) {
    EXPECT_FALSE(received(t.c()));
  }

  // A stopped timer does not wake its receiver; a reset one does.
  done = false;
  one.go([&] {
    t.c().recv();
    done = true;
  });
  runnel::sleep_for(2ms);
  t.stop();
  EXPECT_FALSE(done);
  t.reset(1ns);
  EXPECT_TRUE(eventually([&] { return done.load(); }));

  // In a select with others.
  t.reset(1ns);
  EXPECT_EQ(runnel::select(runnel::on_recv(t.c()), runnel::on_timeout(1h)), 0U);
  t.stop();
  EXPECT_EQ(runnel::select(runnel::on_recv(t.c()), runnel::on_timeout(1ms)), 1U);
}

}  // namespace

RUNNEL_TEST_BOTH(time, rules_of_a_timers_channel) { channel_rules(runnel::timer(10000s), false); }
RUNNEL_TEST_BOTH(time, rules_of_a_tickers_channel) { channel_rules(runnel::ticker(10000s), true); }

// TestTicker.
RUNNEL_TEST_BOTH(time, a_tickers_pace_and_its_change) {
  const auto begin = clock_type::now();
  runnel::ticker t(2ms);
  for (int i = 0; i < 5; ++i) t.c().recv();
  t.reset(4ms);
  for (int i = 0; i < 5; ++i) t.c().recv();
  t.stop();
  EXPECT_GE(clock_type::now() - begin, 5 * 2ms + 5 * 4ms - 6ms);  // ticks are not made up for
  runnel::sleep_for(10ms);
  EXPECT_FALSE(received(t.c()));
}

// TestTeardown.
// What is due already is there for whoever asks, also if nothing else looks at the timers
// meanwhile.
RUNNEL_TEST_BOTH(time, due_ticks_need_no_park) {
  runnel::ticker t(1ns);
  time_point last{};
  for (int i = 0; i < rounds(20000); ++i) {
    const time_point now = *t.c().recv();
    ASSERT_GE(now, last);
    last = now;
  }
  const recv_chan<time_point> once = runnel::after(1ms);
  for (const auto until = clock_type::now() + 2ms; clock_type::now() < until;) {
  }
  const time_point fired = *once.recv();
  EXPECT_LE(fired, clock_type::now());
}

RUNNEL_TEST_BOTH(time, tickers_come_and_go) {
  for (int i = 0; i < 3; ++i) {
    runnel::ticker t(2ms);
    EXPECT_TRUE(t.c().recv());
    t.stop();
  }
}

RUNNEL_TEST_BOTH(time, a_kept_channel_keeps_its_timer) {
  const recv_chan<time_point> c = runnel::timer(1ms).c();
  EXPECT_TRUE(c.recv());
  const recv_chan<time_point> t = runnel::ticker(1ms).c();
  EXPECT_TRUE(t.recv());
  EXPECT_TRUE(t.recv());
  int n = 0;
  for (const time_point at : runnel::tick(1ms)) {
    EXPECT_LE(at, clock_type::now());
    if (++n == 3) break;
  }
  n = 0;
  for ([[maybe_unused]] const time_point at : runnel::ticker(1ms).c()) {
    if (++n == 3) break;
  }
}

// TestAfterFuncStarvation.
RUNNEL_TEST_BOTH(time, after_func_gets_its_turn_beside_a_busy_pair) {
  const chan<bool> c(1);
  std::atomic<bool> stop{false};
  crew pair;
  pair.go([&] {
    while (!stop) c.send(true);
    c.close();
  });
  pair.go([&] {
    for ([[maybe_unused]] bool b : c) {
    }
  });
  runnel::after_func(1us, [&] { stop = true; });
}

// "an overdue timer fires although its processor is stalled"
RUNNEL_TEST(time, fires_although_the_processor_that_armed_it_is_busy) {
  std::atomic<bool> fired{false};
  const recv_chan<time_point> mine = runnel::after(5ms);
  runnel::after_func(5ms, [&] { fired = true; });
  const auto limit = clock_type::now() + runnel_test::patience();
  while (!fired && clock_type::now() < limit) {
    // Burns its CPU and never enters the library.
  }
  EXPECT_TRUE(fired);
  EXPECT_TRUE(received(mine));
}

RUNNEL_TEST(time, fires_although_every_processor_blocks_its_thread) {
  std::atomic<int> fired{0};
  crew all;
  for (int i = 0; i < 10; ++i) {
    all.go([&] {
      runnel::after_func(2ms, [&] { ++fired; });
      std::this_thread::sleep_for(100ms);  // unannounced
    });
  }
  EXPECT_TRUE(eventually([&] { return fired == 10; }));
}

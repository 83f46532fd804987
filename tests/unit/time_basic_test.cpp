// sleep_for, sleep_until, after, timer, ticker: what the foundation needs of <runnel/time.hpp>.
#include <atomic>
#include <chrono>
#include <runnel/chan.hpp>
#include <runnel/go.hpp>
#include <runnel/select.hpp>
#include <runnel/time.hpp>
#include <thread>
#include <vector>

#include "support/crew.hpp"
#include "support/test.hpp"

using namespace std::chrono_literals;
using runnel::chan;
using runnel_test::crew;
using runnel_test::eventually;
using runnel_test::patience;
using clock_type = std::chrono::steady_clock;

RUNNEL_TEST_BOTH(time_basic, sleep_is_never_short) {
  for (const auto d : {0us, 1us, 100us, 3000us, 20000us}) {
    const auto begin = clock_type::now();
    runnel::sleep_for(d);
    EXPECT_GE(clock_type::now() - begin, d);
    EXPECT_LT(clock_type::now() - begin, patience());
  }
  runnel::sleep_for(-1h);
  runnel::sleep_for(std::chrono::nanoseconds::min());
  runnel::sleep_for(std::chrono::duration<double>(0.0001));
  const auto until = clock_type::now() + 2ms;
  runnel::sleep_until(until);
  EXPECT_GE(clock_type::now(), until);
  runnel::sleep_until(clock_type::now() - 1h);
  runnel::sleep_until(clock_type::time_point::min());
}

RUNNEL_TEST_BOTH(time_basic, sleepers_wake_in_the_order_of_their_times) {
  const chan<int> woken(6);
  crew all;
  for (int i = 5; i >= 0; --i) {
    all.go([&, i] {
      runnel::sleep_for(std::chrono::milliseconds(20 + 60 * i));
      woken.send(i);
    });
  }
  for (int i = 0; i < 6; ++i) EXPECT_EQ(woken.recv(), i);
}

RUNNEL_TEST_BOTH(time_basic, sleeping_goroutines_hold_no_processor) {
  // A thousand sleeps of 50 ms do not queue behind one another.
  const auto begin = clock_type::now();
  {
    crew all;
    for (int i = 0; i < 1000; ++i) all.go([] { runnel::sleep_for(50ms); });
  }
  EXPECT_LT(clock_type::now() - begin, patience());
}

RUNNEL_TEST_BOTH(time_basic, many_sleepers_of_all_lengths) {
  std::atomic<int> woken{0};
  crew all;
  const int n = runnel_test::rounds(20'000);
  for (int i = 0; i < n; ++i) {
    all.go([&, i] {
      const auto d = std::chrono::microseconds((i * 7919L) % 100'000);
      const auto begin = clock_type::now();
      runnel::sleep_for(d);
      ASSERT_GE(clock_type::now() - begin, d);
      ++woken;
    });
  }
  all.wait();
  EXPECT_EQ(woken, n);
}

RUNNEL_TEST_BOTH(time_basic, after_delivers_the_time_once) {
  const auto begin = clock_type::now();
  const runnel::recv_chan<clock_type::time_point> c = runnel::after(5ms);
  EXPECT_EQ(c.capacity(), 0U);  // Go 1.23: timer channels look unbuffered
  const auto fired = c.recv();
  ASSERT_TRUE(fired.has_value());
  EXPECT_GE(*fired - begin, 5ms);
  EXPECT_LE(*fired, clock_type::now());
  clock_type::time_point again;
  runnel::sleep_for(10ms);
  EXPECT_EQ(c.try_recv(again), runnel::chan_status::would_block);
  EXPECT_TRUE(runnel::after(-1ms).recv());
  EXPECT_TRUE(runnel::after(0ms).recv());
}

RUNNEL_TEST_BOTH(time_basic, after_in_select) {
  const chan<int> never;
  EXPECT_EQ(runnel::select(runnel::on_recv(never), runnel::on_recv(runnel::after(2ms))), 1U);
  const auto late = runnel::after(1h);
  const auto soon = runnel::after(2ms);
  EXPECT_EQ(runnel::select(runnel::on_recv(late), runnel::on_recv(soon)), 1U);
}

RUNNEL_TEST_BOTH(time_basic, a_timer_that_is_received_late_still_has_its_value) {
  runnel::timer t(1ms);
  runnel::sleep_for(20ms);
  EXPECT_TRUE(t.c().recv());
  EXPECT_FALSE(t.stop());
}

RUNNEL_TEST_BOTH(time_basic, stop_and_reset) {
  runnel::timer t(1h);
  EXPECT_TRUE(t.stop());
  EXPECT_FALSE(t.stop());
  EXPECT_FALSE(t.reset(2ms));  // was stopped
  EXPECT_TRUE(t.c().recv());
  EXPECT_FALSE(t.reset(1h));  // had fired
  EXPECT_TRUE(t.reset(2ms));  // was running
  EXPECT_TRUE(t.c().recv());
}

RUNNEL_TEST_BOTH(time_basic, no_stale_value_after_stop_or_reset) {
  for (int i = 0; i < 20; ++i) {
    runnel::timer t(1ms);
    runnel::sleep_for(3ms);  // it is due, nobody has received
    t.stop();
    clock_type::time_point value;
    EXPECT_EQ(t.c().try_recv(value), runnel::chan_status::would_block);
    const auto begin = clock_type::now();
    t.reset(1ms);
    runnel::sleep_for(3ms);
    t.reset(4ms);
    const auto reset_at = clock_type::now();
    EXPECT_TRUE(t.c().recv());
    EXPECT_GE(clock_type::now() - begin, 4ms);
    EXPECT_LE(reset_at - begin, patience());
  }
}

RUNNEL_TEST_BOTH(time_basic, timers_can_be_moved) {
  runnel::timer a(2ms);
  runnel::timer b = std::move(a);
  EXPECT_TRUE(b.c().recv());
  static_assert(!std::is_copy_constructible_v<runnel::timer>);
  static_assert(!std::is_copy_constructible_v<runnel::ticker>);
  std::vector<runnel::timer> many;
  for (int i = 0; i < 10; ++i) many.emplace_back(1ms);
  for (auto& t : many) EXPECT_TRUE(t.c().recv());
}

RUNNEL_TEST_BOTH(time_basic, after_func_runs_on_a_goroutine_of_its_own) {
  const chan<std::uint64_t> ran(1);
  runnel::after_func(2ms, [ran] { ran.send(runnel::this_goroutine::id()); });  // handle dropped
  const auto id = ran.recv();
  EXPECT_NE(*id, 0U);
  EXPECT_NE(*id, runnel::this_goroutine::id());

  std::atomic<int> count{0};
  auto t = runnel::after_func(1h, [&] { ++count; });
  EXPECT_TRUE(t.stop());
  EXPECT_FALSE(t.reset(1ms));
  EXPECT_TRUE(eventually([&] { return count == 1; }));
  EXPECT_FALSE(t.reset(1ms));
  EXPECT_TRUE(eventually([&] { return count == 2; }));
  EXPECT_FALSE(t.stop());
}

RUNNEL_TEST_BOTH(time_basic, ticker_ticks_and_drops_for_slow_receivers) {
  runnel::ticker t(2ms);
  const auto begin = clock_type::now();
  for (int i = 1; i <= 5; ++i) {
    ASSERT_TRUE(t.c().recv());
    EXPECT_GE(clock_type::now() - begin, i * 2ms - 1ms);
  }
  runnel::sleep_for(30ms);  // fifteen ticks; one at most is waiting
  clock_type::time_point tick;
  int waiting = 0;
  t.stop();
  while (t.c().try_recv(tick) == runnel::chan_status::ok) ++waiting;
  EXPECT_EQ(waiting, 0);  // and after stop() none is received
  t.reset(3ms);
  EXPECT_TRUE(t.c().recv());
}

RUNNEL_TEST_BOTH(time_basic, non_positive_tickers_panic) {
  const auto text = [](auto f) -> std::string {
    try {
      f();
    } catch (const runnel::panic& p) {
      return p.what();
    }
    return "no panic";
  };
  EXPECT_EQ(text([] { runnel::ticker t(0ms); }), "non-positive interval for NewTicker");
  EXPECT_EQ(text([] { runnel::ticker t(-1ms); }), "non-positive interval for NewTicker");
  runnel::ticker good(1h);
  EXPECT_EQ(text([&] { good.reset(0ms); }), "non-positive interval for Ticker.Reset");
  EXPECT_FALSE(runnel::tick(0ms));  // nil, as in Go
  EXPECT_FALSE(runnel::tick(-1ms));
}

RUNNEL_TEST_BOTH(time_basic, dropped_timers_leave_nothing) {
  const std::size_t before = runnel::num_goroutine();
  for (int i = 0; i < runnel_test::rounds(20'000); ++i) {
    const auto c = runnel::after(1h);
    const runnel::timer t(1h);
    const runnel::ticker k(1h);
  }
  EXPECT_EQ(runnel::num_goroutine(), before);
}

RUNNEL_TEST_BOTH(time_basic, plain_threads_sleep_and_receive_from_timers) {
  std::vector<std::thread> threads;
  std::atomic<int> done{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      runnel::sleep_for(2ms);
      EXPECT_TRUE(runnel::after(2ms).recv());
      EXPECT_EQ(runnel::select(runnel::on_timeout(2ms)), 0U);
      ++done;
    });
  }
  runnel::blocking([&] {
    for (auto& t : threads) t.join();
  });
  EXPECT_EQ(done, 4);
}

// TestTimerFairness: two goroutines that always have something to exchange do not keep a timer
// from firing.
RUNNEL_TEST_BOTH(time_basic, timers_fire_under_a_busy_exchange) {
  const chan<void> done;
  const chan<int> c;
  crew senders;
  for (int i = 0; i < 2; ++i) {
    senders.go([&] {
      while (runnel::select(runnel::on_send(c, 1), runnel::on_recv(done)) == 0) {
      }
    });
  }
  const auto timer = runnel::after(20ms);
  while (runnel::select(runnel::on_recv(c), runnel::on_recv(timer)) == 0) {
  }
  done.close();
}

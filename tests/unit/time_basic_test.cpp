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
  const auto woken_in_order = [] {
    const chan<int> woken(6);
    crew all;
    for (int i = 5; i >= 0; --i) {
      all.go([&, i] {
        runnel::sleep_for(std::chrono::milliseconds(20 + 60 * i));
        woken.send(i);
      });
    }
    bool in_order = true;
    for (int i = 0; i < 6; ++i) in_order = woken.recv() == i && in_order;
    return in_order;
  };
  // When the machine itself stands still for 60 ms two of them are due at once, in any order.
  int attempts = 1;
  while (!woken_in_order() && attempts < 5) ++attempts;
  EXPECT_LT(attempts, 5);
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
  const int n = runnel_test::crowd(runnel_test::rounds(20'000));
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
  const auto begin = clock_type::now();
  runnel::ticker t(2ms);
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

// As std::this_thread::sleep_until, on a clock that is not the runtime's.
RUNNEL_TEST_BOTH(time_basic, sleep_until_on_another_clock) {
  using clock = std::chrono::system_clock;
  const clock::time_point t = clock::now() + 5ms;
  runnel::sleep_until(t);
  EXPECT_GE(clock::now(), t);
  runnel::sleep_until(clock::now() - 1h);
  runnel::sleep_until(clock::time_point{});
}

// Go's TestSleepZeroDeadlock: sleeps of no length beside whoever wants the machine's attention.
RUNNEL_TEST_BOTH(time_basic, sleeps_of_no_length) {
  const chan<bool> done;
  crew sleepers;
  for (int g = 0; g < 4; ++g) {
    sleepers.go([&] {
      for (int i = 0; i < runnel_test::rounds(10'000); ++i) {
        runnel::sleep_for(0s);
        if (i % 64 == 0) runnel::sleep_for(-1s);
        if (i % 128 == 0) runnel::yield();
      }
      done.send(true);
    });
  }
  for (int i = 0; i < runnel_test::rounds(100); ++i) {
    std::vector<char> garbage(4096);
    runnel::sleep_for(0s);
    runnel::sleep_for(1ns);
  }
  for (int g = 0; g < 4; ++g) EXPECT_TRUE(done.recv());
}

// Go's TestLongAdjustTimers: many timers, far away, moved about, do not delay those that are near.
RUNNEL_TEST_BOTH(time_basic, near_timers_among_many_far_ones) {
  const int n = runnel_test::rounds(20'000);
  std::vector<runnel::timer> far;
  for (int i = 0; i < n; ++i) {
    far.push_back(runnel::after_func(1h + std::chrono::seconds(i % 100), [] {}));
  }
  std::atomic<bool> stop{false};
  crew movers;
  for (int g = 0; g < 2; ++g) {
    movers.go([&, g] {
      for (int i = g; !stop; i = (i + 2) % n) {
        far[static_cast<std::size_t>(i)].reset(2h - std::chrono::seconds(i % 1000));
      }
    });
  }
  const runnel::defer at_end{[&] {
    stop = true;
    movers.wait();
    for (runnel::timer& t : far) t.stop();
  }};
  for (int i = 0; i < 10; ++i) {
    const chan<void> ran;
    runnel::after_func(1ms, [ran] { ran.close(); });
    EXPECT_EQ(runnel::select(runnel::on_recv(ran), runnel::on_timeout(patience())), 0U);
    EXPECT_TRUE(runnel::after(1us).recv().has_value());
  }
}

// The channels of timers that nobody waits for: in no heap, and yet as if they fired by themselves.
// Go: the rules of its timer channels since 1.23.
#include <atomic>
#include <chrono>
#include <random>
#include <runnel/chan.hpp>
#include <runnel/diag.hpp>
#include <runnel/go.hpp>
#include <runnel/runtime.hpp>
#include <runnel/select.hpp>
#include <runnel/time.hpp>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "support/crew.hpp"
#include "support/test.hpp"
#include "support/timer_channels.hpp"

using namespace std::chrono_literals;
using runnel::chan;
using runnel::chan_status;
using runnel::recv_chan;
using runnel_test::crew;
using runnel_test::eventually;
using runnel_test::received;
using runnel_test::rounds;
using clock_type = std::chrono::steady_clock;
using time_point = clock_type::time_point;

namespace {

bool received_by_select(const recv_chan<time_point>& c) {
  return runnel::select(runnel::on_recv(c), runnel::otherwise()) == 0;
}

/// Without giving anybody a chance to fire a timer.
void spin_until(time_point t) {
  while (clock_type::now() < t) {
  }
}

/// Until n goroutines wait in a receive.
bool some_receive(int n) {
  return eventually([n] {
    std::ostringstream dump;
    runnel::dump_goroutines(dump);
    const std::string text = dump.str();
    const std::string_view state = " [chan receive";
    int found = 0;
    for (std::size_t at = text.find(state); at != std::string::npos; at = text.find(state, at + 1))
      ++found;
    return found >= n;
  });
}

}  // namespace

RUNNEL_TEST_BOTH(timer_dormant, is_there_as_soon_as_it_is_due) {
  for (const auto ask : {&received, &received_by_select}) {
    const recv_chan<time_point> c = runnel::after(200us);
    const auto made = clock_type::now();
    if (ask(c)) {
      EXPECT_GE(clock_type::now() - made, 200us - 1ms);
      continue;  // the machine stood still
    }
    spin_until(made + 200us);
    EXPECT_TRUE(ask(c));
    EXPECT_FALSE(ask(c));
  }
}

RUNNEL_TEST_BOTH(timer_dormant, what_is_received_late_is_when_it_was_due) {
  const auto before = clock_type::now();
  const recv_chan<time_point> once = runnel::after(1ms);
  const recv_chan<time_point> waited_for = runnel::after(1ms);
  const recv_chan<time_point> past = runnel::after(-1h);
  const auto made = clock_type::now();
  const auto check = [&](time_point t) {
    EXPECT_GE(t, before + 1ms);
    EXPECT_LE(t, made + 1ms);
  };
  const bool still_to_come =
      runnel::select(runnel::on_recv(waited_for, check), runnel::on_timeout(1us)) == 1;
  runnel::sleep_for(10ms);
  check(*once.recv());
  if (still_to_come) check(*waited_for.recv());
  const time_point now = *past.recv();
  EXPECT_GE(now, before);
  EXPECT_LE(now, made);
}

RUNNEL_TEST_BOTH(timer_dormant, a_ticker_keeps_the_first_of_missed_ticks) {
  const auto before = clock_type::now();
  const runnel::ticker k(1ms);
  const auto made = clock_type::now();
  for (int i = 0; i < 3; ++i) {
    runnel::sleep_for(5ms);
    const auto asked = clock_type::now();
    const time_point first = *k.c().recv();
    EXPECT_LE(first, asked);
    const time_point second = *k.c().recv();
    EXPECT_GT(second, first);
    if (i == 0) {
      EXPECT_GE(first, before + 1ms);
      EXPECT_LE(first, made + 1ms);
      EXPECT_GT(second, asked);  // those between were dropped
    }
    EXPECT_EQ((second - first) % 1ms, 0ns);
  }
}

RUNNEL_TEST_BOTH(timer_dormant, polling_a_ticker_gives_each_tick_once) {
  const runnel::ticker k(1ms);
  time_point last = clock_type::now() - 1s;
  int ticks = 0;
  while (ticks < 20) {
    time_point t;
    if (k.c().try_recv(t) != chan_status::ok) {
      runnel::yield();
      continue;
    }
    EXPECT_LT(last, t);
    EXPECT_LE(t, clock_type::now());
    last = t;
    ++ticks;
  }
}

RUNNEL_TEST_BOTH(timer_dormant, stop_and_reset_know_what_was_due) {
  runnel::timer t(0ns);
  EXPECT_TRUE(t.stop());  // due, not received
  EXPECT_FALSE(t.stop());
  EXPECT_FALSE(received(t.c()));
  EXPECT_FALSE(t.reset(0ns));
  EXPECT_TRUE(t.reset(0ns));
  EXPECT_TRUE(received(t.c()));
  EXPECT_FALSE(t.reset(1h));
  EXPECT_FALSE(received(t.c()));
  EXPECT_TRUE(t.reset(0ns));
  EXPECT_TRUE(t.c().recv());
  EXPECT_FALSE(t.stop());
}

RUNNEL_TEST_BOTH(timer_dormant, is_chosen_as_often_as_another_ready_case) {
  const chan<int> ready(1);
  int timer_won = 0;
  const int n = rounds(2000);
  for (int i = 0; i < n; ++i) {
    ready.try_send(1);
    const recv_chan<time_point> due = runnel::after(0ns);
    if (runnel::select(runnel::on_recv(ready), runnel::on_recv(due)) == 1) ++timer_won;
  }
  EXPECT_GT(timer_won, n / 4);
  EXPECT_LT(timer_won, n * 3 / 4);
}

// A timer that is not due keeps nobody from what is ready.
RUNNEL_TEST_BOTH(timer_dormant, does_not_hold_up_a_select) {
  const chan<int> ready(1);
  for (int i = 0; i < rounds(2000); ++i) {
    ready.send(i);
    int got = -1;
    const auto take = [&](int v) { got = v; };
    if (i % 2 == 0) {
      runnel::select(runnel::on_recv(runnel::after(1h)), runnel::on_recv(ready, take));
    } else {
      runnel::select(runnel::on_recv(runnel::after(1h)), runnel::on_recv(ready, take),
                     runnel::otherwise());
    }
    EXPECT_EQ(got, i);
  }
}

RUNNEL_TEST(timer_dormant, a_reset_arms_for_those_who_wait) {
  runnel::timer t(1h);
  EXPECT_TRUE(t.stop());
  const chan<int> came(2);
  crew all;
  all.go([&] {
    t.c().recv();
    came.send(1);
  });
  EXPECT_TRUE(some_receive(1));
  all.go([&] {
    runnel::select(runnel::on_recv(t.c()));
    came.send(2);
  });
  EXPECT_TRUE(some_receive(2));
  EXPECT_FALSE(t.reset(1ms));
  EXPECT_EQ(came.recv(), 1);  // who came first
  EXPECT_FALSE(t.reset(1ms));
  EXPECT_EQ(came.recv(), 2);
}

RUNNEL_TEST(timer_dormant, one_who_comes_late_does_not_overtake) {
  for (int i = 0; i < 20; ++i) {
    runnel::timer t(1h);
    t.stop();
    std::atomic<bool> came{false};
    crew all;
    all.go([&] {
      t.c().recv();
      came = true;
    });
    EXPECT_TRUE(some_receive(1));
    t.reset(0ns);
    EXPECT_FALSE(received(t.c()));
    EXPECT_TRUE(eventually([&] { return came.load(); }));
  }
}

// Each arming is received once, unless it was stopped or replaced, however receivers begin and give
// up waiting meanwhile.
RUNNEL_TEST_BOTH(timer_dormant, waits_that_begin_and_end_beside_stop_and_reset) {
  for (int round = 0; round < rounds(60); ++round) {
    runnel::timer t(1h);
    std::atomic<int> armings{1};
    std::atomic<int> receipts{0};
    std::atomic<int> at_work{4};
    crew all;
    const auto receive = [&](unsigned seed) {
      std::mt19937 random(seed);
      while (at_work > 0) {
        const auto count = [&](time_point) { ++receipts; };
        switch (random() % 4) {
          case 0:
            if (received(t.c())) ++receipts;
            runnel::yield();
            break;
          case 1:
            runnel::select(runnel::on_recv(t.c(), count), runnel::otherwise());
            runnel::yield();
            break;
          case 2:
            runnel::select(runnel::on_recv(t.c(), count), runnel::on_recv(runnel::after(3us)));
            break;
          default:
            runnel::select(runnel::on_recv(t.c(), count), runnel::on_timeout(5us));
        }
      }
    };
    const auto arm = [&](unsigned seed) {
      std::mt19937 random(seed);
      for (int i = 0; i < 20; ++i) {
        if (random() % 3 == 0) {
          if (t.stop()) --armings;
        } else if (!t.reset(std::chrono::microseconds(random() % 20))) {
          ++armings;
        }
        if (random() % 2 == 0) runnel::yield();
      }
      --at_work;
    };
    std::thread outside([&] { arm(static_cast<unsigned>(round)); });
    for (unsigned i = 1; i < 4; ++i) all.go([&, i] { arm(1000 * i); });
    for (unsigned i = 0; i < 3; ++i) all.go([&, i] { receive(i); });
    runnel::blocking([&] { outside.join(); });
    all.wait();
    if (t.stop()) --armings;
    EXPECT_EQ(receipts, armings);
  }
}

// Receivers that find a timer idle beside one that arms it for those who wait, on another processor
// than the one whose heap is being emptied all the time.
RUNNEL_TEST_BOTH(timer_dormant, plain_receives_of_an_idle_timer_that_is_armed) {
  std::atomic<bool> done{false};
  crew busy;
  for (int g = 0; g < 2; ++g) {
    busy.go([&] {
      while (!done) runnel::sleep_for(1ns);
    });
  }
  for (int round = 0; round < rounds(300); ++round) {
    runnel::timer t(1h);
    t.stop();
    std::atomic<int> received_by{0};
    crew all;
    for (int g = 0; g < 3; ++g) {
      all.go([&] {
        EXPECT_TRUE(t.c().recv());
        ++received_by;
      });
    }
    for (int n = 1; n <= 3; ++n) {
      t.reset(0ns);
      EXPECT_TRUE(eventually([&] { return received_by == n; }));
    }
  }
  done = true;
}

RUNNEL_TEST_BOTH(timer_dormant, the_last_handle_may_go_while_it_fires) {
  crew all;
  for (int g = 0; g < 4; ++g) {
    all.go([] {
      for (int i = 0; i < rounds(2000); ++i) {
        const recv_chan<time_point> c = runnel::after(std::chrono::microseconds(i % 4));
        runnel::select(runnel::on_recv(c), runnel::on_timeout(std::chrono::microseconds(i % 3)));
      }
    });
  }
}

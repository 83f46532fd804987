// Scale: a million parked goroutines, ten thousand blocked threads.
// runnel: labels: slow
// runnel: serial
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <runnel/chan.hpp>
#include <runnel/go.hpp>
#include <runnel/runtime.hpp>
#include <runnel/select.hpp>
#include <runnel/time.hpp>
#include <string>
#include <thread>
#include <vector>

#include "support/crew.hpp"
#include "support/resident.hpp"
#include "support/test.hpp"

using namespace std::chrono_literals;
using runnel::chan;
using runnel_test::crowd;
using runnel_test::eventually;
using runnel_test::resident_bytes;
using runnel_test::under_sanitizer;

RUNNEL_TEST_BOTH(scale, a_million_parked_goroutines) {
  runnel_test::set_deadline(600s);
  const int n = under_sanitizer ? crowd(5'000, 1'500) : 1'000'000;
  // Of the new process: what an earlier round left resident is not free.
  static const std::size_t before = resident_bytes();
  const std::size_t goroutines_before = runnel::num_goroutine();
  const chan<int> c;
  std::atomic<int> parked{0};
  std::atomic<long> sum{0};
  for (int i = 0; i < n; ++i) {
    runnel::go([&] {
      ++parked;
      sum += *c.recv();
    });
  }
  ASSERT_TRUE(eventually([&] { return parked == n; }, 300s));
  EXPECT_EQ(runnel::num_goroutine(), goroutines_before + static_cast<std::size_t>(n));
  if (!under_sanitizer) {
    const double each = static_cast<double>(resident_bytes() - before) / n;
    EXPECT_LE(each, 4.6 * 1024) << "bytes of RSS per parked goroutine";
  }
  for (int i = 0; i < n; ++i) c.send(1);
  ASSERT_TRUE(eventually([&] { return sum == n; }, 300s));
  ASSERT_TRUE(eventually([&] { return runnel::num_goroutine() == goroutines_before; }, 300s));
}

// What goroutines took that have never run, and so never had a stack, is given back when little
// else is going on: all slabs of seeds but a few of which processors keep one.
RUNNEL_TEST(scale, memory_of_a_burst_is_given_back) {
  if (under_sanitizer || runnel::max_procs() != 1) return;  // elsewhere they begin at once
  const std::size_t before = resident_bytes();
  std::atomic<int> left{600'000};
  for (int i = left; i > 0; --i) runnel::go([&left] { --left; });
  const std::size_t at_most = resident_bytes();
  ASSERT_TRUE(eventually([&] { return left == 0; }, 60s));
  const std::size_t taken = at_most - before;
  if (at_most < before || taken < (std::size_t{32} << 20)) return;  // preempted early and often
  EXPECT_TRUE(eventually([&] { return resident_bytes() < before + taken / 2; }))
      << resident_bytes() - before << " of " << taken << " bytes";
}

RUNNEL_TEST_BOTH(scale, a_million_woken_by_one_close) {
  runnel_test::set_deadline(600s);
  const int n = under_sanitizer ? crowd(5'000, 1'500) : 1'000'000;
  const chan<void> gate;
  std::atomic<int> through{0};
  for (int i = 0; i < n; ++i) {
    runnel::go([&] {
      gate.recv();
      ++through;
    });
  }
  gate.close();
  ASSERT_TRUE(eventually([&] { return through == n; }, 300s));
}

namespace {

void ten_thousand_at_once(void (*block)()) {
  runnel_test::set_deadline(600s);
  const int n = under_sanitizer ? 200 : 10'000;
  std::atomic<int> done{0};
  for (int i = 0; i < n; ++i) {
    runnel::go([&] {
      block();
      ++done;
    });
  }
  // Meanwhile everything else goes on.
  for (int i = 0; i < 10; ++i) {
    const chan<int> c;
    runnel::go([c] { c.send(1); });
    EXPECT_EQ(c.recv(), 1);
    runnel::sleep_for(1ms);
  }
  EXPECT_TRUE(eventually([&] { return done == n; }, 500s)) << done << " of " << n;
}

}  // namespace

RUNNEL_TEST_BOTH(scale, ten_thousand_announced_blocking_calls) {
  ten_thousand_at_once([] { runnel::blocking([] { ::usleep(200'000); }); });
}

RUNNEL_TEST_BOTH(scale, ten_thousand_hidden_blocking_calls) {
  ten_thousand_at_once([] { ::usleep(100'000); });
}

RUNNEL_TEST_BOTH(scale, many_channels_and_many_selects) {
  const int n = under_sanitizer ? 500 : 20'000;
  std::vector<chan<int>> channels(static_cast<std::size_t>(n));
  const chan<void> stop;
  std::atomic<int> received{0};
  std::atomic<int> stopped{0};
  for (const auto& c : channels) {
    runnel::go([&, c] {
      while (runnel::select(runnel::on_recv(c, [&](int v) { received += v; }),
                            runnel::on_recv(stop)) == 0) {
      }
      ++stopped;
    });
  }
  for (int round = 0; round < 3; ++round) {
    for (const auto& c : channels) c.send(1);
  }
  EXPECT_TRUE(eventually([&] { return received == 3 * n; }));
  stop.close();
  EXPECT_TRUE(eventually([&] { return stopped == n; }));
}

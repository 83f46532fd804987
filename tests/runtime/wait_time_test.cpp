// Since when someone waits, as reports tell it.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <runnel/chan.hpp>
#include <runnel/go.hpp>
#include <runnel/runtime.hpp>
#include <thread>

#include "runtime/inspect.hpp"
#include "support/test.hpp"

using namespace std::chrono_literals;
using runnel_test::eventually;

namespace {

using clock_type = std::chrono::steady_clock;

// Of the goroutines that wait, the shortest wait; -1: none does.
std::int64_t shortest_wait() {
  std::int64_t least = -1;
  runnel::runtime::for_each_goroutine(
      [](void* argument, const runnel::runtime::goroutine_view& g) {
        auto& result = *static_cast<std::int64_t*>(argument);
        if (g.state != runnel::runtime::goroutine_state::waiting) return;
        result = result < 0 ? g.waiting_ns : std::min(result, g.waiting_ns);
      },
      &least);
  return least;
}

std::int64_t longest_thread_wait() {
  std::int64_t most = -1;
  runnel::runtime::for_each_blocked_thread(
      [](void* argument, const runnel::runtime::thread_view& t) {
        auto& result = *static_cast<std::int64_t*>(argument);
        result = std::max(result, t.waiting_ns);
      },
      &most);
  return most;
}

}  // namespace

// It used to be unknown for whoever parked before the clock of the reports was first set.
RUNNEL_TEST_THREAD(wait_time, is_known_from_the_start) {
  const runnel::chan<void> gate;
  for (int i = 0; i < 10; ++i) runnel::go([gate] { gate.recv(); });
  EXPECT_TRUE(eventually([] { return shortest_wait() > 0; }));
  gate.close();
}

// The clock of the reports stands still while all sleep.
RUNNEL_TEST_THREAD(wait_time, of_a_thread_does_not_begin_before_the_wait) {
  const runnel::chan<void> gate;
  runnel::run([] {});
  std::this_thread::sleep_for(300ms);
  const auto before = clock_type::now();
  std::thread waits([gate] { gate.recv(); });
  EXPECT_TRUE(eventually([] { return longest_thread_wait() > 0; }));
  const std::chrono::nanoseconds waited(longest_thread_wait());
  EXPECT_LE(waited, clock_type::now() - before);
  gate.close();
  waits.join();
}

// Crowds: more goroutines than fit into a processor's own queue, and none of them starves.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <runnel/chan.hpp>
#include <runnel/go.hpp>
#include <runnel/runtime.hpp>
#include <runnel/select.hpp>
#include <runnel/sync/wait_group.hpp>
#include <runnel/time.hpp>
#include <vector>

#include "support/crew.hpp"
#include "support/test.hpp"

using namespace std::chrono_literals;
using runnel::chan;
using runnel_test::crew;
using runnel_test::crowd;
using runnel_test::eventually;
using runnel_test::patience;
using runnel_test::rounds;

namespace {

using clock_type = std::chrono::steady_clock;

}  // namespace

// So many yield that they fill a processor's own queue and the global one: whom one of them wakes
// has his turn.
RUNNEL_TEST_BOTH(runtime, a_crowd_that_yields_starves_nobody) {
  constexpr int n = crowd(1000, 300);
  for (int round = 0; round < rounds(20); ++round) {
    std::atomic<bool> open{false};
    const chan<void> gate;
    runnel::wait_group here;
    here.add(n);
    crew all;
    for (int i = 0; i < n; ++i) {
      all.go([&] {
        gate.recv();
        here.done();
        const auto end = clock_type::now() + patience();
        while (!open && clock_type::now() < end) runnel::yield();
      });
    }
    const auto begin = clock_type::now();
    gate.close();
    here.wait();
    open = true;
    all.wait();
    ASSERT_LT(clock_type::now() - begin, patience());
  }
}

// And without yielding: a loop of try_* or of otherwise() never parks, others run all the same.
RUNNEL_TEST_BOTH(runtime, pollers_that_never_yield_starve_nobody) {
  std::atomic<bool> stop{false};
  const chan<int> empty;
  const chan<int> buffered(1);
  crew pollers;
  for (int i = 0; i < 10; ++i) {
    pollers.go([&, i] {
      const auto end = clock_type::now() + patience(20s);
      int v = 0;
      while (!stop && clock_type::now() < end) {
        if (i % 3 == 0) (void)empty.try_recv(v);
        if (i % 3 == 1) runnel::select(runnel::on_recv(empty), runnel::otherwise());
        if (i % 3 == 2 && buffered.try_send(i) == runnel::chan_status::ok) (void)buffered.recv();
      }
    });
  }
  std::atomic<int> others{0};
  const auto begin = clock_type::now();
  for (int i = 0; i < 100; ++i) runnel::go([&] { ++others; });
  EXPECT_TRUE(eventually([&] { return others == 100; }));
  runnel::sleep_for(1ms);
  stop = true;
  EXPECT_LT(clock_type::now() - begin, patience());
}

// And each of them has its turn about as often as the others, those in the global queue, too. (When
// one of these was taken at each 61st pick, others had had 650 turns before the last had its
// first.)
RUNNEL_TEST_BOTH(runtime, those_that_yield_take_turns) {
  constexpr std::size_t n = crowd(3000, 400);
  std::vector<std::atomic<int>> turns(n);
  std::atomic<std::size_t> missing{n};
  std::atomic<std::size_t> left{n};
  const auto end = clock_type::now() + patience();
  {
    crew all;
    for (std::size_t i = 0; i < n; ++i) {
      all.go([&, i] {
        --missing;
        while (missing != 0 && clock_type::now() < end) runnel::yield();
        do {
          if (turns[i]++ == 0) --left;
          runnel::yield();
        } while (left != 0 && clock_type::now() < end);
      });
    }
  }
  EXPECT_EQ(left, 0U);
  int most = 0;
  for (const auto& t : turns) most = std::max(most, t.load());
  // The threads of several processors are for the operating system to treat alike.
  if (runnel::max_procs() == 1) {
    EXPECT_LT(most, 200);
  }
}

// New ones that keep coming, and are preferred, do not keep the old from ever running.
RUNNEL_TEST_BOTH(runtime, the_new_do_not_starve_the_old) {
  constexpr int old_ones = crowd(2000, 300);
  constexpr int most_new = crowd(1000, 300);
  std::atomic<int> old_left{old_ones};
  std::atomic<int> new_left{0};
  const auto end = clock_type::now() + patience(20s);
  runnel::wait_group all;
  const std::function<void()> breed = [&] {
    if (old_left != 0 && clock_type::now() < end) {
      for (int i = 0; i < 2 && new_left < most_new; ++i) {
        ++new_left;
        all.go(breed);
      }
    }
    --new_left;
  };
  all.go([&] {
    for (int i = 0; i < old_ones; ++i) all.go([&] { --old_left; });
    for (int i = 0; i < most_new; ++i) {
      ++new_left;
      all.go(breed);
    }
  });
  all.wait();
  EXPECT_LT(clock_type::now(), end);
  EXPECT_EQ(old_left, 0);
}

namespace {

// The most nodes of a tree of goroutines that were alive at once.
int most_alive_in_a_tree(int leaves) {
  std::atomic<int> alive{0};
  std::atomic<int> most{0};
  const std::function<void(const chan<int>&, int)> grow = [&](const chan<int>& up, int size) {
    int sum = 1;
    if (size > 1) {
      const chan<int> children;
      for (int i = 0; i < 10; ++i) runnel::go([&, children] { grow(children, size / 10); });
      const int now = alive += 10;
      for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
      }
      sum = 0;
      for (int i = 0; i < 10; ++i) sum += *children.recv();
    }
    --alive;
    up.send(sum);
  };
  const chan<int> root;
  runnel::go([&] { grow(root, leaves); });
  EXPECT_EQ(root.recv(), leaves);
  EXPECT_TRUE(eventually([&] { return runnel::num_goroutine() <= 1; }));
  return most;
}

}  // namespace

// It is walked in depth, nearly, so that few live at once: 900, and in breadth some 10000. Where
// it takes long, as on a busy machine, who is oldest has its turn often: hence several tries.
RUNNEL_TEST(runtime, a_tree_of_goroutines_is_walked_in_depth) {
  const int leaves = runnel_test::under_sanitizer ? 1000 : 100'000;
  int least = most_alive_in_a_tree(leaves);
  if (runnel::max_procs() != 1) return;
  for (int tries = 1; tries < 10 && least >= 5000; ++tries) {
    least = std::min(least, most_alive_in_a_tree(leaves));
  }
  EXPECT_LT(least, 5000);
}

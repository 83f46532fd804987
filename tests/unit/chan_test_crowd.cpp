// Goroutines on several processors that fight for one buffered channel, where nobody ever parks,
// come together on one (src/runtime/join.cpp) unless they have work of their own.
#include <algorithm>
#include <array>
#include <atomic>
#include <random>
#include <runnel/chan.hpp>
#include <runnel/runtime.hpp>
#include <runnel/select.hpp>
#include <thread>

#include "sync_support.hpp"

using namespace std::chrono_literals;
using runnel::chan;
using runnel_test::crew;
using runnel_test::rounds;

namespace {

struct alignas(64) tally {
  std::atomic<long> operations{0};
};

struct fight_result {
  int changes = 0;   // of thread, in a thousand operations
  double least = 0;  // share of the one of the two that came through less often
};

// Two goroutines put into and take out of one channel that is never full nor empty for long.
fight_result fight(std::chrono::nanoseconds work, std::chrono::milliseconds length) {
  const chan<int> ch(200);
  std::array<tally, 2> done;
  std::atomic<const void*> last{nullptr};
  std::atomic<long> changes{0};
  const auto until = std::chrono::steady_clock::now() + length;
  crew two;
  for (tally& mine : done) {
    two.go([&] {
      do {
        for (int i = 0; i < 32; ++i) {
          ch.send(i);
          if (work != 0ns) runnel_test::burn(work);
          ch.recv();
          if (work != 0ns) runnel_test::burn(work);
          const void* here = runnel::detail::current_thread();
          if (last.load(std::memory_order_relaxed) != here) {
            last.store(here, std::memory_order_relaxed);
            changes.fetch_add(1, std::memory_order_relaxed);
          }
        }
        mine.operations.fetch_add(64, std::memory_order_relaxed);
      } while (std::chrono::steady_clock::now() < until);
    });
  }
  two.wait();
  const long all = done[0].operations + done[1].operations;
  const long least = std::min(done[0].operations.load(), done[1].operations.load());
  return {static_cast<int>(1000 * changes / all),
          static_cast<double>(least) / static_cast<double>(all)};
}

bool two_cpus_at_full_speed() {
  return runnel::max_procs() == 2 && std::thread::hardware_concurrency() >= 2 &&
         runnel_test::at_full_speed();
}

}  // namespace

// In each case several attempts running, as a busy machine gives two CPUs now and then only. Apart,
// with looks that grow rare, it would be 10 and more.
RUNNEL_TEST(chan_crowd, those_without_work_come_together) {
  if (!two_cpus_at_full_speed()) return;
  int running = 0;
  EXPECT_TRUE(runnel_test::eventually([&] {
    running = fight(0ns, 50ms).changes < 3 ? running + 1 : 0;
    return running == 5;
  }));
}

// 450 to 480; 130 to 270 if whoever has waited a few times went over, however rarely.
RUNNEL_TEST(chan_crowd, those_with_work_stay_apart) {
  if (!two_cpus_at_full_speed()) return;
  int running = 0;
  EXPECT_TRUE(runnel_test::eventually([&] {
    running = fight(1us, 50ms).changes > 330 ? running + 1 : 0;
    return running == 5;
  }));
}

// Who stays runs alone for two milliseconds at a time; the other one's turn comes.
RUNNEL_TEST(chan_crowd, they_take_turns) {
  if (!two_cpus_at_full_speed()) return;
  int running = 0;
  EXPECT_TRUE(runnel_test::eventually([&] {
    running = fight(0ns, 100ms).least > 0.2 ? running + 1 : 0;
    return running == 3;
  }));
}

// A std::mutex may be held across them, which belongs to the thread.
RUNNEL_TEST(chan_crowd, what_does_not_wait_keeps_its_thread) {
  const chan<int> ch(200);
  const chan<int> never;  // or it would be a try_send
  const auto until = std::chrono::steady_clock::now() + 100ms;
  crew two;
  for (const bool by_select : {false, true}) {
    two.go([=] {
      do {
        const void* before = runnel::detail::current_thread();
        int value = 0;
        for (int i = 0; i < 64; ++i) {
          if (by_select) {
            runnel::select(runnel::on_send(ch, i), runnel::on_recv(never), runnel::otherwise());
            runnel::select(runnel::on_recv(ch), runnel::on_recv(never), runnel::otherwise());
          } else {
            (void)ch.try_send(i);
            (void)ch.try_recv(value);
          }
        }
        const void* after = runnel::detail::current_thread();
        ASSERT_EQ(before, after) << (by_select ? "select" : "try_send, try_recv");
      } while (std::chrono::steady_clock::now() < until);
    });
  }
  two.wait();
}

// Of all that are crowded nobody is lost on his way: senders, receivers and selects, also from
// plain threads, with and without work, while the processors become fewer and more.
RUNNEL_TEST_BOTH(chan_crowd, nobody_is_lost_on_his_way) {
  const int procs = runnel::max_procs();
  const int each = rounds(100'000);
  const chan<int> one(64);
  const chan<int> two(3);
  std::atomic<long> sent{0};
  std::atomic<long> received{0};
  const auto put = [&](unsigned seed) {
    std::minstd_rand random(seed);
    for (int i = 0; i < each; ++i) {
      const int value = static_cast<int>(random() % 100);
      sent += value;
      if (random() % 4 == 0) {
        runnel::select(runnel::on_send(one, value), runnel::on_send(two, value));
      } else {
        (random() % 2 == 0 ? one : two).send(value);
      }
      if (random() % 64 == 0) runnel_test::burn(std::chrono::microseconds(random() % 20));
    }
  };
  const auto take = [&] {
    for (int i = 0; i < each; ++i) {
      runnel::select(runnel::on_recv(one, [&](int v) { received += v; }),
                     runnel::on_recv(two, [&](int v) { received += v; }));
    }
  };
  {
    crew all;
    runnel_test::thread_group threads;
    std::atomic<bool> over{false};
    for (unsigned i = 0; i < 4; ++i) {
      all.go([&, i] { put(i + 1); });
      all.go(take);
    }
    threads.start([&] { put(77); });
    threads.start(take);
    threads.start([&] {
      for (int n = 1; !over; n = n % 4 + 1) {
        runnel::max_procs(n);
        std::this_thread::sleep_for(500us);
      }
    });
    all.wait();
    over = true;
  }
  runnel::max_procs(procs);
  EXPECT_EQ(sent, received);
}

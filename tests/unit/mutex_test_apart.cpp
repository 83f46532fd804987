// mutex: those who fight for it are on one processor or on two, whichever is faster.
#include <atomic>
#include <mutex>
#include <random>
#include <runnel/runtime.hpp>
#include <thread>

#include "sync_support.hpp"

using namespace std::chrono_literals;
using runnel::mutex;
using runnel_test::crew;
using runnel_test::rounds;

namespace {

// Two goroutines, with so much work between sections, for a while: how many of a thousand sections
// followed one on another thread.
int changes_of_thread(std::chrono::nanoseconds work) {
  mutex m;
  long sections = 0, changes = 0;
  const void* last = nullptr;
  crew two;
  const auto until = std::chrono::steady_clock::now() + 50ms;
  for (int i = 0; i < 2; ++i) {
    two.go([&] {
      for (int turn = 1; turn % 64 != 0 || std::chrono::steady_clock::now() < until; ++turn) {
        {
          const std::lock_guard lock(m);
          ++sections;
          const void* here = runnel::detail::current_thread();  // not taken for constant
          if (last != here) ++changes;
          last = here;
        }
        if (work != 0ns) runnel_test::burn(work);
      }
    });
  }
  two.wait();
  return static_cast<int>(1000 * changes / sections);
}

}  // namespace

// In each case five attempts running: a busy machine gives two CPUs now and then only, and one that
// gives one keeps everybody together.
RUNNEL_TEST(mutex_apart, those_with_work_of_their_own_do_it_at_once) {
  if (runnel::max_procs() != 2 || std::thread::hardware_concurrency() < 2 ||
      !runnel_test::at_full_speed()) {
    return;
  }
  int running = 0;
  EXPECT_TRUE(runnel_test::eventually([&] {
    running = changes_of_thread(1us) > 250 ? running + 1 : 0;
    return running == 5;
  }));
}

// If they stayed apart it would be 14 to 34, because each has the mutex many times running.
RUNNEL_TEST(mutex_apart, those_without_come_together) {
  if (!runnel_test::at_full_speed()) return;
  int running = 0;
  EXPECT_TRUE(runnel_test::eventually([&] {
    running = changes_of_thread(0ns) < 5 ? running + 1 : 0;
    return running == 5;
  }));
}

// Every way to take it, while work and sections are now short, now long, so that it goes from one
// regime to the other and what is better changes, with waiters and without.
RUNNEL_TEST_BOTH(mutex_apart, fights_of_every_kind) {
  mutex m;
  long count = 0;
  std::atomic<long> taken{0};
  const auto fight = [&](unsigned seed, std::chrono::nanoseconds section,
                         std::chrono::nanoseconds work) {
    std::minstd_rand random(seed);
    for (int k = rounds(400); k > 0; --k) {
      switch (random() % 8) {
        case 0:
          if (!m.try_lock()) continue;
          break;
        case 1:
          if (!m.try_lock_for(std::chrono::microseconds(random() % 50))) continue;
          break;
        default:
          m.lock();
      }
      ++count;
      taken.fetch_add(1, std::memory_order_relaxed);
      if (section != 0ns) runnel_test::burn(section * (random() % 3));
      m.unlock();
      if (work != 0ns) runnel_test::burn(work * (random() % 3));
    }
  };
  for (const auto section : {0ns, 300ns, 20'000ns}) {
    for (const auto work : {0ns, 300ns, 5000ns}) {
      crew goroutines;
      runnel_test::thread_group threads;
      const int n = work == 300ns ? 6 : 2;
      for (int i = 0; i < n; ++i) {
        goroutines.go([&, i] { fight(static_cast<unsigned>(i + 1), section, work); });
      }
      if (section == 300ns) threads.start([&] { fight(77, section, work); });
    }
  }
  EXPECT_EQ(count, taken);
}

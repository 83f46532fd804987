// Locking, waiting and notifying allocate nothing, blocked or not.
#include <condition_variable>
#include <mutex>
#include <runnel/select.hpp>
#include <shared_mutex>

#include "support/alloc_count.hpp"
#include "sync_support.hpp"

#if !RUNNEL_TEST_TSAN && !RUNNEL_TEST_ASAN  // their allocators are not ours to count

using namespace std::chrono_literals;
using runnel_test::expect_no_allocation;

namespace {

constexpr int repetitions = 300;

// Runs f on four goroutines.
template <class F>
void four(F&& f) {
  runnel::wait_group wg;
  for (int i = 0; i < 4; ++i) wg.go([&f, i] { f(i); });
  wg.wait();
}

}  // namespace

RUNNEL_TEST_BOTH(sync_alloc, mutex) {
  runnel::mutex m;
  long n = 0;
  expect_no_allocation([&] {
    four([&](int i) {
      for (int k = 0; k < repetitions; ++k) {
        if (i == 0 && !m.try_lock_for(1h)) continue;
        if (i != 0) m.lock();
        ++n;
        if (k % 16 == 0) runnel::yield();
        m.unlock();
      }
    });
  });
}

RUNNEL_TEST_BOTH(sync_alloc, shared_mutex) {
  runnel::shared_mutex m;
  long n = 0;
  expect_no_allocation([&] {
    four([&](int i) {
      for (int k = 0; k < repetitions; ++k) {
        if (k % 8 == i) {
          const std::lock_guard lock(m);
          ++n;
          if (k % 16 == i) runnel::yield();
        } else {
          const std::shared_lock lock(m);
          if (k % 16 == 0) runnel::yield();
        }
      }
    });
  });
}

RUNNEL_TEST_BOTH(sync_alloc, condition_variable) {
  runnel::mutex m;
  runnel::condition_variable cv;
  expect_no_allocation([&] {
    int turn = 0;
    four([&](int i) {
      for (int k = 0; k < repetitions / 10; ++k) {
        std::unique_lock lock(m);
        if (i % 2 == 0) {
          cv.wait(lock, [&] { return turn % 4 == i; });
        } else {
          EXPECT_TRUE(cv.wait_for(lock, 1h, [&] { return turn % 4 == i; }));
        }
        ++turn;
        cv.notify_all();
      }
    });
  });
}

RUNNEL_TEST_BOTH(sync_alloc, semaphores) {
  runnel::counting_semaphore<> s(2);
  runnel::weighted_semaphore w(3);
  expect_no_allocation([&] {
    four([&](int i) {
      for (int k = 0; k < repetitions; ++k) {
        s.acquire();
        w.acquire(i % 3 + 1);
        if (k % 16 == 0) runnel::yield();
        w.release(i % 3 + 1);
        s.release();
      }
    });
  });
}

RUNNEL_TEST_BOTH(sync_alloc, latch_barrier_once) {
  expect_no_allocation([&] {
    for (int k = 0; k < 20; ++k) {
      runnel::latch start(1), finish(4);
      runnel::barrier b(4);
      runnel::once_flag flag;
      int calls = 0;
      runnel::wait_group wg;
      for (int i = 0; i < 4; ++i) {
        wg.go([&] {
          start.wait();
          b.arrive_and_wait();
          call_once(flag, [&] {
            runnel::yield();
            ++calls;
          });
          finish.arrive_and_wait();
        });
      }
      start.count_down();
      wg.wait();
      EXPECT_EQ(calls, 1);
    }
  });
}

RUNNEL_TEST_BOTH(sync_alloc, select) {
  runnel::mutex m;
  runnel::counting_semaphore<> s(1);
  expect_no_allocation([&] {
    four([&](int) {
      for (int k = 0; k < repetitions; ++k) {
        runnel::select(on_lock(m,
                               [&] {
                                 if (k % 16 == 0) runnel::yield();
                                 m.unlock();
                               }),
                       on_acquire(s, [&] { s.release(); }));
      }
    });
  });
}

RUNNEL_TEST_BOTH(sync_alloc, pool_and_loads_of_a_map) {
  runnel::pool<int> p([] { return 0; });
  runnel::concurrent_map<int, int> m;
  for (int i = 0; i < 100; ++i) m.store(i, i);
  expect_no_allocation([&] {
    four([&](int) {
      for (int k = 0; k < repetitions; ++k) {
        p.put(k);
        EXPECT_TRUE(m.load(k % 100).has_value());
        (void)p.get();
      }
    });
  });
}

#endif

// counting_semaphore: limits, order, timed forms, select, and its end.
#include <atomic>
#include <runnel/select.hpp>
#include <semaphore>

#include "sync_support.hpp"

using namespace std::chrono_literals;
using runnel::binary_semaphore;
using runnel::counting_semaphore;
using runnel_test::crew;
using runnel_test::eventually_blocked;
using runnel_test::panic_text;
using runnel_test::rounds;
using runnel_test::thread_group;

static_assert(runnel_test::is_pinned<counting_semaphore<>>);
static_assert(std::is_same_v<binary_semaphore, counting_semaphore<1>>);
static_assert(counting_semaphore<7>::max() == 7);
static_assert(counting_semaphore<>::max() >= std::counting_semaphore<>::max());

namespace {
constinit counting_semaphore<3> global(3);
}

RUNNEL_TEST_BOTH(semaphore, alone) {
  counting_semaphore<> s(2);
  for (int i = 0; i < 300; ++i) {
    s.acquire();
    EXPECT_TRUE(s.try_acquire());
    EXPECT_FALSE(s.try_acquire());
    s.release(2);
  }
  counting_semaphore<0> none(0);
  EXPECT_FALSE(none.try_acquire());
}

RUNNEL_TEST_BOTH(semaphore, misuse_panics) {
  binary_semaphore s(1);
  EXPECT_EQ(panic_text([&] { s.release(); }), "semaphore: count out of range");
  EXPECT_EQ(panic_text([&] { s.release(-1); }), "semaphore: count out of range");
  EXPECT_EQ(panic_text([] { binary_semaphore(2); }), "semaphore: count out of range");
  EXPECT_EQ(panic_text([] { counting_semaphore<>(-1); }), "semaphore: count out of range");
  s.acquire();
  EXPECT_EQ(panic_text([&] { s.release(2); }), "semaphore: count out of range");
  EXPECT_FALSE(s.try_acquire());  // unchanged
  s.release();
  EXPECT_TRUE(s.try_acquire());
}

RUNNEL_TEST_BOTH(semaphore, never_more_than_its_permits) {
  std::atomic<int> inside{0}, most{0};
  {
    crew goroutines;
    thread_group threads;
    auto work = [&] {
      for (int i = 0; i < rounds(1000); ++i) {
        global.acquire();
        const int now = ++inside;
        EXPECT_LE(now, 3);
        if (now > most) most = now;
        if (i % 16 == 0) runnel::yield();
        --inside;
        global.release();
      }
    };
    for (int i = 0; i < 6; ++i) goroutines.go(work);
    for (int i = 0; i < 3; ++i) threads.start(work);
  }
  EXPECT_GE(most, 1);
}

RUNNEL_TEST_BOTH(semaphore, served_in_order) {
  counting_semaphore<> s(0);
  runnel::chan<int> order(8);
  crew waiters;
  for (int i = 0; i < 8; ++i) {
    waiters.go([&, i] {
      s.acquire();
      order.send(i);
    });
    ASSERT_TRUE(eventually_blocked(static_cast<std::size_t>(i) + 1, "semacquire"));
  }
  for (int i = 0; i < 4; ++i) {
    s.release();
    EXPECT_FALSE(s.try_acquire());  // the permit is the waiter's
    EXPECT_EQ(order.recv(), i);
  }
  s.release(6);
  waiters.wait();
  EXPECT_TRUE(s.try_acquire());
  EXPECT_TRUE(s.try_acquire());
  EXPECT_FALSE(s.try_acquire());
}

RUNNEL_TEST_BOTH(semaphore, timed_forms) {
  binary_semaphore s(0);
  const auto before = std::chrono::steady_clock::now();
  EXPECT_FALSE(s.try_acquire_for(5ms));
  EXPECT_GE(std::chrono::steady_clock::now() - before, 5ms);
  EXPECT_FALSE(s.try_acquire_for(-1h));
  EXPECT_FALSE(s.try_acquire_until(std::chrono::system_clock::now() + 2ms));
  EXPECT_FALSE(s.try_acquire_until(std::chrono::steady_clock::now()));
  crew other;
  other.go([&] { s.release(); });
  EXPECT_TRUE(s.try_acquire_for(std::chrono::hours::max()));
  s.release();
  EXPECT_TRUE(s.try_acquire_for(0s));
}

RUNNEL_TEST_BOTH(semaphore, timeouts_race_with_releases) {
  counting_semaphore<> s(2);
  std::atomic<int> inside{0};
  {
    crew goroutines;
    for (int i = 0; i < 8; ++i) {
      goroutines.go([&, i] {
        for (int k = 0; k < rounds(300); ++k) {
          if (i % 2 == 0) {
            s.acquire();
          } else if (!s.try_acquire_for(std::chrono::microseconds(k % 50))) {
            continue;
          }
          EXPECT_LE(++inside, 2);
          if (k % 8 == 0) runnel::sleep_for(10us);
          --inside;
          s.release();
        }
      });
    }
  }
  EXPECT_TRUE(s.try_acquire());
  EXPECT_TRUE(s.try_acquire());
  EXPECT_FALSE(s.try_acquire());  // none was lost or made
}

RUNNEL_TEST_BOTH(semaphore, select_on_it) {
  counting_semaphore<> s(1);
  int ran = 0;
  EXPECT_EQ(runnel::select(on_acquire(s, [&] { ++ran; }), runnel::otherwise()), 0U);
  EXPECT_EQ(runnel::select(on_acquire(s, [&] { ++ran; }), runnel::otherwise()), 1U);
  EXPECT_EQ(runnel::select(on_acquire(s), runnel::on_timeout(1ms)), 1U);
  crew other;
  other.go([&] { s.release(); });
  EXPECT_EQ(runnel::select(on_acquire(s, [&] { ++ran; }), on_acquire(s, [&] { ++ran; })) < 2U,
            true);
  EXPECT_EQ(ran, 2);
  EXPECT_FALSE(s.try_acquire());
}

RUNNEL_TEST_BOTH(semaphore, selects_race) {
  counting_semaphore<> s(2);
  runnel::chan<int> c(1);
  std::atomic<int> inside{0};
  {
    crew goroutines;
    for (int i = 0; i < 6; ++i) {
      goroutines.go([&, i] {
        for (int k = 0; k < rounds(400); ++k) {
          auto hold = [&] {
            EXPECT_LE(++inside, 2);
            if (k % 16 == 0) runnel::yield();
            --inside;
            s.release();
          };
          if (i % 3 == 0) {
            s.acquire();
            hold();
          } else if (i % 3 == 1) {
            runnel::select(on_acquire(s, hold),
                           runnel::on_timeout(std::chrono::microseconds(k % 40)));
          } else {
            runnel::select(on_acquire(s, hold), runnel::on_send(c, k), runnel::on_recv(c));
          }
        }
      });
    }
  }
  EXPECT_TRUE(s.try_acquire());
  EXPECT_TRUE(s.try_acquire());
  EXPECT_FALSE(s.try_acquire());
}

RUNNEL_TEST_BOTH(semaphore, destroyed_after_the_last_release_was_observed) {
  for (int i = 0; i < rounds(2000); ++i) {
    auto* s = new binary_semaphore(0);
    runnel::go([s] { s->release(); });
    if (i % 3 == 0) runnel::yield();
    s->acquire();
    delete s;
  }
}

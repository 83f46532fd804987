// mutex: exclusion, fairness, timed forms, select, and its end. Among it the behaviour that Go's
// sync/mutex_test.go checks.
#include <atomic>
#include <memory>
#include <mutex>
#include <runnel/select.hpp>

#include "sync_support.hpp"

using namespace std::chrono_literals;
using runnel::mutex;
using runnel_test::crew;
using runnel_test::eventually;
using runnel_test::eventually_blocked;
using runnel_test::rounds;
using runnel_test::thread_group;

static_assert(runnel_test::timed_lockable<mutex>);
static_assert(runnel_test::is_pinned<mutex>);
static_assert(std::is_nothrow_default_constructible_v<mutex>);

namespace {

constinit mutex global;
int guarded_by_global = 0;

}  // namespace

RUNNEL_TEST_BOTH(mutex, lock_and_try_lock) {
  mutex m;
  for (int i = 0; i < 300; ++i) {  // often enough for every regime of one thread
    m.lock();
    EXPECT_FALSE(m.try_lock());
    m.unlock();
    EXPECT_TRUE(m.try_lock());
    EXPECT_FALSE(m.try_lock());
    m.unlock();
  }
  m.lock();
  m.unlock();
}

RUNNEL_TEST_BOTH(mutex, hammer) {
  mutex m;
  long count = 0;  // deliberately not atomic
  bool inside = false;
  const int n = rounds(2000);
  auto work = [&](int i) {
    for (int k = 0; k < n; ++k) {
      if (i % 3 == 0) {
        if (!m.try_lock()) continue;
      } else {
        m.lock();
      }
      EXPECT_FALSE(inside);
      inside = true;
      ++count;
      inside = false;
      m.unlock();
    }
  };
  {
    crew goroutines;
    for (int i = 0; i < 10; ++i) goroutines.go([&, i] { work(i); });
  }
  EXPECT_GE(count, 6 * n);
}

RUNNEL_TEST_BOTH(mutex, goroutines_and_threads) {
  long count = 0;
  const int n = rounds(3000);
  auto work = [&] {
    for (int k = 0; k < n; ++k) {
      const std::lock_guard lock(global);
      ++count;
      ++guarded_by_global;
    }
  };
  {
    crew goroutines;
    thread_group threads;
    for (int i = 0; i < 4; ++i) goroutines.go(work);
    for (int i = 0; i < 3; ++i) threads.start(work);
  }
  EXPECT_EQ(count, 7 * n);
}

RUNNEL_TEST_BOTH(mutex, held_across_parks) {
  mutex m;
  int inside = 0;
  crew goroutines;
  for (int i = 0; i < 8; ++i) {
    goroutines.go([&] {
      for (int k = 0; k < 20; ++k) {
        const std::lock_guard lock(m);
        EXPECT_EQ(++inside, 1);
        if (k % 4 == 0) {
          runnel::sleep_for(20us);
        } else {
          runnel::yield();
        }
        EXPECT_EQ(--inside, 0);
      }
    });
  }
}

RUNNEL_TEST_BOTH(mutex, unlocked_by_another) {
  mutex m;
  for (int i = 0; i < 50; ++i) {
    m.lock();
    crew other;
    other.go([&] { m.unlock(); });
    m.lock();  // waits for it
    thread_group threads;
    threads.start([&] { m.unlock(); });
    m.lock();
    m.unlock();
  }
}

// The mutex goes from the regime of one thread to that of several and back, again and again.
RUNNEL_TEST_BOTH(mutex, fights_come_and_go) {
  mutex m;
  long count = 0;
  const int n = rounds(2000);
  const auto add = [&] {
    for (int k = 0; k < n; ++k) {
      if (k % 16 != 0) {
        m.lock();
      } else if (!m.try_lock_for(1h)) {
        continue;
      }
      ++count;
      m.unlock();
    }
  };
  for (int fight = 0; fight < 4; ++fight) {
    {
      crew goroutines;
      thread_group threads;
      for (int i = 0; i < 3; ++i) goroutines.go(add);
      threads.start(add);
    }
    add();
    EXPECT_EQ(count, 5L * n * (fight + 1));
  }
}

RUNNEL_TEST_BOTH(mutex, timed_lock_times_out) {
  mutex m;
  m.lock();
  crew other;
  other.go([&] {
    const auto before = std::chrono::steady_clock::now();
    EXPECT_FALSE(m.try_lock_for(5ms));
    EXPECT_GE(std::chrono::steady_clock::now() - before, 5ms);
    EXPECT_FALSE(m.try_lock_for(0s));
    EXPECT_FALSE(m.try_lock_for(-1h));
    EXPECT_FALSE(m.try_lock_for(std::chrono::duration<float>(0.001F)));
    EXPECT_FALSE(m.try_lock_until(std::chrono::steady_clock::now() + 1ms));
    const auto wall = std::chrono::system_clock::now() + 2ms;
    EXPECT_FALSE(m.try_lock_until(wall));
    EXPECT_GE(std::chrono::system_clock::now(), wall);
    EXPECT_FALSE(m.try_lock_until(std::chrono::steady_clock::time_point::min()));
  });
  other.wait();
  m.unlock();
  EXPECT_TRUE(m.try_lock_for(1ns));
  m.unlock();
  EXPECT_TRUE(m.try_lock_until(std::chrono::system_clock::now() - 1h));  // it is free
  m.unlock();
}

RUNNEL_TEST_BOTH(mutex, timed_lock_gets_it) {
  mutex m;
  for (const auto limit : {std::chrono::hours(1), std::chrono::hours::max()}) {
    m.lock();
    std::atomic<bool> got{false};
    crew other;
    other.go([&] {
      EXPECT_TRUE(m.try_lock_for(limit));
      got = true;
      m.unlock();
    });
    ASSERT_TRUE(eventually_blocked(1, "sync.Mutex.Lock"));
    EXPECT_FALSE(got);
    m.unlock();
    other.wait();
    EXPECT_TRUE(got);
  }
}

// Time-outs race with unlocks; whoever says it has the mutex must have it, and none is lost.
RUNNEL_TEST_BOTH(mutex, timeouts_race_with_unlocks) {
  mutex m;
  long count = 0, got = 0;
  std::atomic<long> gotten{0};
  crew goroutines;
  for (int i = 0; i < 8; ++i) {
    goroutines.go([&, i] {
      for (int k = 0; k < rounds(300); ++k) {
        if (i < 6) {
          if (!m.try_lock_for(std::chrono::microseconds(k % 60))) continue;
          ++gotten;
        } else {
          m.lock();
          ++gotten;
        }
        ++count;
        if (k % 8 == 0) runnel::sleep_for(30us);
        m.unlock();
      }
    });
  }
  goroutines.wait();
  got = gotten;
  EXPECT_EQ(count, got);
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}

RUNNEL_TEST_BOTH(mutex, standard_locks) {
  mutex a, b, c;
  int balance_a = 1000, balance_b = 1000;
  {
    crew goroutines;
    for (int i = 0; i < 6; ++i) {
      goroutines.go([&, i] {
        for (int k = 0; k < rounds(500); ++k) {
          if (i % 2 == 0) {
            const std::scoped_lock lock(a, b);
            --balance_a;
            ++balance_b;
          } else {
            const std::scoped_lock lock(b, a);
            ++balance_a;
            --balance_b;
          }
        }
      });
    }
  }
  EXPECT_EQ(balance_a + balance_b, 2000);
  std::unique_lock la(a, std::defer_lock), lb(b, std::defer_lock), lc(c, std::defer_lock);
  std::lock(la, lb, lc);
  EXPECT_TRUE(la.owns_lock() && lb.owns_lock() && lc.owns_lock());
  EXPECT_EQ(std::try_lock(a, b), 0);
  la.unlock();
  EXPECT_EQ(std::try_lock(a, b), 1);
  EXPECT_TRUE(la.try_lock());
  la.unlock();
  EXPECT_TRUE(la.try_lock_for(1ms));
  std::unique_lock timed(c, 1us);
  EXPECT_FALSE(timed.owns_lock());
}

RUNNEL_TEST_BOTH(mutex, select_takes_a_free_one) {
  mutex m;
  bool ran = false;
  EXPECT_EQ(runnel::select(on_lock(m, [&] { ran = true; }), runnel::otherwise()), 0U);
  EXPECT_TRUE(ran);
  EXPECT_FALSE(m.try_lock());
  EXPECT_EQ(runnel::select(on_lock(m), runnel::otherwise()), 1U);
  EXPECT_EQ(runnel::select(on_lock(m), runnel::on_timeout(1ms)), 1U);
  m.unlock();
  EXPECT_EQ(runnel::select(on_lock(m)), 0U);
  m.unlock();
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}

RUNNEL_TEST_BOTH(mutex, select_waits_for_it) {
  mutex m;
  runnel::chan<int> c;
  for (int i = 0; i < 20; ++i) {
    m.lock();
    std::atomic<int> chosen{-1};
    crew other;
    other.go([&] {
      chosen =
          static_cast<int>(runnel::select(runnel::on_recv(c), on_lock(m, [&] { m.unlock(); })));
    });
    ASSERT_TRUE(eventually_blocked(1, "select"));
    if (i % 2 == 0) {
      m.unlock();
      other.wait();
      EXPECT_EQ(chosen, 1);
    } else {
      c.send(1);
      other.wait();
      EXPECT_EQ(chosen, 0);
      m.unlock();
    }
    EXPECT_TRUE(m.try_lock());  // nothing was left queued or locked
    m.unlock();
  }
}

// Each select that says it has the mutex has it; those that end otherwise leave it alone.
RUNNEL_TEST_BOTH(mutex, select_under_contention) {
  mutex m, other;
  runnel::chan<int> c(1);
  long count = 0;
  std::atomic<long> locked{0};
  {
    crew goroutines;
    for (int i = 0; i < 8; ++i) {
      goroutines.go([&, i] {
        for (int k = 0; k < rounds(400); ++k) {
          auto inside = [&] {
            ++locked;
            ++count;
            if (k % 16 == 0) runnel::yield();
            m.unlock();
          };
          if (i % 4 == 0) {
            m.lock();
            inside();
          } else if (i % 4 == 1) {
            runnel::select(on_lock(m, inside),
                           runnel::on_timeout(std::chrono::microseconds(k % 50)));
          } else if (i % 4 == 2) {
            runnel::select(on_lock(m, inside), runnel::on_send(c, k), runnel::on_recv(c));
          } else {
            runnel::select(on_lock(m, inside), on_lock(other, [&] { other.unlock(); }),
                           on_lock(m, inside));
          }
        }
      });
    }
  }
  EXPECT_EQ(count, locked);
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}

// The last one to have locked it may destroy it, while the unlock before has not returned.
RUNNEL_TEST_BOTH(mutex, destroyed_after_the_last_unlock_was_observed) {
  for (int i = 0; i < rounds(500); ++i) {
    struct shared {
      mutex m;
      int users = 3;
    };
    auto* s = new shared;
    crew goroutines;
    for (int k = 0; k < 3; ++k) {
      goroutines.go([s] {
        s->m.lock();
        const bool last = --s->users == 0;
        s->m.unlock();
        if (last) {
          s->m.lock();
          s->m.unlock();
          delete s;
        }
      });
    }
  }
}

RUNNEL_TEST_THREAD(mutex, threads_only) {
  mutex m;
  long count = 0;
  const int n = rounds(5000);
  {
    thread_group threads;
    for (int i = 0; i < 4; ++i) {
      threads.start([&] {
        for (int k = 0; k < n; ++k) {
          const std::lock_guard lock(m);
          ++count;
        }
      });
    }
  }
  EXPECT_EQ(count, 4 * n);
}

// Threads fight for it, then goroutines wait for each other while a thread drops in now and then:
// it goes from one regime to the other and back.
RUNNEL_TEST_BOTH(mutex, threads_and_goroutines_in_turn) {
  mutex m;
  long count = 0;
  const int n = rounds(2000);
  constexpr int turns = 5;
  for (int turn = 0; turn < turns; ++turn) {
    thread_group threads;
    for (int i = 0; i < 3; ++i) {
      threads.start([&] {
        for (int k = 0; k < n; ++k) {
          const std::lock_guard lock(m);
          ++count;
        }
      });
    }
    threads.join();
    threads.start([&] {
      for (int k = 0; k < n; ++k) {
        if (k % 64 == 0) std::this_thread::sleep_for(100us);
        const std::lock_guard lock(m);
        ++count;
      }
    });
    crew goroutines;
    for (int i = 0; i < 4; ++i) {
      goroutines.go([&] {
        for (int k = 0; k < n; ++k) {
          const std::lock_guard lock(m);
          ++count;
          if (k % 4 == 0) runnel::yield();
        }
      });
    }
    goroutines.wait();
    threads.join();
  }
  EXPECT_EQ(count, turns * 8L * n);
}

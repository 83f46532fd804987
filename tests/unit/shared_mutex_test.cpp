// shared_mutex: the behaviour of Go's sync/rwmutex_test.go, timed forms, many readers, its end.
#include <atomic>
#include <mutex>
#include <shared_mutex>

#include "sync_support.hpp"

using namespace std::chrono_literals;
using runnel::shared_mutex;
using runnel_test::crew;
using runnel_test::eventually_blocked;
using runnel_test::rounds;
using runnel_test::thread_group;

static_assert(runnel_test::timed_lockable<shared_mutex>);
static_assert(runnel_test::shared_timed_lockable<shared_mutex>);
static_assert(runnel_test::is_pinned<shared_mutex>);

namespace {

constinit shared_mutex global;

void work_a_little() {
  for (int k = 0; k < 100; ++k) asm volatile("");
}

// Go's HammerRWMutex: how many are inside, writers counting for 10000.
void read_some(shared_mutex& m, std::atomic<int>& inside, int n) {
  for (int i = 0; i < n; ++i) {
    m.lock_shared();
    const int now = ++inside;
    EXPECT_TRUE(now >= 1 && now < 10'000) << now;
    work_a_little();
    --inside;
    m.unlock_shared();
  }
}

void write_some(shared_mutex& m, std::atomic<int>& inside, int n) {
  for (int i = 0; i < n; ++i) {
    m.lock();
    EXPECT_EQ(inside += 10'000, 10'000);
    work_a_little();
    inside -= 10'000;
    m.unlock();
  }
}

void hammer(int readers, int n) {
  shared_mutex m;
  std::atomic<int> inside{0};
  crew goroutines;
  goroutines.go([&] { write_some(m, inside, n); });
  for (int i = 0; i < readers / 2; ++i) goroutines.go([&] { read_some(m, inside, n); });
  goroutines.go([&] { write_some(m, inside, n); });
  for (int i = readers / 2; i < readers; ++i) goroutines.go([&] { read_some(m, inside, n); });
}

}  // namespace

RUNNEL_TEST_BOTH(shared_mutex, alone) {
  shared_mutex m;
  for (int i = 0; i < 300; ++i) {
    m.lock();
    EXPECT_FALSE(m.try_lock());
    EXPECT_FALSE(m.try_lock_shared());
    m.unlock();
    m.lock_shared();
    EXPECT_FALSE(m.try_lock());
    EXPECT_TRUE(m.try_lock_shared());
    m.unlock_shared();
    EXPECT_FALSE(m.try_lock());
    m.unlock_shared();
    EXPECT_TRUE(m.try_lock());
    m.unlock();
  }
}

// Go's TestParallelReaders: all hold it at once.
RUNNEL_TEST_BOTH(shared_mutex, readers_share) {
  for (const int readers : {1, 3, 4, 20}) {
    shared_mutex m;
    runnel::chan<void> locked, unlock, done;
    for (int i = 0; i < readers; ++i) {
      runnel::go([=, &m] {
        m.lock_shared();
        locked.send();
        unlock.recv();
        m.unlock_shared();
        done.send();
      });
    }
    for (int i = 0; i < readers; ++i) locked.recv();
    EXPECT_FALSE(m.try_lock());
    EXPECT_TRUE(m.try_lock_shared());
    m.unlock_shared();
    for (int i = 0; i < readers; ++i) unlock.send();
    for (int i = 0; i < readers; ++i) done.recv();
    EXPECT_TRUE(m.try_lock());
    m.unlock();
  }
}

RUNNEL_TEST_BOTH(shared_mutex, hammer) {
  const int n = rounds(500);
  for (const int readers : {1, 3, 5, 10}) hammer(readers, n);
}

RUNNEL_TEST_BOTH(shared_mutex, hammer_by_goroutines_and_threads) {
  std::atomic<int> inside{0};
  crew goroutines;
  thread_group threads;
  const int n = rounds(800);
  for (int i = 0; i < 3; ++i) {
    goroutines.go([&] { read_some(global, inside, n); });
    threads.start([&] { read_some(global, inside, n); });
  }
  goroutines.go([&] { write_some(global, inside, n / 4); });
  threads.start([&] { write_some(global, inside, n / 4); });
}

// Long runs of reads by several at once, which is when readers count apart from each other; then a
// writer must still find all of them.
RUNNEL_TEST_BOTH(shared_mutex, readers_apart_and_a_writer_now_and_then) {
  shared_mutex m;
  long value = 0, copy = 0;
  std::atomic<long> reads{0};
  crew goroutines;
  thread_group threads;
  const int n = rounds(30'000);
  auto read = [&] {
    long seen = 0;
    for (int i = 0; i < n; ++i) {
      const std::shared_lock lock(m);
      EXPECT_EQ(value, copy);
      EXPECT_GE(value, seen);
      seen = value;
      if (i % 1024 == 0) runnel::yield();  // may give its share back on another processor
    }
    reads += n;
  };
  for (int i = 0; i < 3; ++i) threads.start(read);
  for (int i = 0; i < 3; ++i) goroutines.go(read);
  goroutines.go([&] {
    for (int i = 0; i < 40; ++i) {
      runnel::sleep_for(200us);
      const std::lock_guard lock(m);
      ++value;
      runnel::yield();
      ++copy;
    }
  });
  goroutines.wait();
  threads.join();
  EXPECT_EQ(value, 40);
  EXPECT_EQ(reads, 6L * n);
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}

RUNNEL_TEST_BOTH(shared_mutex, waiting_writer_keeps_new_readers_out) {
  shared_mutex m;
  std::vector<int> order;
  m.lock_shared();
  crew goroutines;
  goroutines.go([&] {
    m.lock();
    order.push_back(1);
    m.unlock();
  });
  ASSERT_TRUE(eventually_blocked(1, "sync.RWMutex.Lock"));
  EXPECT_FALSE(m.try_lock_shared());
  goroutines.go([&] {
    m.lock_shared();
    order.push_back(2);
    m.unlock_shared();
  });
  ASSERT_TRUE(eventually_blocked(1, "sync.RWMutex.RLock"));
  m.unlock_shared();
  goroutines.wait();
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
}

// Readers that came while a writer held it go before the writer that waits behind them.
RUNNEL_TEST_BOTH(shared_mutex, waiting_readers_go_before_the_next_writer) {
  shared_mutex m;
  std::atomic<int> readers{0};
  int readers_before_writer = -1;
  m.lock();
  crew goroutines;
  goroutines.go([&] {
    m.lock();
    readers_before_writer = readers;
    m.unlock();
  });
  ASSERT_TRUE(eventually_blocked(1, "sync.RWMutex.Lock"));
  for (int i = 0; i < 4; ++i) {
    goroutines.go([&] {
      m.lock_shared();
      ++readers;
      m.unlock_shared();
    });
  }
  ASSERT_TRUE(eventually_blocked(4, "sync.RWMutex.RLock"));
  m.unlock();
  goroutines.wait();
  EXPECT_EQ(readers_before_writer, 4);
}

RUNNEL_TEST_BOTH(shared_mutex, unlocked_by_others) {
  shared_mutex m;
  for (int i = 0; i < 20; ++i) {
    m.lock_shared();
    m.lock_shared();
    crew goroutines;
    thread_group threads;
    goroutines.go([&] { m.unlock_shared(); });
    threads.start([&] { m.unlock_shared(); });
    m.lock();
    goroutines.go([&] { m.unlock(); });
    m.lock_shared();
    m.unlock_shared();
  }
}

RUNNEL_TEST_BOTH(shared_mutex, timed_forms) {
  shared_mutex m;
  EXPECT_TRUE(m.try_lock_for(1ms));
  {
    crew other;
    other.go([&] {
      EXPECT_FALSE(m.try_lock_for(2ms));
      EXPECT_FALSE(m.try_lock_shared_for(2ms));
      EXPECT_FALSE(m.try_lock_until(std::chrono::system_clock::now() + 1ms));
      EXPECT_FALSE(m.try_lock_shared_until(std::chrono::steady_clock::now() + 1ms));
      EXPECT_FALSE(m.try_lock_for(-1s));
    });
  }
  m.unlock();
  EXPECT_TRUE(m.try_lock_shared_for(0s));
  EXPECT_TRUE(m.try_lock_shared_until(std::chrono::system_clock::now()));
  {
    crew other;
    other.go([&] { EXPECT_FALSE(m.try_lock_for(1ms)); });
    other.go([&] {
      EXPECT_TRUE(m.try_lock_shared_for(std::chrono::hours::max()));
      m.unlock_shared();
    });
  }
  m.unlock_shared();
  m.unlock_shared();
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}

// A writer that gives up must let the readers in that it kept out.
RUNNEL_TEST_BOTH(shared_mutex, readers_go_on_when_the_writer_gives_up) {
  shared_mutex m;
  for (int i = 0; i < 5; ++i) {
    m.lock_shared();
    crew goroutines;
    // Again and again, lest the machine stands still for 30 ms and nobody sees it wait.
    std::atomic<bool> seen{false};
    goroutines.go([&] {
      do {
        EXPECT_FALSE(m.try_lock_for(30ms));
      } while (!seen);
    });
    EXPECT_TRUE(eventually_blocked(1, "sync.RWMutex.Lock"));
    seen = true;
    goroutines.go([&] {
      m.lock_shared();
      m.unlock_shared();
    });
    goroutines.wait();  // although this one still holds its share
    m.unlock_shared();
  }
}

RUNNEL_TEST_BOTH(shared_mutex, timeouts_race_with_unlocks) {
  shared_mutex m;
  std::atomic<int> inside{0};
  {
    crew goroutines;
    for (int i = 0; i < 8; ++i) {
      goroutines.go([&, i] {
        for (int k = 0; k < rounds(300); ++k) {
          const auto limit = std::chrono::microseconds((k * 7 + i) % 80);
          if (i % 2 == 0) {
            if (!m.try_lock_for(limit)) continue;
            EXPECT_EQ(inside += 1000, 1000);
            if (k % 4 == 0) runnel::sleep_for(20us);
            inside -= 1000;
            m.unlock();
          } else {
            if (!m.try_lock_shared_for(limit)) continue;
            EXPECT_LT(++inside, 1000);
            if (k % 4 == 0) runnel::sleep_for(20us);
            --inside;
            m.unlock_shared();
          }
        }
      });
    }
  }
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}

RUNNEL_TEST_BOTH(shared_mutex, standard_locks) {
  shared_mutex a, b;
  long x = 0, y = 0;
  {
    crew goroutines;
    for (int i = 0; i < 4; ++i) {
      goroutines.go([&, i] {
        for (int k = 0; k < rounds(500); ++k) {
          if (i % 2 == 0) {
            const std::scoped_lock lock(a, b);
            ++x;
            --y;
          } else {
            const std::shared_lock lb(b);
            std::shared_lock la(a, std::try_to_lock);
            if (la.owns_lock()) {
              EXPECT_EQ(x + y, 0);
            }
          }
        }
      });
    }
  }
  std::shared_lock lock(a, 1ms);
  EXPECT_TRUE(lock.owns_lock());
}

RUNNEL_TEST_BOTH(shared_mutex, destroyed_after_the_last_unlock_was_observed) {
  for (int i = 0; i < rounds(500); ++i) {
    struct shared {
      shared_mutex m;
      std::atomic<int> users{4};
    };
    auto* s = new shared;
    crew goroutines;
    for (int k = 0; k < 4; ++k) {
      goroutines.go([s, k] {
        bool last = false;
        if (k % 2 == 0) {
          const std::lock_guard lock(s->m);
          last = --s->users == 0;
        } else {
          const std::shared_lock lock(s->m);
          last = --s->users == 0;
        }
        if (last) {
          s->m.lock();  // observes the other unlocks
          s->m.unlock();
          delete s;
        }
      });
    }
  }
}

RUNNEL_TEST_BOTH(shared_mutex, neither_side_starves) {
  shared_mutex m;
  std::atomic<bool> stop{false};
  crew goroutines;
  for (int i = 0; i < 3; ++i) {
    goroutines.go([&] {
      while (!stop) {
        const std::shared_lock lock(m);
        runnel_test::burn(20us);
      }
    });
    goroutines.go([&] {
      while (!stop) {
        const std::lock_guard lock(m);
        runnel_test::burn(20us);
      }
    });
  }
  for (int i = 0; i < 10; ++i) {
    m.lock();
    m.unlock();
    m.lock_shared();
    m.unlock_shared();
  }
  stop = true;
}

// As the mutex's test of this name: from one regime to the other and back.
RUNNEL_TEST_BOTH(shared_mutex, threads_and_goroutines_in_turn) {
  shared_mutex m;
  long left = 0;
  long right = 0;
  std::atomic<int> torn{0};
  const int n = rounds(2000);
  const auto use = [&](int k, int write_every) {
    if (k % write_every == 0) {
      const std::lock_guard lock(m);
      ++left;
      if (k % 3 == 0) runnel::yield();
      ++right;
    } else {
      const std::shared_lock lock(m);
      if (left != right) ++torn;
      if (k % 5 == 0) runnel::yield();
    }
  };
  constexpr int turns = 4;
  for (int turn = 0; turn < turns; ++turn) {
    thread_group threads;
    for (int i = 0; i < 3; ++i) {
      threads.start([&] {
        for (int k = 1; k <= n; ++k) use(k, turn % 2 == 0 ? 10 : 1000);
      });
    }
    threads.join();
    threads.start([&] {
      for (int k = 1; k <= n; ++k) {
        if (k % 64 == 0) std::this_thread::sleep_for(100us);
        use(k, 10);
      }
    });
    crew goroutines;
    for (int i = 0; i < 4; ++i) {
      goroutines.go([&] {
        for (int k = 1; k <= n; ++k) use(k, 10);
      });
    }
    goroutines.wait();
    threads.join();
  }
  EXPECT_EQ(torn, 0);
  EXPECT_EQ(left, right);
  EXPECT_EQ(left, turns / 2 * (3L * (n / 10) + 3L * (n / 1000)) + turns * 5L * (n / 10));
}

// condition_variable: the behaviour of Go's sync/cond_test.go, the standard's forms, stop tokens,
// and its end.
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <runnel/select.hpp>
#include <shared_mutex>
#include <stop_token>

#include "sync_support.hpp"

using namespace std::chrono_literals;
using runnel::condition_variable;
using runnel::mutex;
using runnel_test::crew;
using runnel_test::eventually;
using runnel_test::eventually_blocked;
using runnel_test::let_others_run;
using runnel_test::rounds;
using runnel_test::thread_group;

static_assert(runnel_test::is_pinned<condition_variable>);

// Go's TestCondSignal.
RUNNEL_TEST_BOTH(condition_variable, notify_one_wakes_one) {
  mutex m;
  condition_variable cv;
  constexpr std::size_t n = 3;
  std::atomic<std::size_t> awake{0};
  crew waiters;
  for (std::size_t i = 0; i < n; ++i) {
    waiters.go([&] {
      std::unique_lock lock(m);
      cv.wait(lock);
      ++awake;
    });
  }
  ASSERT_TRUE(eventually_blocked(n, "sync.Cond.Wait"));
  for (std::size_t i = 0; i < n; ++i) {
    EXPECT_EQ(awake, i);
    {
      const std::lock_guard lock(m);
      cv.notify_one();
    }
    ASSERT_TRUE(eventually([&] { return awake == i + 1; }));
    let_others_run();
  }
  cv.notify_one();  // nobody waits
}

// Go's TestCondSignalGenerations: first come, first served.
RUNNEL_TEST_BOTH(condition_variable, notified_in_order) {
  mutex m;
  condition_variable cv;
  constexpr std::size_t n = 50;
  runnel::chan<void> running(n);
  runnel::chan<std::size_t> awake(n);
  crew waiters;
  for (std::size_t i = 0; i < n; ++i) {
    waiters.go([&, i] {
      std::unique_lock lock(m);
      running.send();
      cv.wait(lock);
      awake.send(i);
    });
    if (i > 0) {
      EXPECT_EQ(awake.recv(), i - 1);
    }
    running.recv();
    const std::lock_guard lock(m);
    cv.notify_one();
  }
}

// Go's TestCondBroadcast.
RUNNEL_TEST_BOTH(condition_variable, notify_all_wakes_all) {
  mutex m;
  condition_variable cv;
  constexpr int n = 50;
  runnel::chan<int> running(n), awake(n);
  bool stop = false;
  crew waiters;
  for (int g = 0; g < n; ++g) {
    waiters.go([&, g] {
      std::unique_lock lock(m);
      while (!stop) {
        running.send(g);
        cv.wait(lock);
        awake.send(g);
      }
    });
  }
  for (int i = 0; i < 5; ++i) {
    for (int k = 0; k < n; ++k) running.recv();
    EXPECT_EQ(awake.size(), 0U);
    {
      const std::lock_guard lock(m);  // so the last one waits by now
      stop = i == 4;
      cv.notify_all();
    }
    std::vector<bool> seen(n);
    for (int k = 0; k < n; ++k) {
      const auto g = static_cast<std::size_t>(*awake.recv());
      EXPECT_FALSE(seen[g]);
      seen[g] = true;
    }
  }
  waiters.wait();
  EXPECT_EQ(running.size(), 0U);
  EXPECT_EQ(awake.size(), 0U);
}

// Go's TestRace.
RUNNEL_TEST_BOTH(condition_variable, three_hand_on) {
  int x = 0;
  mutex m;
  condition_variable cv;
  crew goroutines;
  goroutines.go([&] {
    std::unique_lock lock(m);
    x = 1;
    cv.wait(lock, [&] { return x == 2; });
    x = 3;
    cv.notify_one();
  });
  goroutines.go([&] {
    std::unique_lock lock(m);
    for (;;) {
      if (x == 1) {
        x = 2;
        cv.notify_one();
        break;
      }
      lock.unlock();
      runnel::yield();
      lock.lock();
    }
  });
  goroutines.go([&] {
    std::unique_lock lock(m);
    for (;;) {
      if (x == 2) {
        cv.wait(lock, [&] { return x == 3; });
        break;
      }
      if (x == 3) break;
      lock.unlock();
      runnel::yield();
      lock.lock();
    }
  });
  goroutines.wait();
  EXPECT_EQ(x, 3);
}

// A bounded buffer among goroutines and threads.
RUNNEL_TEST_BOTH(condition_variable, producers_and_consumers) {
  mutex m;
  condition_variable not_full, not_empty;
  std::vector<int> buffer;
  const int each = rounds(2000);
  std::atomic<long> sum{0};
  auto produce = [&] {
    for (int i = 1; i <= each; ++i) {
      std::unique_lock lock(m);
      not_full.wait(lock, [&] { return buffer.size() < 4; });
      buffer.push_back(i);
      not_empty.notify_one();
    }
  };
  auto consume = [&] {
    for (int i = 0; i < each; ++i) {
      std::unique_lock lock(m);
      not_empty.wait(lock, [&] { return !buffer.empty(); });
      sum += buffer.back();
      buffer.pop_back();
      lock.unlock();
      not_full.notify_one();
    }
  };
  {
    crew goroutines;
    thread_group threads;
    goroutines.go(produce);
    goroutines.go(consume);
    goroutines.go(produce);
    goroutines.go(consume);
    threads.start(produce);
    threads.start(consume);
  }
  EXPECT_EQ(sum, 3L * each * (each + 1) / 2);
}

RUNNEL_TEST_BOTH(condition_variable, any_lock) {
  condition_variable cv;
  bool ready = false;
  {
    mutex m;
    crew other;
    m.lock();
    other.go([&] {
      const std::lock_guard lock(m);
      ready = true;
      cv.notify_all();
    });
    cv.wait(m, [&] { return ready; });
    m.unlock();
  }
  {
    runnel::shared_mutex m;
    crew other;
    std::shared_lock lock(m);
    other.go([&] {
      const std::lock_guard exclusive(m);
      ready = false;
      cv.notify_all();
    });
    cv.wait(lock, [&] { return !ready; });
    EXPECT_TRUE(lock.owns_lock());
  }
}

RUNNEL_TEST_BOTH(condition_variable, time_outs) {
  mutex m;
  condition_variable cv;
  std::unique_lock lock(m);
  const auto before = std::chrono::steady_clock::now();
  EXPECT_EQ(cv.wait_for(lock, 5ms), std::cv_status::timeout);
  EXPECT_GE(std::chrono::steady_clock::now() - before, 5ms);
  EXPECT_TRUE(lock.owns_lock());
  EXPECT_EQ(cv.wait_for(lock, -1s), std::cv_status::timeout);
  EXPECT_EQ(cv.wait_until(lock, std::chrono::steady_clock::now() + 1ms), std::cv_status::timeout);
  const auto wall = std::chrono::system_clock::now() + 3ms;
  EXPECT_FALSE(cv.wait_until(lock, wall, [] { return false; }));
  EXPECT_GE(std::chrono::system_clock::now(), wall);
  EXPECT_FALSE(cv.wait_for(lock, 1ms, [] { return false; }));
  EXPECT_TRUE(cv.wait_for(lock, 1ms, [] { return true; }));
  crew other;
  bool ready = false;
  other.go([&] {
    const std::lock_guard inside(m);
    ready = true;
    cv.notify_one();
  });
  EXPECT_TRUE(cv.wait_for(lock, std::chrono::hours::max(), [&] { return ready; }));
  lock.unlock();
}

RUNNEL_TEST_BOTH(condition_variable, stop_token) {
  mutex m;
  condition_variable cv;
  std::unique_lock lock(m);
  std::stop_source stop;
  EXPECT_TRUE(cv.wait(lock, stop.get_token(), [] { return true; }));
  EXPECT_FALSE(cv.wait_for(lock, stop.get_token(), 1ms, [] { return false; }));
  EXPECT_FALSE(cv.wait_until(lock, stop.get_token(), std::chrono::system_clock::now() + 1ms,
                             [] { return false; }));
  {
    crew other;
    other.go([&] {
      runnel::sleep_for(1ms);
      stop.request_stop();
    });
    EXPECT_FALSE(cv.wait(lock, stop.get_token(), [] { return false; }));
    EXPECT_TRUE(lock.owns_lock());
  }
  EXPECT_FALSE(cv.wait(lock, stop.get_token(), [] { return false; }));  // already
  EXPECT_TRUE(cv.wait(lock, stop.get_token(), [] { return true; }));
  EXPECT_FALSE(cv.wait(lock, std::stop_token(), [&] { return true; }) == false);
  std::stop_source another;
  bool ready = false;
  crew other;
  other.go([&] {
    const std::lock_guard inside(m);
    ready = true;
    cv.notify_all();
  });
  EXPECT_TRUE(cv.wait_for(lock, another.get_token(), 1h, [&] { return ready; }));
  lock.unlock();
}

// Notifications, time-outs and stops meet: each wait ends exactly once, and no notification that
// was meant for somebody who waits is lost to one who gave up.
RUNNEL_TEST_BOTH(condition_variable, endings_race) {
  for (int round = 0; round < rounds(60); ++round) {
    mutex m;
    condition_variable cv;
    std::stop_source stop;
    int tokens = 0;
    std::atomic<int> taken{0}, given{0}, ended{0};
    crew goroutines;
    for (int i = 0; i < 6; ++i) {
      goroutines.go([&, i] {
        {
          std::unique_lock lock(m);
          auto have = [&] { return tokens > 0; };
          bool got = true;
          if (i < 2) {
            cv.wait(lock, have);
          } else if (i < 4) {
            while (!cv.wait_for(lock, std::chrono::microseconds(20 * i), have)) {
            }
          } else {
            got = cv.wait(lock, stop.get_token(), have);
          }
          EXPECT_EQ(got, tokens > 0);
          if (got) {
            --tokens;
            ++taken;
          }
        }
        ++ended;
      });
    }
    goroutines.go([&] {
      for (int i = 0; ended < 6; ++i) {
        if (given == taken) {
          {
            const std::lock_guard lock(m);
            ++tokens;
          }
          ++given;
          cv.notify_one();
        }
        if (i == round % 4) stop.request_stop();
        runnel::sleep_for(10us);
        // One that stopped, or timed out, may have been given the notification.
        cv.notify_one();
      }
    });
    goroutines.wait();
    EXPECT_GE(taken, 4);
    EXPECT_EQ(tokens, given - taken);
  }
}

// An exception from unlock() comes out, and takes no notification along.
RUNNEL_TEST_BOTH(condition_variable, unlock_that_throws) {
  struct bad_lock {
    void lock() {}
    void unlock() { throw std::runtime_error("cannot unlock"); }
  } bad;
  condition_variable cv;
  EXPECT_THROW(cv.wait(bad), std::runtime_error);
  EXPECT_THROW(cv.wait_for(bad, 1h), std::runtime_error);
  mutex m;
  crew other;
  std::atomic<bool> woken{false};
  other.go([&] {
    std::unique_lock lock(m);
    cv.wait(lock);
    woken = true;
  });
  ASSERT_TRUE(eventually_blocked(1, "sync.Cond.Wait"));
  EXPECT_THROW(cv.wait(bad), std::runtime_error);
  cv.notify_one();
  other.wait();
  EXPECT_TRUE(woken);
}

// May go once all have been notified, although none of them has returned yet; also while others
// that timed out are on their way out.
RUNNEL_TEST_BOTH(condition_variable, destroyed_once_all_are_notified) {
  for (int round = 0; round < rounds(200); ++round) {
    mutex m;
    auto* cv = new condition_variable;
    bool gone = false;
    std::atomic<int> waiting{0};
    crew goroutines;
    for (int i = 0; i < 4; ++i) {
      goroutines.go([&, i] {
        std::unique_lock lock(m);
        ++waiting;
        if (gone) return;
        if (i % 2 == 0) {
          cv->wait(lock);
        } else {
          cv->wait_for(lock, std::chrono::microseconds(50 + round));
        }
      });
    }
    while (waiting < 4) runnel::yield();
    std::unique_lock lock(m);
    gone = true;
    cv->notify_all();
    delete cv;
    lock.unlock();
  }
}

// Go's TestCondSignalStealing: who waits already is notified, whoever comes while that is done.
RUNNEL_TEST(condition_variable, newcomers_steal_no_notification) {
  for (int i = 0; i < rounds(300); ++i) {
    mutex m;
    condition_variable cv;
    const runnel::chan<void> step;
    bool over = false;
    crew waiters;
    waiters.go([&] {
      std::unique_lock lock(m);
      step.send();
      cv.wait(lock);
      lock.unlock();
      step.send();
    });
    step.recv();
    { const std::lock_guard waits_by_now(m); }
    waiters.go([&] { cv.notify_all(); });
    waiters.go([&] {
      std::unique_lock lock(m);
      cv.wait(lock, [&] { return over; });
    });
    ASSERT_EQ(runnel::select(runnel::on_recv(step), runnel::on_timeout(runnel_test::patience())),
              0U);
    {
      const std::lock_guard lock(m);
      over = true;
    }
    cv.notify_all();
  }
}

// The select cases that do something around the wait: on a condition_variable, which gives its lock
// up meanwhile, and on a weighted_semaphore, where one that gives up may stand in others' way.
#include <atomic>
#include <functional>
#include <mutex>
#include <runnel/context.hpp>
#include <runnel/select.hpp>
#include <span>
#include <stdexcept>
#include <vector>

#include "sync_support.hpp"

using namespace std::chrono_literals;
using runnel::condition_variable;
using runnel::mutex;
using runnel::on_acquire;
using runnel::on_timeout;
using runnel::on_wait;
using runnel::otherwise;
using runnel::select;
using runnel::weighted_semaphore;
using runnel_test::crew;
using runnel_test::eventually;
using runnel_test::eventually_blocked;
using runnel_test::let_others_run;
using runnel_test::panic_text;
using runnel_test::rounds;

namespace {

bool is_free(mutex& m) {
  if (!m.try_lock()) return false;
  m.unlock();
  return true;
}

struct mutex_with_a_say {
  void lock() { m.lock(); }
  void unlock() {
    m.unlock();
    const auto say = on_unlock;  // which may replace itself
    say();
  }
  mutex m;
  std::function<void()> on_unlock = [] {};
};

}  // namespace

RUNNEL_TEST_BOTH(select_condition, notified) {
  mutex m;
  condition_variable cv;
  bool ready = false;
  crew helpers;
  std::unique_lock lock(m);
  helpers.go([&] {
    const std::lock_guard hold(m);  // can be had only once the select waits
    ready = true;
    cv.notify_one();
  });
  bool held_in_handler = false;
  while (!ready) {
    EXPECT_EQ(select(on_wait(cv, lock, [&] { held_in_handler = !is_free(m); }), on_timeout(1h)),
              0U);
    EXPECT_TRUE(lock.owns_lock());
    EXPECT_FALSE(is_free(m));
  }
  EXPECT_TRUE(held_in_handler);
}

RUNNEL_TEST_BOTH(select_condition, lock_is_held_again_however_it_ends) {
  mutex m;
  condition_variable cv;
  std::unique_lock lock(m);
  EXPECT_EQ(select(on_wait(cv, lock), on_timeout(1ms, [&] { EXPECT_FALSE(is_free(m)); })), 1U);
  EXPECT_TRUE(lock.owns_lock());
  EXPECT_EQ(select(on_wait(cv, lock), otherwise([&] { EXPECT_FALSE(is_free(m)); })), 1U);
  EXPECT_TRUE(lock.owns_lock());
  EXPECT_THROW(select(on_wait(cv, lock), on_timeout(0s, [] { throw std::runtime_error("x"); })),
               std::runtime_error);
  EXPECT_TRUE(lock.owns_lock());
  const runnel::chan<int> closed(1);
  closed.close();
  EXPECT_EQ(panic_text([&] { select(on_wait(cv, lock), runnel::on_send(closed, 1)); }),
            "send on closed channel");
  EXPECT_TRUE(lock.owns_lock());
  // Nobody is left in the list: there would be a use of what is gone.
  cv.notify_all();
}

// Two conditions with one lock: both are joined before it is given up.
RUNNEL_TEST(select_condition, either_of_two) {
  mutex m;
  condition_variable first;
  condition_variable second;
  for (int i = 0; i < rounds(200); ++i) {
    std::unique_lock lock(m);
    int announced = -1;
    crew helpers;
    helpers.go([&] {
      const std::lock_guard hold(m);
      announced = i % 2;
      (announced == 0 ? first : second).notify_one();
    });
    const std::size_t got = select(on_wait(first, lock), on_wait(second, lock));
    EXPECT_EQ(static_cast<int>(got), announced);
    lock.unlock();
    helpers.wait();
  }
}

// A notification that comes before the select has looked at its cases is not missed.
RUNNEL_TEST(select_condition, notified_while_the_lock_is_given_up) {
  condition_variable cv;
  mutex_with_a_say m;
  m.on_unlock = [&] { cv.notify_one(); };
  std::unique_lock lock(m);
  EXPECT_EQ(select(on_wait(cv, lock), on_timeout(1h)), 0U);
  EXPECT_EQ(select(on_wait(cv, lock), otherwise()), 0U);
  m.on_unlock = [] {};
  EXPECT_EQ(select(on_wait(cv, lock), on_timeout(1ms)), 1U);  // it has been used up
}

// If the select takes another case the notification goes to the next who waits.
RUNNEL_TEST(select_condition, unused_notification_goes_to_another) {
  condition_variable cv;
  const runnel::chan<void> other(1);
  other.send();
  mutex_with_a_say m;
  crew helpers;
  std::atomic<bool> notified{false};
  m.on_unlock = [&] {
    helpers.go([&] {
      mutex own;
      std::unique_lock lock(own);
      cv.wait(lock);
      notified = true;
    });
    EXPECT_TRUE(eventually_blocked(1, "sync.Cond.Wait"));
    cv.notify_one();  // goes to the select, which came first
    let_others_run();
    EXPECT_FALSE(notified);
    m.on_unlock = [] {};
  };
  std::unique_lock lock(m);
  EXPECT_EQ(runnel::select_ordered(runnel::on_recv(other), on_wait(cv, lock)), 0U);
  EXPECT_TRUE(eventually([&] { return notified.load(); }, 2s));
  cv.notify_all();
}

// The same as it happens: of the select and the waiter behind it exactly one is notified.
RUNNEL_TEST(select_condition, no_notification_is_lost) {
  for (int i = 0; i < rounds(200); ++i) {
    mutex m;
    condition_variable cv;
    const runnel::chan<void> other(1);
    std::atomic<int> notified{0};
    crew helpers;
    helpers.go([&] {
      std::unique_lock lock(m);
      if (select(on_wait(cv, lock), runnel::on_recv(other)) == 0) ++notified;
    });
    ASSERT_TRUE(eventually_blocked(1, "select"));
    helpers.go([&] {
      std::unique_lock lock(m);
      cv.wait(lock);
      ++notified;
    });
    ASSERT_TRUE(eventually_blocked(1, "sync.Cond.Wait"));
    helpers.go([&] { other.send(); });
    cv.notify_one();
    ASSERT_TRUE(eventually([&] { return notified.load() == 1; }));
    let_others_run();
    EXPECT_EQ(notified, 1);
    cv.notify_all();
    helpers.wait();
  }
}

RUNNEL_TEST(select_condition, first_come_first_served) {
  mutex m;
  condition_variable cv;
  std::vector<int> order;
  int waiting = 0;
  crew helpers;
  for (int i = 0; i < 6; ++i) {
    helpers.go([&, i] {
      std::unique_lock lock(m);
      ++waiting;
      if (i % 2 == 0) {
        cv.wait(lock);
      } else {
        select(on_wait(cv, lock), on_timeout(1h));
      }
      order.push_back(i);
    });
    ASSERT_TRUE(eventually([&] {
      const std::lock_guard hold(m);
      return waiting == i + 1;
    }));
  }
  for (int i = 0; i < 6; ++i) {
    const std::size_t n = static_cast<std::size_t>(i) + 1;
    cv.notify_one();
    ASSERT_TRUE(eventually([&] {
      const std::lock_guard hold(m);
      return order.size() == n;
    }));
  }
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4, 5}));
}

RUNNEL_TEST(select_condition, notify_all_and_queue) {
  constexpr int consumers = 4;
  constexpr int values = 400;
  mutex m;
  condition_variable cv;
  int available = 0;
  int taken = 0;
  const auto [ctx, cancel] = runnel::with_cancel(runnel::background());
  crew helpers;
  for (int i = 0; i < consumers; ++i) {
    helpers.go([&, ctx = ctx] {
      std::unique_lock lock(m);
      for (;;) {
        while (available == 0 && !ctx.err()) select(on_wait(cv, lock), runnel::on_done(ctx));
        if (available == 0) return;
        --available;
        ++taken;
      }
    });
  }
  for (int i = 0; i < rounds(values); ++i) {
    const std::lock_guard hold(m);
    ++available;
    if (i % 3 == 0) {
      cv.notify_all();
    } else {
      cv.notify_one();
    }
  }
  ASSERT_TRUE(eventually([&] {
    const std::lock_guard hold(m);
    return taken == rounds(values);
  }));
  cancel();
  helpers.wait();
}

RUNNEL_TEST_BOTH(select_weighted, takes_and_runs) {
  weighted_semaphore s(3);
  int ran = 0;
  EXPECT_EQ(select(on_acquire(s)), 0U);
  EXPECT_EQ(select(on_acquire(s, [&] { ++ran; }), otherwise()), 0U);
  EXPECT_EQ(select(on_acquire(s, 2, [&] { ++ran; }), otherwise()), 1U);
  EXPECT_EQ(select(on_acquire(s, 2), on_timeout(1ms)), 1U);
  EXPECT_EQ(select(on_acquire(s, 4), on_timeout(1ms)), 1U);
  EXPECT_EQ(select(on_acquire(s, 1, [&] { ++ran; })), 0U);
  EXPECT_EQ(ran, 2);
  EXPECT_FALSE(s.try_acquire());
  s.release(3);
  EXPECT_TRUE(s.try_acquire(3));
  EXPECT_EQ(panic_text([&] { (void)on_acquire(s, -1); }), "semaphore: n < 0");
}

// One that asked for much and gave up does not hold those up who came after it.
RUNNEL_TEST(select_weighted, giving_up_lets_others_on) {
  weighted_semaphore s(2);
  s.acquire();
  const runnel::chan<void> stop;
  crew helpers;
  helpers.go([&] { EXPECT_EQ(select(on_acquire(s, 2), runnel::on_recv(stop)), 1U); });
  ASSERT_TRUE(eventually_blocked(1, "select"));
  std::atomic<bool> small{false};
  helpers.go([&] {
    s.acquire(1);
    small = true;
  });
  ASSERT_TRUE(eventually_blocked(1, "semacquire"));
  EXPECT_FALSE(small);
  stop.send();
  helpers.wait();
  EXPECT_TRUE(small);
}

// So does a case that owns itself.
RUNNEL_TEST(select_weighted, giving_up_in_a_span) {
  weighted_semaphore s(2);
  s.acquire();
  const runnel::chan<void> stop;
  std::vector<runnel::select_case> cases;
  cases.push_back(on_acquire(s, 2, [] { ADD_FAILURE(); }));
  cases.push_back(runnel::on_recv(stop));
  crew helpers;
  helpers.go([&] { EXPECT_EQ(select(std::span(cases)), 1U); });
  ASSERT_TRUE(eventually_blocked(1, "select"));
  helpers.go([&] { s.acquire(1); });
  ASSERT_TRUE(eventually_blocked(1, "semacquire"));
  stop.send();
  helpers.wait();
  s.release(2);
  EXPECT_TRUE(s.try_acquire(2));
}

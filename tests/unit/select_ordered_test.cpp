// select_ordered: of several ready cases the first in the order written, whatever the cases are on;
// and conditions in the form of select that takes a span.
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <runnel/context.hpp>
#include <runnel/future.hpp>
#include <runnel/select.hpp>
#include <runnel/sync.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "sync_support.hpp"

using namespace std::chrono_literals;
using runnel::background;
using runnel::chan;
using runnel::condition_variable;
using runnel::mutex;
using runnel::on_acquire;
using runnel::on_deadline;
using runnel::on_done;
using runnel::on_lock;
using runnel::on_lock_shared;
using runnel::on_ready;
using runnel::on_recv;
using runnel::on_send;
using runnel::on_timeout;
using runnel::on_wait;
using runnel::otherwise;
using runnel::select;
using runnel::select_case;
using runnel::select_ordered;
using runnel::with_cancel;
using runnel_test::crew;
using runnel_test::panic_text;

namespace {

// Random choice would pass one test of n ready cases with probability n ^ -many.
constexpr int many = 64;

chan<int> closed() {
  const chan<int> c;
  c.close();
  return c;
}

chan<int> holding(int n) {
  const chan<int> c(static_cast<std::size_t>(n));
  for (int i = 0; i < n; ++i) c.send(i);
  return c;
}

template <class... Cases>
std::vector<select_case> list(Cases... cases) {
  std::vector<select_case> all;
  all.reserve(sizeof...(cases));
  (all.emplace_back(std::move(cases)), ...);
  return all;
}

}  // namespace

RUNNEL_TEST_BOTH(select_ordered, takes_the_first_of_those_that_are_ready) {
  const chan<int> a = holding(many), b = holding(many), out(many), none;
  for (int i = 0; i < many; ++i) {
    int v = -1;
    EXPECT_EQ(select_ordered(on_recv(a, v), on_recv(b, v), on_send(out, i)), 0U);
    EXPECT_EQ(v, i);
  }
  EXPECT_EQ(b.size(), std::size_t{many});
  EXPECT_EQ(out.size(), 0U);
  for (int i = 0; i < many; ++i) {  // a is drained, but open
    EXPECT_EQ(select_ordered(on_recv(a), on_send(out, i), on_recv(b)), 1U);
  }
  EXPECT_EQ(b.size(), std::size_t{many});
  for (int i = 0; i < many; ++i) {  // now out is full
    EXPECT_EQ(select_ordered(on_recv(none), on_send(out, i), on_recv(b), on_timeout(0s)), 2U);
  }
  for (int i = 0; i < many; ++i) {
    const std::chrono::steady_clock::time_point past{};
    EXPECT_EQ(select_ordered(on_recv(none), on_timeout(0s), on_deadline(past)), 1U);
    EXPECT_EQ(select_ordered(on_recv(none), on_deadline(past), on_timeout(0s)), 1U);
  }
}

RUNNEL_TEST_BOTH(select_ordered, two_cases_and_many) {
  const chan<int> a = holding(many), b = holding(many);
  for (int i = 0; i < many; ++i) EXPECT_EQ(select_ordered(on_recv(a), on_recv(b)), 0U);
  const chan<int> c = closed(), none;
  for (int i = 0; i < many; ++i) {
    // More than are looked at inline.
    EXPECT_EQ(select_ordered(on_recv(none), on_recv(none), on_recv(none), on_recv(none), on_recv(c),
                             on_recv(c), on_recv(c), on_recv(c), on_recv(b)),
              4U);
  }
  EXPECT_EQ(b.size(), std::size_t{many});
}

RUNNEL_TEST_BOTH(select_ordered, otherwise_only_if_none_is_ready) {
  const chan<int> none, c = holding(many);
  for (int i = 0; i < many; ++i) {
    EXPECT_EQ(select_ordered(otherwise(), on_recv(none)), 0U);
    EXPECT_EQ(select_ordered(otherwise(), on_recv(none), on_send(none, 1)), 0U);
    EXPECT_EQ(select_ordered(otherwise(), on_recv(c)), 1U);
  }
  const chan<int> d = holding(many);
  for (int i = 0; i < many; ++i) {
    EXPECT_EQ(select_ordered(on_recv(none), otherwise(), on_recv(c), on_recv(d)), 3U);
  }
}

RUNNEL_TEST_BOTH(select_ordered, closed_and_nil_channels) {
  const chan<int> nil = nullptr, c = closed(), full = holding(1);
  for (int i = 0; i < many; ++i) {
    EXPECT_EQ(select_ordered(on_recv(nil), on_send(nil, 1), on_recv(c), on_recv(full)), 2U);
    EXPECT_EQ(select_ordered(on_recv(nil), on_send(nil, 1), otherwise()), 2U);
    // A send on a closed channel is chosen in its turn, and then panics.
    EXPECT_EQ(select_ordered(on_recv(c), on_send(c, 1)), 0U);
    EXPECT_EQ(panic_text([&] { select_ordered(on_recv(nil), on_send(c, 1), on_recv(c)); }),
              "send on closed channel");
  }
  EXPECT_EQ(full.size(), 1U);
}

RUNNEL_TEST_BOTH(select_ordered, cases_on_what_is_no_channel) {
  mutex m;
  runnel::shared_mutex rw;
  runnel::wait_group wg;
  const runnel::latch open(0);
  runnel::counting_semaphore<> permits(many);
  runnel::weighted_semaphore weights(many);
  auto [ctx, cancel] = with_cancel(background());
  cancel();
  auto ready = runnel::async([] { return 1; });
  ready.wait();
  const chan<int> c = holding(many);
  for (int i = 0; i < many; ++i) {
    EXPECT_EQ(select_ordered(on_lock(m, [&] { m.unlock(); }), on_wait(wg), on_recv(c)), 0U);
    EXPECT_EQ(select_ordered(on_lock(rw, [&] { rw.unlock(); }), on_lock(m), on_recv(c)), 0U);
    EXPECT_EQ(select_ordered(on_lock_shared(rw, [&] { rw.unlock_shared(); }), on_lock(m)), 0U);
    EXPECT_EQ(select_ordered(on_wait(wg), on_acquire(permits), on_lock(m)), 0U);
    EXPECT_EQ(select_ordered(on_wait(open), on_acquire(permits), on_lock(m)), 0U);
    EXPECT_EQ(select_ordered(on_acquire(permits), on_acquire(weights, 1), on_lock(m)), 0U);
    EXPECT_EQ(select_ordered(on_acquire(weights, 1), on_lock(m), on_recv(c)), 0U);
    EXPECT_EQ(select_ordered(on_done(ctx), on_lock(m), on_recv(c)), 0U);
    EXPECT_EQ(select_ordered(on_ready(ready), on_lock(m), on_recv(c)), 0U);
    EXPECT_EQ(select_ordered(on_done(background()), on_ready(ready), on_done(ctx)), 1U);
  }
  EXPECT_FALSE(permits.try_acquire());
  EXPECT_FALSE(weights.try_acquire());
  EXPECT_EQ(c.size(), std::size_t{many});
  EXPECT_TRUE(m.try_lock());
  const std::lock_guard hold(m, std::adopt_lock);
  for (int i = 0; i < many; ++i) {  // those before the first ready one are left alone
    EXPECT_EQ(select_ordered(on_lock(m), on_acquire(permits), on_wait(wg), on_recv(c)), 2U);
  }
}

RUNNEL_TEST_BOTH(select_ordered, span_form) {
  const chan<int> a = holding(many), b = holding(many), none;
  mutex m;
  int locked = 0;
  auto cases = list(on_recv(none), on_recv(a), on_lock(m, [&] { ++locked; }), on_recv(b));
  for (int i = 0; i < many; ++i) EXPECT_EQ(select_ordered(cases), 1U);
  EXPECT_EQ(select_ordered(cases), 2U);  // a is empty
  EXPECT_EQ(locked, 1);
  EXPECT_EQ(b.size(), std::size_t{many});
  for (int i = 0; i < many; ++i) EXPECT_EQ(select_ordered(cases), 3U);  // m is locked
  m.unlock();
  cases.push_back(otherwise());
  m.lock();
  EXPECT_EQ(select_ordered(cases), 4U);
  m.unlock();
  std::vector<select_case> twenty;  // more than lie on the stack
  for (int i = 0; i < 20; ++i) twenty.emplace_back(on_recv(i < 7 ? none : closed()));
  for (int i = 0; i < many; ++i) EXPECT_EQ(select_ordered(twenty), 7U);
}

// Parked, it takes what becomes ready, wherever that is written.
RUNNEL_TEST_BOTH(select_ordered, while_it_waits) {
  const chan<int> a, b;
  mutex m;
  for (std::size_t which = 0; which < 3; ++which) {
    m.lock();
    crew other;
    other.go([&] {
      runnel_test::let_others_run();
      if (which == 0) {
        a.send(1);
      } else if (which == 1) {
        m.unlock();
      } else {
        b.send(1);
      }
    });
    EXPECT_EQ(select_ordered(on_recv(a), on_lock(m), on_recv(b), on_done(background())), which);
    EXPECT_FALSE(m.try_lock());  // by now, or still
    m.unlock();
  }
}

// Woken by a case that turns out not to be ready it looks at all of them again, in order.
RUNNEL_TEST_BOTH(select_ordered, under_concurrency) {
  const chan<int> first, second;
  std::atomic<long> sum{0};
  const int n = runnel_test::rounds(2000);
  crew senders;
  for (const chan<int>& c : {first, second}) {
    senders.go([&, c] {
      for (int i = 0; i < n; ++i) c.send(1);
    });
  }
  for (int i = 0; i < 2 * n; ++i) {
    const auto add = [&](int v) { sum += v; };
    select_ordered(on_recv(first, add), on_recv(second, add));
  }
  EXPECT_EQ(sum, 2 * n);
}

RUNNEL_TEST_BOTH(select_span_condition, notified) {
  mutex m;
  condition_variable cv;
  bool ready = false;
  const chan<int> none;
  crew helpers;
  std::unique_lock lock(m);
  helpers.go([&] {
    const std::lock_guard hold(m);  // can be had only once the select waits
    ready = true;
    cv.notify_one();
  });
  bool held_in_handler = false;
  auto cases = list(on_recv(none), on_wait(cv, lock, [&] { held_in_handler = lock.owns_lock(); }));
  while (!ready) {
    EXPECT_EQ(select(cases), 1U);
    EXPECT_TRUE(lock.owns_lock());
  }
  EXPECT_TRUE(held_in_handler);
}

RUNNEL_TEST_BOTH(select_span_condition, another_case_wins_again_and_again) {
  mutex m;
  condition_variable cv, other;
  std::unique_lock lock(m);
  auto cases = list(on_wait(cv, lock), on_timeout(100us), on_wait(other, lock));
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(select_ordered(cases), 1U);
    EXPECT_TRUE(lock.owns_lock());
  }
  const chan<int> gone = closed();
  auto refused = list(on_wait(cv, lock), on_send(gone, 1));
  EXPECT_EQ(panic_text([&] { select(refused); }), "send on closed channel");
  EXPECT_TRUE(lock.owns_lock());
  crew helper;
  helper.go([&] {
    const std::lock_guard hold(m);
    other.notify_one();
  });
  std::vector<select_case> waits = list(on_wait(cv, lock), on_wait(other, lock));
  EXPECT_EQ(select(waits), 1U);
  EXPECT_TRUE(lock.owns_lock());
}

// One select_case is a case like any other.
RUNNEL_TEST_BOTH(select_span_condition, as_an_argument) {
  mutex m;
  condition_variable cv;
  std::unique_lock lock(m);
  EXPECT_EQ(select(select_case(on_wait(cv, lock)), on_timeout(1ms)), 1U);
  EXPECT_TRUE(lock.owns_lock());
  const chan<int> c = holding(1);
  EXPECT_EQ(select(select_case(on_recv(c)), on_timeout(1h)), 0U);
}

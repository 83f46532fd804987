// latch and barrier: the standard's interfaces, from goroutines and threads, and their end.
#include <atomic>
#include <barrier>
#include <functional>
#include <latch>
#include <runnel/select.hpp>

#include "sync_support.hpp"

using namespace std::chrono_literals;
using runnel::barrier;
using runnel::latch;
using runnel_test::crew;
using runnel_test::eventually_blocked;
using runnel_test::let_others_run;
using runnel_test::panic_text;
using runnel_test::rounds;
using runnel_test::thread_group;

static_assert(runnel_test::is_pinned<latch>);
static_assert(runnel_test::is_pinned<barrier<>>);
static_assert(!std::is_copy_constructible_v<barrier<>::arrival_token>);
static_assert(std::is_nothrow_move_constructible_v<barrier<>::arrival_token>);

namespace {

constinit latch global(2);

struct counting_completion {
  std::atomic<int>* phases;
  void operator()() noexcept { ++*phases; }
};

}  // namespace

RUNNEL_TEST_BOTH(latch, opens_at_zero) {
  latch l(3);
  EXPECT_FALSE(l.try_wait());
  l.count_down();
  l.count_down(0);
  EXPECT_FALSE(l.try_wait());
  l.count_down(2);
  EXPECT_TRUE(l.try_wait());
  l.wait();
  l.wait();
  const latch open(0);
  EXPECT_TRUE(open.try_wait());
  open.wait();
  static_assert(latch::max() > 1'000'000'000);
}

RUNNEL_TEST_BOTH(latch, misuse_panics) {
  EXPECT_EQ(panic_text([] { latch(-1); }), "latch: negative count");
  latch l(1);
  EXPECT_EQ(panic_text([&] { l.count_down(2); }), "latch: negative count");
  EXPECT_EQ(panic_text([&] { l.count_down(-1); }), "latch: negative count");
  EXPECT_EQ(panic_text([&] { l.arrive_and_wait(-1); }), "latch: negative count");
  EXPECT_EQ(panic_text([&] { l.count_down(latch::max() + 1); }), "latch: negative count");
  EXPECT_FALSE(l.try_wait());
  l.count_down();
  EXPECT_EQ(panic_text([&] { l.count_down(); }), "latch: negative count");
  EXPECT_TRUE(l.try_wait());
}

RUNNEL_TEST_THREAD(latch, global_one) {
  if (!global.try_wait()) {
    thread_group threads;
    threads.start([] { global.arrive_and_wait(); });
    crew goroutines;
    goroutines.go([] { global.arrive_and_wait(); });
  }
  global.wait();
}

RUNNEL_TEST_BOTH(latch, lets_everyone_go_at_once) {
  latch start(1), finished(12);
  std::atomic<int> running{0};
  {
    crew goroutines;
    thread_group threads;
    auto work = [&] {
      start.wait();
      ++running;
      finished.arrive_and_wait();
      EXPECT_EQ(running, 12);
    };
    for (int i = 0; i < 9; ++i) goroutines.go(work);
    for (int i = 0; i < 3; ++i) threads.start(work);
    ASSERT_TRUE(eventually_blocked(9, "latch"));
    EXPECT_EQ(running, 0);
    start.count_down();
  }
  EXPECT_TRUE(finished.try_wait());
}

RUNNEL_TEST_BOTH(latch, select_on_it) {
  latch l(1);
  EXPECT_EQ(runnel::select(on_wait(l), runnel::on_timeout(1ms)), 1U);
  crew other;
  other.go([&] { l.count_down(); });
  bool ran = false;
  EXPECT_EQ(runnel::select(on_wait(l, [&] { ran = true; })), 0U);
  EXPECT_TRUE(ran);
  const latch& constant = l;
  EXPECT_EQ(runnel::select(on_wait(constant), runnel::otherwise()), 0U);
}

RUNNEL_TEST_BOTH(latch, destroyed_right_after_wait) {
  for (int i = 0; i < rounds(2000); ++i) {
    const int n = i % 4 + 1;
    auto* l = new latch(n);
    for (int k = 0; k < n; ++k) runnel::go([l] { l->count_down(); });
    if (i % 3 == 0) runnel::yield();
    l->wait();
    delete l;
  }
}

RUNNEL_TEST_BOTH(barrier, phases) {
  constexpr int n = 6;
  const int phases = rounds(200);
  std::atomic<int> completed{0};
  barrier b(n, counting_completion{&completed});
  std::vector<int> at(n);
  {
    crew goroutines;
    thread_group threads;
    auto work = [&](std::size_t me) {
      for (int p = 0; p < phases; ++p) {
        at[me] = p;
        b.arrive_and_wait();
        for (const int other : at) EXPECT_EQ(other, p);  // all have arrived, none is further
        EXPECT_EQ(completed, 2 * p + 1);
        b.arrive_and_wait();
      }
    };
    for (std::size_t i = 0; i < n; ++i) {
      if (i % 3 == 2) {
        threads.start([&, i] { work(i); });
      } else {
        goroutines.go([&, i] { work(i); });
      }
    }
  }
  EXPECT_EQ(completed, 2 * phases);
}

RUNNEL_TEST_BOTH(barrier, arrive_without_waiting) {
  barrier b(2);
  for (int i = 0; i < 10; ++i) {
    auto token = b.arrive();
    crew other;
    std::atomic<bool> passed{false};
    other.go([&] {
      b.arrive_and_wait();
      passed = true;
    });
    b.wait(std::move(token));
    other.wait();
    EXPECT_TRUE(passed);
    b.wait(b.arrive(2));
  }
}

RUNNEL_TEST_BOTH(barrier, drop) {
  barrier b(3);
  {
    crew goroutines;
    goroutines.go([&] { b.arrive_and_drop(); });
    goroutines.go([&] { b.arrive_and_wait(); });
    b.arrive_and_wait();
  }
  crew goroutines;
  goroutines.go([&] { b.arrive_and_wait(); });
  b.arrive_and_wait();  // two are enough now
}

RUNNEL_TEST_BOTH(barrier, waits_for_the_missing_one) {
  barrier b(2);
  std::atomic<bool> passed{false};
  crew other;
  other.go([&] {
    b.arrive_and_wait();
    passed = true;
  });
  ASSERT_TRUE(eventually_blocked(1, "barrier"));
  let_others_run();
  EXPECT_FALSE(passed);
  b.arrive_and_drop();
  other.wait();
  EXPECT_TRUE(passed);
}

RUNNEL_TEST_BOTH(barrier, misuse_panics) {
  EXPECT_EQ(panic_text([] { barrier b(-1); }), "barrier: negative count");
  barrier b(1);
  EXPECT_EQ(panic_text([&] { (void)b.arrive(2); }), "barrier: more arrivals than expected");
  EXPECT_EQ(panic_text([&] { (void)b.arrive(0); }), "barrier: more arrivals than expected");
  b.arrive_and_drop();
  EXPECT_EQ(panic_text([&] { b.arrive_and_wait(); }), "barrier: more arrivals than expected");
}

// The completion function may block: it runs outside the lock, before anyone is let go.
RUNNEL_TEST_BOTH(barrier, completion_may_park) {
  bool completed = false;
  auto completion = [&completed]() noexcept {
    runnel::sleep_for(1ms);
    completed = true;
  };
  barrier<decltype(completion)> b(3, completion);
  crew goroutines;
  for (int i = 0; i < 2; ++i) {
    goroutines.go([&] {
      b.arrive_and_wait();
      EXPECT_TRUE(completed);
    });
  }
  b.arrive_and_wait();
  EXPECT_TRUE(completed);
}

RUNNEL_TEST_BOTH(barrier, destroyed_when_all_have_returned) {
  for (int i = 0; i < rounds(300); ++i) {
    auto* b = new barrier(3);
    std::atomic<int> left{3};
    crew goroutines;
    for (int k = 0; k < 3; ++k) {
      goroutines.go([&, b] {
        b->arrive_and_wait();
        if (--left == 0) delete b;
      });
    }
  }
}

// As with std::barrier a completion function need not be declared noexcept.
RUNNEL_TEST_BOTH(barrier, completion_of_any_kind) {
  int phases = 0;
  barrier by_lambda(1, [&] { ++phases; });
  by_lambda.arrive_and_wait();
  barrier<std::function<void()>> by_function(1, [&] { ++phases; });
  by_function.arrive_and_wait();
  EXPECT_EQ(phases, 2);
}

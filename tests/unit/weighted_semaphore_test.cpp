// weighted_semaphore: the behaviour of x/sync's semaphore_test.go.
#include <atomic>
#include <random>
#include <runnel/context.hpp>

#include "sync_support.hpp"

using namespace std::chrono_literals;
using runnel::background;
using runnel::weighted_semaphore;
using runnel::with_cancel;
using runnel::with_timeout;
using runnel_test::crew;
using runnel_test::eventually_blocked;
using runnel_test::panic_text;
using runnel_test::rounds;
using runnel_test::thread_group;

static_assert(runnel_test::is_pinned<weighted_semaphore>);

// Go's TestWeighted.
RUNNEL_TEST_BOTH(weighted_semaphore, hammer) {
  constexpr int n = 8;
  weighted_semaphore s(n);
  std::atomic<std::int64_t> held{0};
  crew goroutines;
  thread_group threads;
  auto hammer = [&](int weight) {
    for (int i = 0; i < rounds(300); ++i) {
      if (i % 3 == 0) {
        EXPECT_FALSE(s.acquire(background(), weight));
      } else {
        s.acquire(weight);
      }
      EXPECT_LE(held += weight, n);
      if (i % 4 == 0) runnel::yield();
      held -= weight;
      s.release(weight);
    }
  };
  for (int i = 0; i < n; ++i) goroutines.go([&, i] { hammer(i + 1); });
  for (int i = 0; i < 2; ++i) threads.start([&, i] { hammer(i + 2); });
}

RUNNEL_TEST_BOTH(weighted_semaphore, misuse_panics) {
  weighted_semaphore s(1);
  EXPECT_EQ(panic_text([&] { s.release(1); }), "semaphore: released more than held");
  EXPECT_EQ(panic_text([&] { s.release(-1); }), "semaphore: n < 0");
  EXPECT_EQ(panic_text([&] { s.acquire(-1); }), "semaphore: n < 0");
  EXPECT_EQ(panic_text([&] { (void)s.acquire(background(), -1); }), "semaphore: n < 0");
  EXPECT_EQ(panic_text([&] { (void)s.try_acquire(-1); }), "semaphore: n < 0");
  const auto ended = with_timeout(background(), 0s);
  EXPECT_EQ(panic_text([&] { (void)s.acquire(ended.ctx, -1); }), "semaphore: n < 0");
  EXPECT_EQ(panic_text([] { weighted_semaphore negative(-1); }), "semaphore: size < 0");
  s.acquire();
  EXPECT_EQ(panic_text([&] { s.release(2); }), "semaphore: released more than held");
  s.release();
}

// Go's TestWeightedZeroSize.
RUNNEL_TEST_BOTH(weighted_semaphore, without_permits) {
  weighted_semaphore s(0);
  EXPECT_TRUE(s.try_acquire(0));
  EXPECT_FALSE(s.try_acquire(1));
  EXPECT_FALSE(s.acquire(background(), 0));
  s.release(0);
  const auto limited = with_timeout(background(), 1ms);
  EXPECT_EQ(s.acquire(limited.ctx, 1), runnel::errc::deadline_exceeded);
}

// Go's TestWeightedTryAcquire.
RUNNEL_TEST_BOTH(weighted_semaphore, try_acquire) {
  weighted_semaphore s(2);
  std::vector<bool> tries;
  s.acquire(1);
  tries.push_back(s.try_acquire(1));
  tries.push_back(s.try_acquire(1));
  s.release(2);
  tries.push_back(s.try_acquire(1));
  s.acquire(1);
  tries.push_back(s.try_acquire(1));
  EXPECT_EQ(tries, (std::vector<bool>{true, false, true, false}));
  EXPECT_FALSE(s.try_acquire(3));
  EXPECT_TRUE(s.try_acquire(0));
}

// Go's TestWeightedAcquire.
RUNNEL_TEST_BOTH(weighted_semaphore, acquire_with_a_deadline) {
  weighted_semaphore s(2);
  auto try_for = [&](std::chrono::milliseconds limit, std::int64_t n) {
    auto [ctx, cancel] = with_timeout(background(), limit);
    const std::error_code e = s.acquire(ctx, n);
    if (e) {
      EXPECT_EQ(e, runnel::errc::deadline_exceeded);
    }
    return !e;
  };
  std::vector<bool> tries;
  s.acquire(1);
  tries.push_back(try_for(runnel_test::patience(), 1));
  tries.push_back(try_for(10ms, 1));
  s.release(2);
  tries.push_back(try_for(runnel_test::patience(), 1));
  s.acquire(1);
  tries.push_back(try_for(10ms, 1));
  EXPECT_EQ(tries, (std::vector<bool>{true, false, true, false}));
}

// Go's TestWeightedDoesntBlockIfTooBig: a request that can never be met stands in nobody's way.
RUNNEL_TEST_BOTH(weighted_semaphore, too_big_a_request_blocks_nobody) {
  constexpr int n = 2;
  weighted_semaphore s(n);
  auto [ctx, cancel] = with_cancel(background());
  crew goroutines;
  goroutines.go([&, c = ctx] { EXPECT_EQ(s.acquire(c, n + 1), runnel::errc::canceled); });
  for (int i = 0; i < 3; ++i) {
    goroutines.go([&] {
      for (int k = 0; k < 100; ++k) {
        s.acquire(1);
        runnel::yield();
        s.release(1);
      }
    });
  }
  for (int k = 0; k < 100; ++k) {
    s.acquire(1);
    s.release(1);
  }
  cancel();
  goroutines.wait();
}

// Go's TestLargeAcquireDoesntStarve.
RUNNEL_TEST_BOTH(weighted_semaphore, large_request_does_not_starve) {
  const int n = runnel::max_procs() + 1;
  weighted_semaphore s(n);
  std::atomic<bool> running{true};
  crew goroutines;
  runnel::chan<void> acquired;
  for (int i = n; i > 0; --i) {
    goroutines.go([&] {
      s.acquire(1);
      acquired.send();
      while (running) {
        runnel::sleep_for(100us);
        s.release(1);
        s.acquire(1);
      }
      s.release(1);
    });
    acquired.recv();
  }
  s.acquire(n);
  running = false;
  s.release(n);
}

// Go's TestAllocCancelDoesntStarve: a large request that gives up lets the small ones behind it go.
RUNNEL_TEST_BOTH(weighted_semaphore, giving_up_lets_the_next_go) {
  weighted_semaphore s(10);
  s.acquire(1);
  auto [ctx, cancel] = with_cancel(background());
  crew goroutines;
  goroutines.go([&, c = ctx] { EXPECT_EQ(s.acquire(c, 10), runnel::errc::canceled); });
  ASSERT_TRUE(eventually_blocked(1, "select"));
  EXPECT_FALSE(s.try_acquire(1));  // it is first
  goroutines.go([&] {
    s.acquire(5);
    s.release(5);
  });
  ASSERT_TRUE(eventually_blocked(1, "semacquire"));
  cancel();
  goroutines.wait();  // although one permit is still held
  s.release(1);
}

// Go's TestWeightedAcquireCanceled.
RUNNEL_TEST_BOTH(weighted_semaphore, ended_context_takes_nothing) {
  weighted_semaphore s(2);
  auto [ctx, cancel] = with_cancel(background());
  cancel();
  EXPECT_EQ(s.acquire(ctx, 1), runnel::errc::canceled);
  EXPECT_TRUE(s.try_acquire(2));
  EXPECT_EQ(s.acquire(ctx, 3), runnel::errc::canceled);
  s.release(2);
}

RUNNEL_TEST_BOTH(weighted_semaphore, cancellations_race_with_releases) {
  weighted_semaphore s(5);
  std::atomic<std::int64_t> held{0};
  {
    crew goroutines;
    for (int g = 0; g < 8; ++g) {
      goroutines.go([&, g] {
        std::minstd_rand random(static_cast<unsigned>(g + 1));
        for (int i = 0; i < rounds(200); ++i) {
          const auto n = static_cast<std::int64_t>(random() % 5 + 1);
          if (g % 2 == 0) {
            auto [ctx, cancel] =
                with_timeout(background(), std::chrono::microseconds(random() % 100));
            if (s.acquire(ctx, n)) continue;
          } else {
            s.acquire(n);
          }
          EXPECT_LE(held += n, 5);
          if (i % 4 == 0) runnel::sleep_for(10us);
          held -= n;
          s.release(n);
        }
      });
    }
  }
  EXPECT_TRUE(s.try_acquire(5));
  EXPECT_FALSE(s.try_acquire(1));
}

RUNNEL_TEST_BOTH(weighted_semaphore, destroyed_after_the_last_release_was_observed) {
  for (int i = 0; i < rounds(1000); ++i) {
    auto* s = new weighted_semaphore(2);
    s->acquire(2);
    runnel::go([s] { s->release(2); });
    s->acquire(2);
    delete s;
  }
}

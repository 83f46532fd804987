// How waits on synchronisation objects end with a context: what they waited for is neither taken
// nor lost, and those they kept out go on.
#include <atomic>
#include <mutex>
#include <runnel/context.hpp>
#include <runnel/select.hpp>
#include <shared_mutex>
#include <span>
#include <vector>

#include "sync_support.hpp"

using namespace std::chrono_literals;
using runnel::background;
using runnel::barrier;
using runnel::on_done;
using runnel::on_lock;
using runnel::on_lock_shared;
using runnel::on_timeout;
using runnel::on_wait;
using runnel::otherwise;
using runnel::select;
using runnel::select_ordered;
using runnel::shared_mutex;
using runnel::with_cancel;
using runnel_test::crew;
using runnel_test::eventually_blocked;
using runnel_test::let_others_run;
using runnel_test::rounds;
using runnel_test::thread_group;

namespace {

bool is_free(shared_mutex& m) {
  if (!m.try_lock()) return false;
  m.unlock();
  return true;
}

bool is_free_for_readers(shared_mutex& m) {
  if (!m.try_lock_shared()) return false;
  m.unlock_shared();
  return true;
}

// Makes many goroutines meet in it, so that it leaves the regime in which it begins.
void wear_in(shared_mutex& m) {
  crew users;
  for (int i = 0; i < 4; ++i) {
    users.go([&] {
      for (int k = 0; k < rounds(500); ++k) {
        if (k % 16 == 0) {
          const std::lock_guard hold(m);
        } else {
          const std::shared_lock hold(m);
        }
      }
    });
  }
}

}  // namespace

RUNNEL_TEST_BOTH(context_ends_shared_mutex, takes_what_is_free) {
  shared_mutex m;
  for (int worn = 0; worn < 2; ++worn) {
    bool ran = false;
    EXPECT_EQ(select(on_lock(m,
                             [&] {
                               ran = true;
                               EXPECT_FALSE(is_free_for_readers(m));
                               m.unlock();
                             }),
                     otherwise()),
              0U);
    EXPECT_TRUE(ran);
    EXPECT_EQ(select(on_lock_shared(m), otherwise()), 0U);
    EXPECT_EQ(select(on_lock_shared(m), otherwise()), 0U);
    EXPECT_FALSE(is_free(m));
    EXPECT_EQ(select(on_lock(m), otherwise()), 1U);
    m.unlock_shared();
    m.unlock_shared();
    EXPECT_TRUE(is_free(m));
    wear_in(m);
  }
}

// A look keeps nobody out.
RUNNEL_TEST_BOTH(context_ends_shared_mutex, looking_leaves_nothing_behind) {
  shared_mutex m;
  for (int worn = 0; worn < 2; ++worn) {
    m.lock_shared();
    EXPECT_EQ(select(on_lock(m), otherwise()), 1U);
    EXPECT_TRUE(is_free_for_readers(m));
    EXPECT_EQ(select(on_lock(m), on_timeout(1ms)), 1U);
    EXPECT_TRUE(is_free_for_readers(m));
    m.unlock_shared();
    m.lock();
    EXPECT_EQ(select(on_lock_shared(m), otherwise()), 1U);
    EXPECT_EQ(select(on_lock_shared(m), on_timeout(1ms)), 1U);
    m.unlock();
    EXPECT_TRUE(is_free(m));
    wear_in(m);
  }
}

RUNNEL_TEST_BOTH(context_ends_shared_mutex, ended_context) {
  shared_mutex m;
  auto [ctx, cancel] = with_cancel(background());
  cancel();
  m.lock();
  EXPECT_EQ(select(on_lock(m), on_done(ctx)), 1U);
  EXPECT_EQ(select(on_lock_shared(m), on_done(ctx)), 1U);
  m.unlock();
  EXPECT_EQ(select_ordered(on_done(ctx), on_lock(m)), 0U);
  EXPECT_TRUE(is_free(m));
}

RUNNEL_TEST_BOTH(context_ends_shared_mutex, cancelled_while_blocked) {
  shared_mutex m;
  m.lock();
  auto [ctx, cancel] = with_cancel(background());
  {
    crew waiters;
    waiters.go([&, ctx = ctx] { EXPECT_EQ(select(on_lock(m), on_done(ctx)), 1U); });
    waiters.go([&, ctx = ctx] { EXPECT_EQ(select(on_lock_shared(m), on_done(ctx)), 1U); });
    ASSERT_TRUE(eventually_blocked(2, "select"));
    cancel();
  }
  m.unlock();
  EXPECT_TRUE(is_free(m));
}

// A writer that gives up lets the readers go on that came after it, while another reader stays.
RUNNEL_TEST_BOTH(context_ends_shared_mutex, giving_up_lets_readers_on) {
  shared_mutex m;
  m.lock_shared();
  auto [ctx, cancel] = with_cancel(background());
  crew writer;
  writer.go([&, ctx = ctx] { EXPECT_EQ(select(on_lock(m), on_done(ctx)), 1U); });
  ASSERT_TRUE(eventually_blocked(1, "select"));
  EXPECT_FALSE(is_free_for_readers(m));
  {
    crew readers;
    readers.go([&] { const std::shared_lock hold(m); });
    readers.go([&] { EXPECT_EQ(select(on_lock_shared(m, [&] { m.unlock_shared(); })), 0U); });
    ASSERT_TRUE(eventually_blocked(1, "sync.RWMutex.RLock"));
    ASSERT_TRUE(eventually_blocked(2, "select"));
    cancel();
  }  // the first share is still held
  writer.wait();
  EXPECT_TRUE(is_free_for_readers(m));
  m.unlock_shared();
  EXPECT_TRUE(is_free(m));
}

// Select's writers queue with the others, and its readers go together.
RUNNEL_TEST(context_ends_shared_mutex, waits_in_turn) {
  shared_mutex m;
  std::vector<int> order;
  m.lock();
  crew writers;
  for (int i = 0; i < 6; ++i) {
    writers.go([&, i] {
      if (i % 2 == 0) {
        m.lock();
      } else {
        select(on_lock(m), on_timeout(1h));
      }
      order.push_back(i);
      m.unlock();
    });
    const auto n = static_cast<std::size_t>(i);
    ASSERT_TRUE(eventually_blocked(n / 2 + 1, i % 2 == 0 ? "sync.RWMutex.Lock" : "select"));
  }
  std::atomic<int> inside{0};
  crew readers;
  for (int i = 0; i < 4; ++i) {
    readers.go([&] {
      select(on_lock_shared(m), on_timeout(1h));
      EXPECT_TRUE(order.empty());
      ++inside;
      EXPECT_TRUE(runnel_test::eventually([&] { return inside == 4; }));
      m.unlock_shared();
    });
  }
  ASSERT_TRUE(eventually_blocked(3 + 4, "select"));
  m.unlock();
  readers.wait();
  writers.wait();
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4, 5}));
}

// Both cases on one lock: it is held in one way only.
RUNNEL_TEST_BOTH(context_ends_shared_mutex, both_ways_at_once) {
  shared_mutex m;
  for (int i = 0; i < rounds(50); ++i) {
    m.lock();
    crew waiter;
    waiter.go([&] {
      select(on_lock(m, [&] { m.unlock(); }), on_lock_shared(m, [&] { m.unlock_shared(); }));
    });
    ASSERT_TRUE(eventually_blocked(1, "select"));
    m.unlock();
    waiter.wait();
    EXPECT_TRUE(is_free(m));
  }
}

// Cases that own themselves.
RUNNEL_TEST_BOTH(context_ends_shared_mutex, in_a_span) {
  shared_mutex m;
  m.lock_shared();
  auto [ctx, cancel] = with_cancel(background());
  std::vector<runnel::select_case> cases;
  cases.push_back(on_lock(m, [&] { ADD_FAILURE(); }));
  cases.push_back(on_done(ctx));
  crew readers;
  readers.go([&cancel = cancel] {
    ASSERT_TRUE(eventually_blocked(1, "sync.RWMutex.RLock"));
    cancel();
  });
  readers.go([&] {
    while (is_free_for_readers(m)) runnel::yield();
    const std::shared_lock hold(m);
  });
  EXPECT_EQ(select(std::span(cases)), 1U);
  readers.wait();
  m.unlock_shared();
  EXPECT_TRUE(is_free(m));
}

// The lock becomes free while a select is about to queue for it.
RUNNEL_TEST_BOTH(context_ends_shared_mutex, freed_while_queueing) {
  shared_mutex m;
  std::atomic<int> turns{0};
  thread_group holders;
  for (int i = 0; i < 2; ++i) {
    holders.start([&, i] {
      for (int k = 0; k < rounds(20000); ++k) {
        if (i == 0 && k % 2 == 0) {
          const std::lock_guard hold(m);
        } else {
          const std::shared_lock hold(m);
        }
      }
    });
  }
  for (int k = 0; k < rounds(20000); ++k) {
    if (k % 2 == 0) {
      select(on_lock(m, [&] { m.unlock(); }), on_timeout(1h));
    } else {
      select(on_lock_shared(m, [&] { m.unlock_shared(); }), on_timeout(1h));
    }
    ++turns;
  }
  holders.join();
  EXPECT_EQ(turns, rounds(20000));
  EXPECT_TRUE(is_free(m));
}

// What is ordered by the lock alone; for the race detector, which must see nothing wrong here.
RUNNEL_TEST_BOTH(context_ends_shared_mutex, orders) {
  shared_mutex m;
  int value = 0;
  crew users;
  for (int i = 0; i < 4; ++i) {
    users.go([&, i] {
      int seen = 0;
      for (int k = 0; k < rounds(2000); ++k) {
        if ((k + i) % 3 == 0) {
          select(on_lock(m), on_timeout(1h));
          ++value;
          m.unlock();
        } else {
          select(on_lock_shared(m), on_timeout(1h));
          EXPECT_LE(seen, value);
          seen = value;
          if (k % 8 == 0) runnel::yield();
          m.unlock_shared();
        }
      }
    });
  }
}

// Ending against handing on: what is counted is what was locked, and nobody is left out.
RUNNEL_TEST_BOTH(context_ends_shared_mutex, stress) {
  shared_mutex m;
  int written = 0;  // guarded by m
  std::atomic<int> wrote{0};
  std::atomic<int> readers_inside{0};
  crew users;
  for (int i = 0; i < 4; ++i) {
    users.go([&, i] {
      for (int k = 0; k < rounds(5000); ++k) {
        auto [ctx, cancel] = with_cancel(background());
        crew canceller;
        if ((k + i) % 3 == 0) canceller.go([c = std::move(cancel)]() mutable { c(); });
        const auto write = [&] {
          EXPECT_EQ(readers_inside, 0);
          ++written;
          ++wrote;
          if (k % 8 == 0) runnel::yield();
          m.unlock();
        };
        const auto read = [&] {
          ++readers_inside;
          EXPECT_EQ(written, wrote);
          if (k % 8 == 1) runnel::yield();
          --readers_inside;
          m.unlock_shared();
        };
        switch ((k + i) % 5) {
          case 0:
          case 1:
            select(on_lock(m, write), on_done(ctx));
            break;
          case 2:
            select(on_lock_shared(m, read), on_done(ctx));
            break;
          case 3:
            select(on_lock(m, write), on_lock_shared(m, read), on_done(ctx), on_timeout(10us));
            break;
          default:
            if (m.try_lock_shared_for(20us)) read();
        }
      }
    });
  }
  for (int i = 0; i < 2; ++i) {
    users.go([&] {
      for (int k = 0; k < rounds(5000); ++k) {
        { const std::shared_lock hold(m); }
        const std::lock_guard hold(m);
        if (k % 4 == 0) runnel::yield();
      }
    });
  }
  users.wait();
  EXPECT_EQ(written, wrote);
  EXPECT_TRUE(is_free(m));
}

RUNNEL_TEST_BOTH(context_ends_barrier, phase_ends) {
  barrier<> b(2);
  auto mine = b.arrive();
  EXPECT_EQ(select(on_wait(b, mine), otherwise()), 1U);
  EXPECT_EQ(select(on_wait(b, mine), on_timeout(1ms)), 1U);
  crew other;
  other.go([&] { b.arrive_and_wait(); });
  bool ran = false;
  EXPECT_EQ(select(on_wait(b, mine, [&] { ran = true; }), on_timeout(1h)), 0U);
  EXPECT_TRUE(ran);
  EXPECT_EQ(select(on_wait(b, mine), otherwise()), 0U);
  b.wait(std::move(mine));
}

// The arrival still counts: the others go on.
RUNNEL_TEST_BOTH(context_ends_barrier, cancelled_while_blocked) {
  int completed = 0;
  barrier b(3, [&]() noexcept { ++completed; });
  auto [ctx, cancel] = with_cancel(background());
  crew others;
  others.go([&] { b.arrive_and_wait(); });
  {
    crew waiter;
    waiter.go([&, ctx = ctx] {
      const auto token = b.arrive();
      EXPECT_EQ(select(on_wait(b, token), on_done(ctx)), 1U);
    });
    ASSERT_TRUE(eventually_blocked(1, "select"));
    cancel();
  }
  ASSERT_TRUE(eventually_blocked(1, "barrier"));
  const auto token = b.arrive();
  EXPECT_EQ(select(on_wait(b, token), otherwise()), 0U);
  others.wait();
  EXPECT_EQ(completed, 1);
}

RUNNEL_TEST_BOTH(context_ends_barrier, stress) {
  constexpr int parties = 4;
  const int phases = rounds(1000);
  barrier<> b(parties);
  std::vector<int> at(parties);
  crew goroutines;
  for (int i = 0; i < parties; ++i) {
    goroutines.go([&, i] {
      for (int k = 0; k < phases; ++k) {
        at[static_cast<std::size_t>(i)] = k;
        auto token = b.arrive();
        auto [ctx, cancel] = with_cancel(background());
        crew canceller;
        if ((k + i) % 2 == 0) canceller.go([c = std::move(cancel)]() mutable { c(); });
        if (select(on_wait(b, token), on_done(ctx)) == 1) b.wait(std::move(token));
        for (const int other : at) EXPECT_EQ(other, k);
        b.arrive_and_wait();
      }
    });
  }
}

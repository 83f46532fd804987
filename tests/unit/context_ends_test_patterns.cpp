// How waits end with a context: errgroup's limit, worker_pool, singleflight.
#include <atomic>
#include <memory>
#include <runnel/context.hpp>
#include <runnel/errc.hpp>
#include <runnel/future.hpp>
#include <runnel/patterns.hpp>
#include <runnel/select.hpp>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "sync_support.hpp"

using namespace std::chrono_literals;
using runnel::background;
using runnel::errgroup;
using runnel::on_done;
using runnel::on_ready;
using runnel::select;
using runnel::singleflight;
using runnel::with_cancel;
using runnel::with_timeout;
using runnel::worker_pool;
using runnel_test::crew;
using runnel_test::eventually_blocked;
using runnel_test::panic_text;
using runnel_test::rounds;

namespace {

// The error with which a future's function was not even begun.
template <class R>
std::error_code refusal(runnel::future<R> f) {
  try {
    f.get();
  } catch (const std::system_error& e) {
    return e.code();
  }
  return {};
}

}  // namespace

RUNNEL_TEST_BOTH(context_ends_errgroup, without_a_limit) {
  errgroup group;
  std::atomic<int> ran{0};
  auto [ctx, cancel] = with_cancel(background());
  EXPECT_FALSE(group.go(ctx, [&] { ++ran; }));
  cancel();
  EXPECT_EQ(group.go(ctx, [&] { ++ran; }), runnel::errc::canceled);
  group.wait();
  EXPECT_EQ(ran, 1);
}

RUNNEL_TEST_BOTH(context_ends_errgroup, cancelled_at_the_limit) {
  errgroup group;
  group.set_limit(1);
  const runnel::chan<void> go_on;
  std::atomic<int> ran{0};
  group.go([&] { go_on.recv(); });
  auto [ctx, cancel] = with_cancel(background());
  {
    crew starter;
    starter.go(
        [&, ctx = ctx] { EXPECT_EQ(group.go(ctx, [&] { ++ran; }), runnel::errc::canceled); });
    ASSERT_TRUE(eventually_blocked(1, "select"));
    cancel();
  }
  auto [brief, cancel_brief] = with_timeout(background(), 1ms);
  EXPECT_EQ(group.go(brief, [&] { ++ran; }), runnel::errc::deadline_exceeded);
  EXPECT_FALSE(group.try_go([&] { ++ran; }));
  go_on.send();
  EXPECT_FALSE(group.go(background(), [&] { ++ran; }));  // its place was not lost
  group.wait();
  EXPECT_EQ(ran, 1);
}

// A failure ends the starting of more.
RUNNEL_TEST_BOTH(context_ends_errgroup, own_context) {
  errgroup group;
  group.set_limit(2);
  const runnel::chan<void> fail;
  group.go([&] {
    fail.recv();
    throw std::runtime_error("failed");
  });
  group.go([&] { select(on_done(group.ctx())); });
  crew helper;
  helper.go([&] {
    ASSERT_TRUE(eventually_blocked(2, "select"));
    fail.send();
  });
  int begun = 0;
  crew starter;
  starter.go([&] {
    while (!group.go(group.ctx(), [&] { select(on_done(group.ctx())); })) ++begun;
  });
  starter.wait();
  EXPECT_LE(begun, 2);  // places are given back by those that end, before or after this sees it
  EXPECT_THROW(group.wait(), std::runtime_error);
}

RUNNEL_TEST_BOTH(context_ends_errgroup, no_place_at_all) {
  errgroup group;
  group.set_limit(0);
  auto [ctx, cancel] = with_timeout(background(), 1ms);
  EXPECT_EQ(group.go(ctx, [] { ADD_FAILURE(); }), runnel::errc::deadline_exceeded);
}

RUNNEL_TEST_BOTH(context_ends_errgroup, stress) {
  constexpr int limit = 2;
  errgroup group;
  group.set_limit(limit);
  std::atomic<int> inside{0};
  std::atomic<int> ran{0};
  std::atomic<int> begun{0};
  crew starters;
  for (int i = 0; i < 4; ++i) {
    starters.go([&, i] {
      for (int k = 0; k < rounds(2000); ++k) {
        auto [ctx, cancel] = with_cancel(background());
        crew canceller;
        if ((k + i) % 2 == 0) canceller.go([c = std::move(cancel)]() mutable { c(); });
        if (!group.go(ctx, [&] {
              EXPECT_LE(++inside, limit);
              runnel::yield();
              --inside;
              ++ran;
            })) {
          ++begun;
        }
      }
    });
  }
  starters.wait();
  group.wait();
  EXPECT_EQ(ran, begun);
  for (int i = 0; i < limit; ++i) EXPECT_TRUE(group.try_go([] {}));
  group.wait();
}

RUNNEL_TEST_BOTH(context_ends_worker_pool, submit) {
  worker_pool pool(1, 1);
  auto [ctx, cancel] = with_cancel(background());
  EXPECT_EQ(pool.submit(ctx, [] { return 7; }).get(), 7);
  const runnel::chan<void> go_on;
  auto first = pool.submit(ctx, [&] { go_on.recv(); });
  ASSERT_TRUE(eventually_blocked(1, "chan receive"));
  auto queued = pool.submit(ctx, [] { return std::string("queued"); });
  const auto held = std::make_shared<int>(1);
  {
    crew submitter;
    submitter.go([&, ctx = ctx] {
      EXPECT_EQ(refusal(pool.submit(ctx, [held] { ADD_FAILURE(); })), runnel::errc::canceled);
    });
    ASSERT_TRUE(eventually_blocked(1, "select"));
    cancel();
  }
  EXPECT_EQ(held.use_count(), 1);
  go_on.send();
  EXPECT_EQ(queued.get(), "queued");  // what was in the queue stays there
  EXPECT_EQ(refusal(pool.submit(ctx, [] { ADD_FAILURE(); })), runnel::errc::canceled);
  pool.wait();  // what was not queued is not waited for
  pool.close();
  EXPECT_EQ(panic_text([&, ctx = ctx] { pool.submit(ctx, [] {}); }),
            "submit on closed worker_pool");
}

RUNNEL_TEST_BOTH(context_ends_worker_pool, closed_while_submitting) {
  worker_pool pool(1, 1);
  const runnel::chan<void> go_on;
  pool.submit([&] { go_on.recv(); });
  ASSERT_TRUE(eventually_blocked(1, "chan receive"));
  pool.submit([] {});
  auto [ctx, cancel] = with_cancel(background());
  crew submitter;
  submitter.go([&, ctx = ctx] {
    EXPECT_EQ(panic_text([&] { pool.submit(ctx, [] {}); }), "submit on closed worker_pool");
  });
  ASSERT_TRUE(eventually_blocked(1, "select"));
  pool.close();
  submitter.wait();
  go_on.send();
}

RUNNEL_TEST_BOTH(context_ends_worker_pool, wait) {
  worker_pool pool(2);
  EXPECT_FALSE(pool.wait(background()));
  const runnel::chan<void> go_on;
  pool.submit([&] { go_on.recv(); });
  for (int closed = 0; closed < 2; ++closed) {
    auto [ctx, cancel] = with_cancel(background());
    {
      crew waiter;
      waiter.go([&, ctx = ctx] { EXPECT_EQ(pool.wait(ctx), runnel::errc::canceled); });
      ASSERT_TRUE(eventually_blocked(1, "select"));
      cancel();
    }
    EXPECT_EQ(pool.wait(ctx), runnel::errc::canceled);
    if (closed == 0) pool.close();
  }
  {
    crew waiter;
    auto [ctx, cancel] = with_timeout(background(), 1h);
    waiter.go([&, ctx = ctx] { EXPECT_FALSE(pool.wait(ctx)); });
    ASSERT_TRUE(eventually_blocked(1, "select"));
    go_on.send();
    waiter.wait();
    EXPECT_FALSE(pool.wait(ctx));
  }
}

RUNNEL_TEST_BOTH(context_ends_worker_pool, stress) {
  worker_pool pool(2, 1);
  std::atomic<int> ran{0};
  std::atomic<int> results{0};
  crew submitters;
  for (int i = 0; i < 4; ++i) {
    submitters.go([&, i] {
      for (int k = 0; k < rounds(2000); ++k) {
        auto [ctx, cancel] = with_cancel(background());
        crew canceller;
        if ((k + i) % 2 == 0) canceller.go([c = std::move(cancel)]() mutable { c(); });
        auto f = pool.submit(ctx, [&] { ++ran; });
        if (k % 16 == 0) (void)pool.wait(ctx);
        if (!refusal(std::move(f))) ++results;
      }
    });
  }
  submitters.wait();
  pool.wait();
  EXPECT_EQ(ran, results);
}

RUNNEL_TEST_BOTH(context_ends_singleflight, do_chan) {
  singleflight<std::string, std::string> flight;
  std::atomic<int> calls{0};
  const runnel::chan<void> go_on;
  const auto work = [&] {
    ++calls;
    go_on.recv();
    return std::string("value");
  };
  auto first = flight.do_chan("key", work);
  auto second = flight.do_chan("key", work);
  crew joiner;
  joiner.go([&] { EXPECT_EQ(flight.do_once("key", work), "value"); });
  ASSERT_TRUE(eventually_blocked(1, "latch"));
  // Who waits may stop; the work goes on.
  auto [ctx, cancel] = with_timeout(background(), 1ms);
  EXPECT_EQ(select(on_ready(first), on_done(ctx)), 1U);
  go_on.send();
  joiner.wait();
  std::string got;
  select(on_ready(first, [&](const std::string& s) { got = s; }));
  EXPECT_EQ(got, "value");
  EXPECT_EQ(second.get(), "value");
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(flight.do_chan("key", [] { return "again"; }).get(), "again");  // not a cache
}

// A call that do_once began can be joined, too.
RUNNEL_TEST_BOTH(context_ends_singleflight, joins_do_once) {
  singleflight<int, void> flight;
  const runnel::chan<void> go_on;
  crew leader;
  leader.go([&] { flight.do_once(1, [&] { go_on.recv(); }); });
  ASSERT_TRUE(eventually_blocked(1, "chan receive"));
  auto joined = flight.do_chan(1, [] { ADD_FAILURE(); });
  flight.forget(1);
  bool own = false;
  flight.do_chan(1, [&] { return own = true; }).get();
  EXPECT_TRUE(own);
  EXPECT_EQ(joined.wait_for(0s), std::future_status::timeout);
  go_on.send();
  joined.get();
}

RUNNEL_TEST_BOTH(context_ends_singleflight, failures) {
  singleflight<int, int> flight;
  auto thrown = flight.do_chan(1, []() -> int { throw std::runtime_error("broken"); });
  EXPECT_THROW(thrown.get(), std::runtime_error);
  auto gone = flight.do_chan(1, []() -> int { runnel::goexit(); });
  EXPECT_EQ(panic_text([&] { gone.get(); }), "goexit called in a goroutine that was waited for");
  EXPECT_EQ(flight.do_once(1, [] { return 2; }), 2);
}

// The flight may go once the future is ready, and what f held has gone before.
RUNNEL_TEST_BOTH(context_ends_singleflight, gone_when_ready) {
  for (int i = 0; i < rounds(300); ++i) {
    const auto held = std::make_shared<int>(i);
    auto flight = std::make_unique<singleflight<int, int>>();
    auto f = flight->do_chan(1, [held] { return *held; });
    EXPECT_EQ(f.get(), i);
    flight.reset();
    EXPECT_EQ(held.use_count(), 1);
  }
}

RUNNEL_TEST_BOTH(context_ends_singleflight, stress) {
  singleflight<int, int> flight;
  std::atomic<int> working{0};
  crew callers;
  for (int i = 0; i < 4; ++i) {
    callers.go([&, i] {
      for (int k = 0; k < rounds(2000); ++k) {
        const auto work = [&] {
          EXPECT_EQ(++working, 1);
          runnel::yield();
          --working;
          return 5;
        };
        if ((k + i) % 3 == 0) {
          EXPECT_EQ(flight.do_once(0, work), 5);
          continue;
        }
        auto f = flight.do_chan(0, work);
        auto [ctx, cancel] = with_cancel(background());
        crew canceller;
        if (k % 2 == 0) canceller.go([c = std::move(cancel)]() mutable { c(); });
        select(on_ready(f, [](int v) { EXPECT_EQ(v, 5); }), on_done(ctx));
      }
    });
  }
  callers.wait();
  // Joins the last one that nobody waits for any more, if there is one.
  EXPECT_GE(flight.do_chan(0, [] { return 6; }).get(), 5);
}

// How waits end with a context: call_once, once_value, errgroup::wait.
#include <atomic>
#include <memory>
#include <runnel/context.hpp>
#include <runnel/errc.hpp>
#include <runnel/select.hpp>
#include <stdexcept>
#include <string>
#include <system_error>

#include "sync_support.hpp"

using namespace std::chrono_literals;
using runnel::background;
using runnel::call_once;
using runnel::chan;
using runnel::errc;
using runnel::errgroup;
using runnel::on_done;
using runnel::on_timeout;
using runnel::on_wait;
using runnel::once_flag;
using runnel::once_value;
using runnel::select;
using runnel::with_cancel;
using runnel::with_timeout;
using runnel_test::crew;
using runnel_test::eventually_blocked;
using runnel_test::rounds;
using runnel_test::thread_group;

namespace {

// Is in its function until told to go on, and fails then.
struct failing_call {
  void operator()() const {
    EXPECT_THROW(call_once(*flag,
                           [this] {
                             inside.send();
                             go_on.recv();
                             throw std::runtime_error("x");
                           }),
                 std::runtime_error);
  }
  once_flag* flag;
  chan<void> inside, go_on;
};

}  // namespace

RUNNEL_TEST_BOTH(context_ends_once, calls_once) {
  once_flag flag;
  int calls = 0;
  auto [ctx, cancel] = with_cancel(background());
  EXPECT_THROW(static_cast<void>(call_once(ctx, flag, [] { throw std::runtime_error("x"); })),
               std::runtime_error);
  EXPECT_FALSE(call_once(
      ctx, flag, [&](int n) { calls += n; }, 1));
  EXPECT_FALSE(call_once(
      ctx, flag, [&](int n) { calls += n; }, 1));
  EXPECT_EQ(calls, 1);
  cancel();
  EXPECT_FALSE(call_once(ctx, flag, [&] { ++calls; }));  // has been done
  once_flag fresh;
  EXPECT_EQ(call_once(ctx, fresh, [&] { ++calls; }), errc::canceled);
  EXPECT_EQ(calls, 1);
  call_once(fresh, [&] { ++calls; });
  EXPECT_EQ(calls, 2);
}

// While one is in the function the wait of another ends with its context, and nobody's turn is
// lost.
RUNNEL_TEST_BOTH(context_ends_once, waiters_give_up) {
  once_flag flag;
  const failing_call first{&flag, {}, {}};
  std::atomic<int> calls{0}, waited{0};
  crew others;
  others.go(first);
  first.inside.recv();
  auto [ctx, cancel] = with_cancel(background());
  auto [alive, cancel_alive] = with_cancel(background());
  for (int i = 0; i < 3; ++i) {
    others.go([&, ctx = ctx] {
      EXPECT_EQ(call_once(ctx, flag, [&] { ++calls; }), errc::canceled);
      ++waited;
    });
  }
  for (int i = 0; i < 2; ++i) {
    others.go([&, alive = alive] { EXPECT_FALSE(call_once(alive, flag, [&] { ++calls; })); });
  }
  ASSERT_TRUE(eventually_blocked(5, "select"));
  auto [brief, cancel_brief] = with_timeout(background(), 1ms);
  EXPECT_EQ(call_once(brief, flag, [&] { ++calls; }), errc::deadline_exceeded);
  cancel();
  EXPECT_TRUE(runnel_test::eventually([&] { return waited == 3; }));
  EXPECT_EQ(calls, 0);
  first.go_on.send();  // fails: the first of those who stayed takes over
  others.wait();
  EXPECT_EQ(calls, 1);
  call_once(flag, [&] { ++calls; });
  EXPECT_EQ(calls, 1);
}

// All who wait have left when the function fails: the next to come calls it.
RUNNEL_TEST_BOTH(context_ends_once, nobody_is_left_to_take_over) {
  once_flag flag;
  const failing_call first{&flag, {}, {}};
  crew others;
  others.go(first);
  first.inside.recv();
  for (int i = 0; i < 3; ++i) {
    auto [brief, cancel] = with_timeout(background(), 1us);
    EXPECT_EQ(call_once(brief, flag, [] {}), errc::deadline_exceeded);
  }
  first.go_on.send();
  others.wait();
  int calls = 0;
  EXPECT_FALSE(call_once(background(), flag, [&] { ++calls; }));
  EXPECT_EQ(calls, 1);
}

// The end of contexts, failures and take-overs at the same time: it is done once, by somebody.
RUNNEL_TEST_BOTH(context_ends_once, under_concurrency) {
  for (int round = 0; round < rounds(300); ++round) {
    once_flag flag;
    std::atomic<int> calls{0};
    int plain = 0;  // whoever returns without an error has seen it
    auto [ctx, cancel] = with_cancel(background());
    crew goroutines;
    thread_group threads;
    std::atomic<int> failures{3};
    const auto work = [&] {
      if (failures.fetch_sub(1) > 0) {
        runnel::yield();
        throw std::runtime_error("x");
      }
      ++calls;
      plain = 1;
    };
    const auto wait_within = [&, ctx = ctx] {
      try {
        const bool seen = !call_once(ctx, flag, work);
        EXPECT_TRUE(!seen || plain == 1);
      } catch (const std::runtime_error&) {
      }
    };
    for (int i = 0; i < 6; ++i) goroutines.go(wait_within);
    if (round % 16 == 0) threads.start(wait_within);
    goroutines.go([&, &cancel = cancel] {
      if (round % 2 == 0) runnel::yield();
      cancel();
    });
    goroutines.wait();
    threads.join();
    while (calls == 0) {
      try {
        call_once(flag, work);
      } catch (const std::runtime_error&) {
      }
    }
    EXPECT_EQ(calls, 1);
  }
}

RUNNEL_TEST_BOTH(context_ends_once, values) {
  const chan<void> inside, go_on;
  auto value = once_value([&] {
    inside.send();
    go_on.recv();
    return std::string("x");
  });
  crew other;
  other.go([&] { EXPECT_EQ(value(), "x"); });
  inside.recv();
  auto [brief, cancel] = with_timeout(background(), 1ms);
  EXPECT_EQ(value.wait(brief), errc::deadline_exceeded);
  go_on.send();
  EXPECT_FALSE(value.wait(background()));
  EXPECT_EQ(value(), "x");
  EXPECT_FALSE(value.wait(brief));
  auto fails = once_value([]() -> int { throw std::runtime_error("y"); });
  EXPECT_EQ(fails.wait(brief), errc::deadline_exceeded);
  EXPECT_FALSE(fails.wait(background()));  // the exception is what the calls get
  EXPECT_THROW(fails(), std::runtime_error);
}

RUNNEL_TEST_BOTH(context_ends_errgroup_wait, gives_up) {
  errgroup group;
  const chan<void> go_on;
  group.go([&] { go_on.recv(); });
  auto [ctx, cancel] = with_cancel(background());
  crew waiter;
  waiter.go([&, ctx = ctx] { EXPECT_EQ(group.wait(ctx), errc::canceled); });
  ASSERT_TRUE(eventually_blocked(1, "select"));
  cancel();
  waiter.wait();
  EXPECT_FALSE(group.ctx().err());  // the functions go on
  EXPECT_EQ(select(on_wait(group), on_timeout(1ms)), 1U);
  go_on.send();
  EXPECT_EQ(select(on_wait(group), on_done(background())), 0U);
  EXPECT_EQ(group.wait(ctx), errc::canceled);  // had ended already
  EXPECT_FALSE(group.wait(background()));
  EXPECT_EQ(group.ctx().err(), errc::canceled);
}

RUNNEL_TEST_BOTH(context_ends_errgroup_wait, rethrows) {
  errgroup group;
  group.go([] { throw std::runtime_error("x"); });
  bool ran = false;
  EXPECT_EQ(select(on_wait(group, [&] { ran = true; }), on_done(background())), 0U);
  EXPECT_TRUE(ran);
  EXPECT_THROW(static_cast<void>(group.wait(background())), std::runtime_error);
  EXPECT_THROW(group.wait(), std::runtime_error);
}

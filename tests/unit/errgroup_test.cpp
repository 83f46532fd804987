// errgroup: the behaviour of x/sync's errgroup_test.go, with exceptions for errors.
#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>

#include "sync_support.hpp"

using namespace std::chrono_literals;
using runnel::background;
using runnel::errgroup;
using runnel_test::eventually;
using runnel_test::eventually_blocked;
using runnel_test::panic_text;
using runnel_test::rounds;

static_assert(runnel_test::is_pinned<errgroup>);

namespace {

template <class F>
std::string error_text(F&& f) {
  try {
    f();
  } catch (const std::exception& e) {
    return e.what();
  }
  return "";
}

}  // namespace

// Go's TestZeroGroup: the first failure is what wait reports.
RUNNEL_TEST_BOTH(errgroup, first_failure) {
  for (int fail = -1; fail < 4; ++fail) {
    errgroup g;
    for (int i = 0; i < 4; ++i) {
      g.go([&, i] {
        if (i == fail) throw std::runtime_error("failed " + std::to_string(i));
      });
    }
    const std::string text = error_text([&] { g.wait(); });
    EXPECT_EQ(text, fail < 0 ? "" : "failed " + std::to_string(fail));
    EXPECT_EQ(error_text([&] { g.wait(); }), text);  // again
  }
}

// Go's TestWithContext.
RUNNEL_TEST_BOTH(errgroup, failure_ends_the_context) {
  auto [parent, cancel_parent] = runnel::with_cancel(background());
  errgroup g(parent);
  EXPECT_FALSE(g.ctx().err());
  std::atomic<int> stopped{0};
  for (int i = 0; i < 3; ++i) {
    g.go([&] {
      g.ctx().done().recv();
      ++stopped;
    });
  }
  g.go([] { throw std::runtime_error("first"); });
  EXPECT_EQ(error_text([&] { g.wait(); }), "first");
  EXPECT_EQ(stopped, 3);
  EXPECT_EQ(g.ctx().err(), runnel::errc::canceled);
  EXPECT_EQ(error_text([&] { std::rethrow_exception(g.ctx().cause()); }), "first");
  EXPECT_FALSE(parent.err());
}

RUNNEL_TEST_BOTH(errgroup, parent_ends_the_context) {
  auto [parent, cancel_parent] = runnel::with_cancel(background());
  errgroup g(parent);
  g.go([&] { g.ctx().done().recv(); });
  cancel_parent();
  g.wait();
}

RUNNEL_TEST_BOTH(errgroup, wait_ends_the_context) {
  errgroup g;
  const runnel::context ctx = g.ctx();
  g.go([] {});
  g.wait();
  EXPECT_EQ(ctx.err(), runnel::errc::canceled);
}

RUNNEL_TEST_BOTH(errgroup, error_codes) {
  errgroup g;
  g.go([] { return std::error_code(); });
  g.go([&] {
    g.ctx().done().recv();
    return std::make_error_code(std::errc::io_error);  // not the first
  });
  g.go([]() -> std::error_code { return runnel::errc::deadline_exceeded; });
  try {
    g.wait();
    ADD_FAILURE() << "no exception";
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code(), runnel::errc::deadline_exceeded);
  }
}

// Go's TestTryGo.
RUNNEL_TEST_BOTH(errgroup, try_go) {
  errgroup g;
  constexpr int n = 42;
  g.set_limit(n);
  runnel::chan<void> go_on;
  std::atomic<int> ran{0};
  auto f = [&] {
    go_on.recv();
    ++ran;
  };
  for (int i = 0; i < n; ++i) EXPECT_TRUE(g.try_go(f));
  EXPECT_FALSE(g.try_go(f));
  for (int i = 0; i < n; ++i) go_on.send();
  g.wait();
  EXPECT_TRUE(g.try_go([&] { ++ran; }));
  g.wait();
  EXPECT_EQ(ran, n + 1);
  // Without a limit.
  g.set_limit(-1);
  for (int i = 0; i < n; ++i) EXPECT_TRUE(g.try_go([&] { ++ran; }));
  g.wait();
  g.set_limit(0);
  EXPECT_FALSE(g.try_go([&] { ++ran; }));
  EXPECT_EQ(ran, 2 * n + 1);
}

// Go's TestGoLimit.
RUNNEL_TEST_BOTH(errgroup, limit) {
  constexpr int limit = 10;
  errgroup g;
  g.set_limit(limit);
  std::atomic<int> active{0}, ran{0};
  for (int i = 0; i < rounds(1024); ++i) {
    g.go([&] {
      EXPECT_LE(++active, limit);
      runnel::yield();
      --active;
      ++ran;
    });
  }
  g.wait();
  EXPECT_EQ(ran, rounds(1024));
}

RUNNEL_TEST_BOTH(errgroup, go_waits_for_a_place) {
  errgroup g;
  g.set_limit(1);
  runnel::chan<void> go_on;
  g.go([&] { go_on.recv(); });
  std::atomic<bool> second{false};
  runnel_test::crew other;
  other.go([&] { g.go([&] { second = true; }); });
  ASSERT_TRUE(eventually_blocked(1, "chan send"));
  EXPECT_FALSE(second);
  go_on.send();
  other.wait();
  g.wait();
  EXPECT_TRUE(second);
}

RUNNEL_TEST_BOTH(errgroup, limit_cannot_change_while_active) {
  errgroup g;
  g.set_limit(3);
  runnel::chan<void> go_on;
  for (int i = 0; i < 2; ++i) g.go([&] { go_on.recv(); });
  EXPECT_EQ(panic_text([&] { g.set_limit(5); }),
            "errgroup: modify limit while 2 goroutines in the group are still active");
  go_on.send();
  go_on.send();
  g.wait();
  g.set_limit(5);
}

// Go's TestCancelCause.
RUNNEL_TEST_BOTH(errgroup, cause_is_the_exception) {
  errgroup g;
  const runnel::context ctx = g.ctx();
  g.go([] { throw 42; });
  EXPECT_THROW(g.wait(), int);
  EXPECT_THROW(std::rethrow_exception(ctx.cause()), int);
}

RUNNEL_TEST_BOTH(errgroup, goexit_is_no_failure) {
  errgroup g;
  g.set_limit(1);
  g.go([] { runnel::goexit(); });
  g.go([] {});  // the place was given back
  g.wait();
}

RUNNEL_TEST_BOTH(errgroup, destructor_cancels_and_waits) {
  std::atomic<int> ended{0};
  {
    errgroup g;
    for (int i = 0; i < 4; ++i) {
      g.go([&ended, ctx = g.ctx()] {
        ctx.done().recv();
        runnel::sleep_for(1ms);
        ++ended;
      });
    }
  }
  EXPECT_EQ(ended, 4);
  {
    errgroup g;
    g.go([] { throw std::runtime_error("nobody asks"); });
  }
}

RUNNEL_TEST_BOTH(errgroup, destroyed_right_after_wait) {
  for (int i = 0; i < rounds(500); ++i) {
    auto g = std::make_unique<errgroup>();
    if (i % 2 == 0) g->set_limit(2);
    std::atomic<int> ran{0};
    for (int k = 0; k < 4; ++k) g->go([&ran, p = std::make_unique<int>(k)] { ran += *p; });
    g->wait();
    EXPECT_EQ(ran, 6);
    g.reset();
  }
}

RUNNEL_TEST_BOTH(errgroup, functions_may_start_more) {
  errgroup g;
  std::atomic<int> ran{0};
  g.go([&] {
    ++ran;
    for (int i = 0; i < 3; ++i) {
      g.go([&] { ++ran; });
    }
  });
  g.wait();
  EXPECT_EQ(ran, 4);
}

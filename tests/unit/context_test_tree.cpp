// Contexts in numbers: wide and deep trees, endings that meet, functions that run at the end.
#include <malloc.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <random>
#include <runnel/chan.hpp>
#include <runnel/context.hpp>
#include <runnel/go.hpp>
#include <runnel/runtime.hpp>
#include <runnel/select.hpp>
#include <runnel/time.hpp>
#include <stdexcept>
#include <thread>
#include <vector>

#include "support/crew.hpp"
#include "support/test.hpp"

using namespace std::chrono_literals;
using runnel::background;
using runnel::cancelable;
using runnel::chan;
using runnel::context;
using runnel::errc;
using runnel::with_cancel;
using runnel::with_timeout;
using runnel::with_value;
using runnel_test::crew;
using runnel_test::eventually;
using runnel_test::rounds;

namespace {

const runnel::context_key<int> number("number");

std::size_t armed() { return runnel::stats().timers; }

}  // namespace

// TestAfterFuncCalledAfterCancel, -AfterTimeout, -Immediately.
RUNNEL_TEST_BOTH(context_after_func, runs_when_the_context_ends) {
  {
    auto [ctx, cancel] = with_cancel(background());
    std::atomic<int> ran{0};
    const auto id = runnel::this_goroutine::id();
    auto stop = runnel::after_func(ctx, [&] {
      EXPECT_NE(runnel::this_goroutine::id(), id);
      ++ran;
    });
    runnel_test::let_others_run();
    EXPECT_EQ(ran, 0);
    cancel();
    EXPECT_TRUE(eventually([&] { return ran == 1; }));
    EXPECT_FALSE(stop());
  }
  {
    auto [ctx, cancel] = with_timeout(background(), 2ms);
    const chan<void> ran;
    runnel::after_func(ctx, [=] { ran.close(); });  // dropping the handle does not stop it
    EXPECT_FALSE(ran.recv());
    const chan<void> again;
    auto stop = runnel::after_func(with_value(ctx, number, 1), [=] { again.close(); });
    EXPECT_FALSE(again.recv());
    EXPECT_FALSE(stop());
  }
}

// TestAfterFuncNotCalledAfterStop.
RUNNEL_TEST_BOTH(context_after_func, can_be_stopped) {
  const auto held = std::make_shared<int>(0);
  std::atomic<int> ran{0};
  auto [ctx, cancel] = with_cancel(background());
  {
    auto stop = runnel::after_func(ctx, [&, held] { ++ran; });
    auto copy = stop;
    EXPECT_TRUE(copy());
    EXPECT_FALSE(stop());
    EXPECT_EQ(held.use_count(), 2);
  }
  EXPECT_EQ(held.use_count(), 1);
  cancel();
  runnel::sleep_for(2ms);
  EXPECT_EQ(ran, 0);

  auto never = runnel::after_func(background(), [&] { ++ran; });
  EXPECT_TRUE(never());
  EXPECT_FALSE(never());
  EXPECT_FALSE(runnel::stop_func()());
}

// TestAfterFuncCalledAsynchronously: cancel does not wait for it.
RUNNEL_TEST_BOTH(context_after_func, cancel_does_not_wait_for_it) {
  auto [ctx, cancel] = with_cancel(background());
  const chan<void> go_on, ended;
  runnel::after_func(ctx, [=] {
    go_on.recv();
    ended.close();
  });
  cancel();
  go_on.send();
  EXPECT_FALSE(ended.recv());
}

RUNNEL_TEST_BOTH(context_after_func, stop_against_the_end) {
  for (int i = 0; i < rounds(300); ++i) {
    auto [ctx, cancel] = with_cancel(background());
    std::atomic<int> ran{0}, stopped{0};
    auto stop = runnel::after_func(ctx, [&] { ++ran; });
    {
      crew two;
      two.go([&, &cancel = cancel] { cancel(); });  // Clang before 16 asks for it
      two.go([&] { stopped += stop() ? 1 : 0; });
    }
    EXPECT_TRUE(eventually([&] { return ran + stopped == 1; }));
  }
}

// The promise: every descendant has ended when cancel returns, whoever else is cancelling.
RUNNEL_TEST_BOTH(context_tree, all_have_ended_when_cancel_returns) {
  for (int i = 0; i < rounds(100); ++i) {
    auto root = with_cancel(background());
    std::vector<cancelable> tree;
    tree.push_back(with_cancel(root.ctx));
    std::mt19937 random(static_cast<unsigned>(i));
    for (int n = 0; n < 60; ++n) {
      const context& parent = tree[random() % tree.size()].ctx;
      tree.push_back(n % 3 == 0 ? with_timeout(parent, 1h) : with_cancel(parent));
    }
    for (std::size_t n = 0; n < tree.size(); n += 2) tree[n].ctx.done();
    crew all;
    for (int g = 0; g < 3; ++g) {
      all.go([&] {
        root.cancel();  // one of them does it; none returns before it is done
        for (const cancelable& c : tree) {
          EXPECT_EQ(c.ctx.done().try_recv(), runnel::chan_status::closed);
          EXPECT_EQ(c.ctx.err(), errc::canceled);
        }
      });
    }
    all.go([&, at = random() % tree.size()] { tree[at].cancel(); });
  }
}

RUNNEL_TEST_BOTH(context_tree, a_wide_tree) {
  const std::size_t before = armed();
  const std::size_t n = static_cast<std::size_t>(rounds(100'000));
  auto root = with_cancel(background());
  std::vector<cancelable> children;
  children.reserve(n);
  for (std::size_t i = 0; i < n; ++i) {
    children.push_back(i % 2 == 0 ? with_cancel(root.ctx) : with_timeout(root.ctx, 1h));
  }
  EXPECT_GE(armed(), before + n / 2);
  root.cancel();
  for (const cancelable& c : children) ASSERT_EQ(c.ctx.err(), errc::canceled);
  EXPECT_EQ(armed(), before);
}

// The child that is ended last has ended when a cancel returns that began while another was at it.
RUNNEL_TEST_BOTH(context_tree, a_second_cancel_waits_for_the_first) {
  for (int round = 0; round < 3; ++round) {
    auto root = with_cancel(background());
    std::vector<cancelable> children;
    for (int i = 0; i < rounds(20'000); ++i) children.push_back(with_cancel(root.ctx));
    std::thread second([&] {
      while (!root.ctx.err()) {
      }
      root.cancel();
      EXPECT_EQ(children.front().ctx.err(), errc::canceled);
    });
    root.cancel();
    second.join();
  }
}

RUNNEL_TEST_BOTH(context_tree, a_deep_tree) {
  // Neither ending nor freeing may recurse: a goroutine's stack would not do for this depth.
  const int n = rounds(100'000);
  auto root = with_cancel(background());
  context leaf = root.ctx;
  std::vector<runnel::cancel_func> cancels;
  for (int i = 0; i < n; ++i) {
    cancelable c = with_cancel(with_value(leaf, number, i));
    leaf = c.ctx;
    cancels.push_back(std::move(c.cancel));
  }
  EXPECT_EQ(*leaf.value(number), n - 1);
  EXPECT_FALSE(leaf.err());
  root.cancel();
  EXPECT_EQ(leaf.err(), errc::canceled);
  cancels.clear();
  leaf = background();  // frees the whole chain
}

// TestSimultaneousCancels, TestInterlockedCancels, TestWithCancelSimultaneouslyCanceledParent.
RUNNEL_TEST_BOTH(context_tree, endings_that_meet) {
  for (int i = 0; i < rounds(300); ++i) {
    auto parent = with_cancel(background());
    auto child = with_timeout(parent.ctx, std::chrono::microseconds(i % 60));
    crew all;
    all.go([&] { parent.cancel(); });
    all.go([&] { child.cancel(); });
    all.go([&] {
      auto late = with_cancel(parent.ctx);
      auto below = with_timeout(late.ctx, 1h);
      EXPECT_FALSE(below.ctx.done().recv());
      EXPECT_TRUE(below.ctx.err());
    });
    all.go([&] {
      EXPECT_FALSE(child.ctx.done().recv());
      EXPECT_TRUE(child.ctx.err());
    });
  }
}

// TestContextErrDoneRace, TestCauseRace: the error, the cause and the channel are seen together.
RUNNEL_TEST_BOTH(context_tree, error_cause_and_channel_go_together) {
  for (int i = 0; i < rounds(300); ++i) {
    auto c = with_cancel(background());
    crew all;
    if (i % 2 == 0) c.ctx.done();
    all.go([&] { c.cancel(std::make_exception_ptr(std::runtime_error("why"))); });
    all.go([&] {
      while (!c.ctx.err()) runnel::yield();
      EXPECT_EQ(c.ctx.done().try_recv(), runnel::chan_status::closed);
      EXPECT_THROW(std::rethrow_exception(c.ctx.cause()), std::runtime_error);
    });
    all.go([&] {
      EXPECT_FALSE(c.ctx.done().recv());
      EXPECT_EQ(c.ctx.err(), errc::canceled);
      EXPECT_NE(c.ctx.cause(), nullptr);
    });
  }
}

// TestLayersCancel, TestLayersTimeout.
RUNNEL_TEST_BOTH(context_tree, layers_end_by_cancel_or_by_deadline) {
  for (const bool by_deadline : {false, true}) {
    std::mt19937 random(by_deadline ? 3 : 4);
    auto root = by_deadline ? with_timeout(background(), 5ms) : with_cancel(background());
    context at = root.ctx;
    std::vector<runnel::cancel_func> cancels;
    for (int i = 0; i < 20; ++i) {
      switch (random() % 3) {
        case 0:
          at = with_value(at, number, i);
          break;
        case 1: {
          auto c = with_cancel(at);
          at = c.ctx;
          cancels.push_back(std::move(c.cancel));
          break;
        }
        default: {
          auto c = with_timeout(at, 1h);
          at = c.ctx;
          cancels.push_back(std::move(c.cancel));
        }
      }
    }
    if (!by_deadline) root.cancel();
    EXPECT_EQ(runnel::select(runnel::on_done(at), runnel::on_timeout(1h)), 0U);
    EXPECT_EQ(at.err(), by_deadline ? errc::deadline_exceeded : errc::canceled);
  }
}

// TestCancelRemoves: what has ended leaves nothing behind in what goes on.
RUNNEL_TEST_BOTH(context_tree, ended_children_leave_nothing) {
  const std::size_t timers = armed();
  auto root = with_cancel(background());
  const auto cycle = [&] {
    auto child = with_timeout(root.ctx, 1h);
    auto below = with_cancel(with_value(child.ctx, number, 1));
    auto stop = runnel::after_func(below.ctx, [] {});
    stop();
    below.ctx.done();
  };
  for (int i = 0; i < 1000; ++i) cycle();
#if !RUNNEL_TEST_TSAN && !RUNNEL_TEST_ASAN
  const std::size_t before = mallinfo2().uordblks;
#endif
  for (int i = 0; i < rounds(20'000); ++i) cycle();
#if !RUNNEL_TEST_TSAN && !RUNNEL_TEST_ASAN
  // 20,000 rounds of half a kilobyte each would be 10 MB; other threads' caches come and go.
  EXPECT_LT(mallinfo2().uordblks, before + 1'000'000);
#endif
  EXPECT_EQ(armed(), timers);
  EXPECT_FALSE(root.ctx.err());
}

RUNNEL_TEST_BOTH(context_tree, handles_dropped_while_the_tree_ends) {
  for (int i = 0; i < rounds(200); ++i) {
    auto root = with_cancel(background());
    crew all;
    for (int g = 0; g < 4; ++g) {
      all.go([&, g] {
        for (int k = 0; k < 10; ++k) {
          auto a = with_timeout(root.ctx, std::chrono::microseconds(5 * (k + g)));
          auto b = with_cancel(with_value(a.ctx, number, k));
          auto stop = runnel::after_func(b.ctx, [] {});
          if (k % 2 == 0) runnel::yield();
        }
      });
    }
    all.go([&] { root.cancel(); });
  }
}

// A value's destructor may use the library, even if the deadline's timer held the last reference.
RUNNEL_TEST_BOTH(context_tree, values_are_destroyed_where_one_may_park) {
  struct parks {
    explicit parks(std::atomic<int>& n) : count(&n) {}
    parks(parks&& other) noexcept : count(std::exchange(other.count, nullptr)) {}
    parks& operator=(parks&&) = delete;
    ~parks() {
      if (count == nullptr) return;
      runnel::sleep_for(1us);
      ++*count;
    }
    std::atomic<int>* count;
  };
  static const runnel::context_key<parks> key("parks");
  std::atomic<int> destroyed{0};
  const int n = rounds(300);
  for (int i = 0; i < n; ++i) {
    auto c = with_timeout(with_value(background(), key, parks(destroyed)),
                          std::chrono::microseconds(i % 40));
    runnel::sleep_for(std::chrono::microseconds(i % 40));
  }
  EXPECT_TRUE(eventually([&] { return destroyed == n; }));
}

RUNNEL_TEST_BOTH(context_tree, many_deadlines_at_once) {
  const std::size_t n = static_cast<std::size_t>(rounds(5000));
  std::vector<cancelable> all;
  all.reserve(n);
  for (std::size_t i = 0; i < n; ++i) all.push_back(with_timeout(background(), 5ms));
  for (const cancelable& c : all) {
    runnel::select(runnel::on_done(c.ctx));
    ASSERT_EQ(c.ctx.err(), errc::deadline_exceeded);
  }
}

RUNNEL_TEST_BOTH(context_tree, from_plain_threads) {
  auto root = with_cancel(background());
  std::vector<std::thread> threads;
  std::atomic<int> ended{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      auto mine = with_timeout(root.ctx, 1h);
      mine.ctx.done().recv();
      EXPECT_EQ(runnel::select(runnel::on_done(mine.ctx), runnel::on_timeout(1h)), 0U);
      ++ended;
    });
  }
  runnel::sleep_for(2ms);
  root.cancel();
  runnel::blocking([&] {
    for (auto& t : threads) t.join();
  });
  EXPECT_EQ(ended, 4);
}

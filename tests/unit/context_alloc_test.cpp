// What contexts cost in allocations, and Go's two examples of AfterFunc.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <runnel/chan.hpp>
#include <runnel/context.hpp>
#include <runnel/select.hpp>
#include <stdexcept>
#include <system_error>

#include "support/alloc_count.hpp"
#include "sync_support.hpp"

using namespace std::chrono_literals;
using runnel::background;
using runnel::cancelable;
using runnel::context;
using runnel::errc;
using runnel::with_cancel;
using runnel::with_timeout;
using runnel_test::crew;

namespace {

const runnel::context_key<int> number{"number"};

struct guarded {
  runnel::mutex m;
  runnel::condition_variable cv;
  bool condition = false;
};

// Waits for the condition until ctx ends: what Go's example makes of AfterFunc. The function holds
// what it uses, since nobody waits for it.
std::error_code wait_on(const context& ctx, const std::shared_ptr<guarded>& g) {
  std::unique_lock lock(g->m);
  // The lock is taken so that the end of ctx cannot be told between the look at it and the wait.
  const auto stop = runnel::after_func(ctx, [g] {
    const std::lock_guard hold(g->m);
    g->cv.notify_all();
  });
  while (!g->condition) {
    if (const std::error_code ended = ctx.err()) return ended;
    g->cv.wait(lock);
  }
  stop();
  return {};
}

// A context with the values of `values` that ends with either of the two.
cancelable merge(const context& values, const context& other) {
  cancelable merged = with_cancel(values);
  auto shared = std::make_shared<runnel::cancel_func>(std::move(merged.cancel));
  auto stop = runnel::after_func(other, [shared, other] { (*shared)(other.cause()); });
  cancelable result = with_cancel(merged.ctx);
  runnel::after_func(result.ctx, [stop, shared] { stop(); });
  return result;
}

}  // namespace

#if !RUNNEL_TEST_TSAN && !RUNNEL_TEST_ASAN  // their allocators are not ours to count

// Go's TestAllocs.
RUNNEL_TEST_BOTH(context_alloc, few_and_fixed) {
  const auto count = [](auto&& work) {
    // The least of many: what others do meanwhile, such as growing a pool, is not the work's.
    std::uint64_t least = ~std::uint64_t{0};
    for (int i = 0; i < 20; ++i) {
      const auto before = runnel_test::allocations();
      work();
      least = std::min(least, (runnel_test::allocations() - before).heap);
    }
    return least;
  };
  auto [parent, cancel_parent] = with_cancel(background());
  const context& ctx = parent;
  EXPECT_EQ(count([] { static_cast<void>(background()); }), 0U);
  EXPECT_EQ(count([&] { static_cast<void>(context(ctx)); }), 0U);
  EXPECT_EQ(count([&] { static_cast<void>(ctx.err()); }), 0U);
  EXPECT_EQ(count([&] { static_cast<void>(ctx.value(number)); }), 0U);
  EXPECT_EQ(count([&] { runnel::select(runnel::on_done(ctx), runnel::otherwise()); }), 0U);
  EXPECT_EQ(count([&] { static_cast<void>(with_value(ctx, number, 1)); }), 1U);
  EXPECT_EQ(count([&] { static_cast<void>(without_cancel(ctx)); }), 1U);
  EXPECT_EQ(count([&] { static_cast<void>(with_cancel(ctx)); }), 1U);
  EXPECT_EQ(count([&] { static_cast<void>(with_timeout(ctx, 1h)); }), 1U);
  EXPECT_EQ(count([&] { static_cast<void>(with_timeout(ctx, -1h)); }), 1U);
  EXPECT_EQ(count([&] { runnel::after_func(ctx, [] {})(); }), 1U);
  EXPECT_EQ(count([&] {  // its channel is made when it is first asked for
              const cancelable c = with_cancel(ctx);
              static_cast<void>(c.ctx.done());
              static_cast<void>(c.ctx.done());
            }),
            2U);
}

#endif

// Go's ExampleAfterFunc_cond.
RUNNEL_TEST_BOTH(context_examples, condition_that_ends_with_a_context) {
  const auto g = std::make_shared<guarded>();
  crew waiters;
  for (int i = 0; i < 4; ++i) {
    waiters.go([&] {
      auto [ctx, cancel] = with_timeout(background(), 1ms);
      EXPECT_EQ(wait_on(ctx, g), errc::deadline_exceeded);
    });
  }
  waiters.wait();
  waiters.go([&] {
    auto [ctx, cancel] = with_cancel(background());
    EXPECT_FALSE(wait_on(ctx, g));
  });
  const std::lock_guard hold(g->m);
  g->condition = true;
  g->cv.notify_all();
}

// Go's ExampleAfterFunc_merge.
RUNNEL_TEST_BOTH(context_examples, merged_contexts) {
  const auto cause = std::make_exception_ptr(std::runtime_error("why"));
  {
    auto [a, cancel_a] = with_cancel(background());
    auto [b, cancel_b] = with_cancel(background());
    auto [both, cancel] = merge(runnel::with_value(a, number, 7), b);
    EXPECT_EQ(*both.value(number), 7);
    EXPECT_FALSE(both.err());
    cancel_b(cause);
    both.done().recv();  // the function runs on a goroutine of its own
    EXPECT_EQ(both.cause(), cause);
    EXPECT_FALSE(a.err());
  }
  {
    auto [a, cancel_a] = with_cancel(background());
    auto [b, cancel_b] = with_cancel(background());
    auto [both, cancel] = merge(a, b);
    cancel_a();
    EXPECT_EQ(both.err(), errc::canceled);
    EXPECT_FALSE(b.err());
  }
}

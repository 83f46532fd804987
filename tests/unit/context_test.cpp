// Contexts: the behaviours of Go's context package (x_test.go, context_test.go).
#include <atomic>
#include <chrono>
#include <memory>
#include <runnel/chan.hpp>
#include <runnel/context.hpp>
#include <runnel/errc.hpp>
#include <runnel/go.hpp>
#include <runnel/select.hpp>
#include <runnel/time.hpp>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <system_error>
#include <thread>
#include <type_traits>
#include <vector>

#include "support/crew.hpp"
#include "support/test.hpp"

using namespace std::chrono_literals;
using runnel::background;
using runnel::cancel_func;
using runnel::cancelable;
using runnel::chan_status;
using runnel::context;
using runnel::errc;
using runnel::with_cancel;
using runnel::with_deadline;
using runnel::with_timeout;
using runnel::with_value;
using runnel_test::crew;
using runnel_test::eventually;
using runnel_test::rounds;
using clock_type = std::chrono::steady_clock;

namespace {

bool is_done(const context& ctx) { return ctx.done().try_recv() == chan_status::closed; }

// Alive, in every way it can be asked.
void expect_alive(const context& ctx) {
  EXPECT_FALSE(ctx.err());
  EXPECT_EQ(ctx.cause(), nullptr);
  EXPECT_FALSE(is_done(ctx));
  EXPECT_EQ(runnel::select(runnel::on_done(ctx), runnel::otherwise()), 1U);
}

void expect_ended(const context& ctx, errc why) {
  EXPECT_EQ(ctx.err(), why);
  EXPECT_TRUE(is_done(ctx));
  EXPECT_EQ(runnel::select(runnel::on_done(ctx), runnel::otherwise()), 0U);
  EXPECT_NE(ctx.cause(), nullptr);
}

std::string text_of(const std::exception_ptr& e) {
  if (e == nullptr) return "none";
  try {
    std::rethrow_exception(e);
  } catch (const std::exception& x) {
    return x.what();
  }
}

std::exception_ptr reason(const char* text) {
  return std::make_exception_ptr(std::runtime_error(text));
}

const runnel::context_key<std::string> user("user");
const runnel::context_key<std::string> other_user("user");
const runnel::context_key<int> number("number");

}  // namespace

TEST(context_errors, have_gos_texts) {
  EXPECT_EQ(make_error_code(errc::canceled).message(), "context canceled");
  EXPECT_EQ(make_error_code(errc::deadline_exceeded).message(), "context deadline exceeded");
  EXPECT_EQ(make_error_code(errc::circuit_open).message(), "circuit breaker is open");
  EXPECT_STREQ(make_error_code(errc::canceled).category().name(), "runnel");
  EXPECT_EQ(make_error_code(errc::canceled), std::errc::operation_canceled);
  EXPECT_EQ(make_error_code(errc::deadline_exceeded), std::errc::timed_out);
  EXPECT_NE(make_error_code(errc::deadline_exceeded), std::errc::operation_canceled);
  EXPECT_EQ(std::error_code(99, runnel::error_category()).message(), "unknown error 99");
}

RUNNEL_TEST_BOTH(context, background_never_ends) {
  for (const context& ctx : {background(), runnel::todo(), context()}) {
    EXPECT_FALSE(ctx.done());
    EXPECT_FALSE(ctx.err());
    EXPECT_EQ(ctx.cause(), nullptr);
    EXPECT_FALSE(ctx.deadline());
    EXPECT_EQ(ctx.value(user), nullptr);
    EXPECT_EQ(runnel::select(runnel::on_done(ctx), runnel::on_timeout(1ms)), 1U);
  }
}

// TestWithCancel.
RUNNEL_TEST_BOTH(context, cancel) {
  auto [ctx, cancel] = with_cancel(background());
  EXPECT_TRUE(ctx.done());
  EXPECT_EQ(ctx.done(), ctx.done());
  EXPECT_FALSE(ctx.deadline());
  expect_alive(ctx);
  cancel();
  for (int i = 0; i < 2; ++i) {
    expect_ended(ctx, errc::canceled);
    cancel();
  }
}

RUNNEL_TEST_BOTH(context, done_asked_for_only_after_the_end) {
  auto [ctx, cancel] = with_cancel(background());
  cancel();
  EXPECT_FALSE(ctx.done().recv());
  EXPECT_EQ(ctx.done(), ctx.done());
}

RUNNEL_TEST_BOTH(context, cancel_func_is_a_defer) {
  context kept;
  {
    auto [ctx, cancel] = with_cancel(background());
    kept = ctx;
    const cancel_func moved = std::move(cancel);
    cancel();  // moved from: does nothing
    expect_alive(kept);
  }
  expect_ended(kept, errc::canceled);

  cancel_func none;
  none();
  auto first = with_cancel(background());
  auto second = with_cancel(background());
  first.cancel = std::move(second.cancel);  // what it held before is cancelled
  expect_ended(first.ctx, errc::canceled);
  expect_alive(second.ctx);
  first.cancel = {};
  expect_ended(second.ctx, errc::canceled);
  static_assert(!std::is_copy_constructible_v<cancel_func>);
}

// TestParentFinishesChild, TestChildFinishesFirst.
RUNNEL_TEST_BOTH(context, ending_goes_down_and_not_up) {
  auto [parent, cancel_parent] = with_cancel(background());
  auto [child, cancel_child] = with_cancel(parent);
  const context value = with_value(parent, user, "x");
  auto [below_value, cancel_below] = with_cancel(value);
  auto [timed, cancel_timed] = with_timeout(value, 1h);
  auto [sibling, cancel_sibling] = with_cancel(parent);

  cancel_sibling();
  expect_ended(sibling, errc::canceled);
  expect_alive(parent);
  expect_alive(child);

  cancel_parent();
  for (const context& c : {parent, child, value, below_value, timed})
    expect_ended(c, errc::canceled);
  auto [late, cancel_late] = with_cancel(value);
  expect_ended(late, errc::canceled);
  auto [late_timed, cancel_late_timed] = with_timeout(value, 1h);
  expect_ended(late_timed, errc::canceled);
  auto [overdue, cancel_overdue] = with_timeout(value, -1h);
  expect_ended(overdue, errc::canceled);  // the parent's end came first
}

// TestDeadline, TestTimeout, TestCanceledTimeout.
RUNNEL_TEST_BOTH(context, deadlines) {
  {
    const auto t = clock_type::now() + 5ms;
    auto [ctx, cancel] = with_deadline(background(), t);
    EXPECT_EQ(ctx.deadline(), t);
    ctx.done().recv();
    EXPECT_GE(clock_type::now(), t);
    expect_ended(ctx, errc::deadline_exceeded);
  }
  {
    auto [parent, cancel_parent] = with_timeout(background(), 5ms);
    auto [ctx, cancel] = with_timeout(with_value(parent, number, 1), 1h);
    EXPECT_EQ(ctx.deadline(), parent.deadline());
    EXPECT_EQ(runnel::select(runnel::on_done(ctx), runnel::on_timeout(1h)), 0U);
    expect_ended(ctx, errc::deadline_exceeded);
  }
  {
    auto [parent, cancel_parent] = with_timeout(background(), 1h);
    auto [ctx, cancel] = with_timeout(parent, 2ms);
    EXPECT_LT(*ctx.deadline(), *parent.deadline());
    ctx.done().recv();
    expect_ended(ctx, errc::deadline_exceeded);
    expect_alive(parent);
  }
  {
    auto [ctx, cancel] = with_timeout(background(), 100ms);
    cancel();
    runnel::sleep_for(110ms);
    expect_ended(ctx, errc::canceled);
  }
  {
    auto [ctx, cancel] = with_timeout(background(), 0ms);
    expect_ended(ctx, errc::deadline_exceeded);
    auto [past, cancel_past] = with_deadline(background(), clock_type::now() - 1h);
    expect_ended(past, errc::deadline_exceeded);
  }
  {
    auto [ctx, cancel] = with_timeout(background(), std::chrono::hours::max());
    EXPECT_EQ(ctx.deadline(), clock_type::time_point::max());
    expect_alive(ctx);
  }
}

// TestValues.
RUNNEL_TEST_BOTH(context, values) {
  const context c1 = with_value(background(), user, "gopher");
  EXPECT_EQ(*c1.value(user), "gopher");
  EXPECT_EQ(c1.value(other_user), nullptr);  // the address counts, not the name
  EXPECT_EQ(user.name(), other_user.name());
  const context c2 = with_value(c1, number, 7);
  auto [c3, cancel] = with_cancel(c2);
  const context c4 = with_value(c3, user, std::string("badger"));
  EXPECT_EQ(*c4.value(user), "badger");
  EXPECT_EQ(*c4.value(number), 7);
  EXPECT_EQ(*c3.value(user), "gopher");
  EXPECT_EQ(c4.value(other_user), nullptr);
  EXPECT_EQ(c4.done(), c3.done());
  EXPECT_FALSE(c2.done());

  const runnel::context_key<std::unique_ptr<int>> box("box");
  const context c5 = with_value(c4, box, std::make_unique<int>(5));
  EXPECT_EQ(**c5.value(box), 5);
}

RUNNEL_TEST_BOTH(context, a_value_lives_as_long_as_its_context) {
  const auto held = std::make_shared<int>(1);
  const runnel::context_key<std::shared_ptr<int>> key("held");
  {
    auto [ctx, cancel] = with_cancel(with_value(background(), key, held));
    const context copy = with_value(ctx, number, 1);
    EXPECT_EQ(held.use_count(), 2);
  }
  EXPECT_EQ(held.use_count(), 1);
}

// TestCause.
RUNNEL_TEST_BOTH(context, causes) {
  {
    auto [ctx, cancel] = with_cancel(background());
    cancel(reason("too slow"));
    expect_ended(ctx, errc::canceled);
    EXPECT_EQ(text_of(ctx.cause()), "too slow");
    cancel(reason("too late"));
    EXPECT_EQ(text_of(ctx.cause()), "too slow");
  }
  {
    auto [ctx, cancel] = with_cancel(background());
    cancel();
    EXPECT_EQ(text_of(ctx.cause()), "context canceled");
    try {
      std::rethrow_exception(ctx.cause());
    } catch (const std::system_error& e) {
      EXPECT_EQ(e.code(), errc::canceled);
    }
  }
  {
    auto [parent, cancel_parent] = with_cancel(background());
    auto [child, cancel_child] = with_cancel(parent);
    auto [first, cancel_first] = with_cancel(parent);
    cancel_first(reason("own"));
    cancel_parent(reason("parent's"));
    cancel_child(reason("too late"));
    EXPECT_EQ(text_of(child.cause()), "parent's");
    EXPECT_EQ(text_of(first.cause()), "own");
    EXPECT_EQ(text_of(with_value(child, number, 1).cause()), "parent's");
    EXPECT_EQ(text_of(with_cancel(child).ctx.cause()), "parent's");
  }
  {
    auto [ctx, cancel] = with_timeout(background(), 1ms);
    ctx.done().recv();
    EXPECT_EQ(text_of(ctx.cause()), "context deadline exceeded");
  }
  {
    auto [ctx, cancel] = with_timeout(background(), 1ms, reason("a millisecond was too long"));
    ctx.done().recv();
    expect_ended(ctx, errc::deadline_exceeded);
    EXPECT_EQ(text_of(ctx.cause()), "a millisecond was too long");
    auto [at_once, cancel_2] = with_deadline(background(), clock_type::now(), reason("past"));
    EXPECT_EQ(text_of(at_once.cause()), "past");
    auto [before, cancel_3] = with_timeout(background(), 1h, reason("late"));
    cancel_3();
    EXPECT_EQ(text_of(before.cause()), "context canceled");
  }
}

// TestWithoutCancel.
RUNNEL_TEST_BOTH(context, without_cancel) {
  auto [parent, cancel] = with_timeout(with_value(background(), user, "gopher"), 1h);
  const context ctx = runnel::without_cancel(parent);
  EXPECT_FALSE(ctx.deadline());
  EXPECT_FALSE(ctx.done());
  cancel();
  EXPECT_FALSE(ctx.err());
  EXPECT_EQ(ctx.cause(), nullptr);
  EXPECT_EQ(*ctx.value(user), "gopher");
  auto [child, cancel_child] = with_cancel(ctx);
  expect_alive(child);
  cancel_child();
  expect_ended(child, errc::canceled);
  EXPECT_EQ(*child.value(user), "gopher");
}

RUNNEL_TEST_BOTH(context, handles_compare_by_context) {
  auto [a, cancel_a] = with_cancel(background());
  auto [b, cancel_b] = with_cancel(background());
  const context copy = a;
  EXPECT_EQ(copy, a);
  EXPECT_FALSE(a == b);
  EXPECT_EQ(background(), runnel::todo());
}

RUNNEL_TEST_BOTH(context, on_done_in_select) {
  auto [ctx, cancel] = with_cancel(background());
  const runnel::chan<int> never;
  crew one;
  std::atomic<int> handled{0};
  for (int i = 0; i < 5; ++i) {
    one.go([&, &ctx = ctx] {  // named, because Clang captures no structured binding before 16
      EXPECT_EQ(runnel::select(runnel::on_recv(never), runnel::on_done(ctx, [&] { ++handled; })),
                1U);
    });
  }
  one.go([&, &ctx = ctx] { ctx.done().recv(); });
  runnel_test::let_others_run();
  cancel();
  one.wait();
  EXPECT_EQ(handled, 5);
  // As a case that owns its context.
  std::vector<runnel::select_case> cases;
  cases.emplace_back(runnel::on_done(with_timeout(background(), 1h).ctx));
  cases.emplace_back(runnel::on_recv(never));
  EXPECT_EQ(runnel::select(cases), 0U);  // its cancel_func is gone already
}

RUNNEL_TEST_BOTH(context, stop_tokens) {
  {
    std::stop_source source;
    auto [ctx, cancel] = runnel::with_stop_token(background(), source.get_token());
    auto [child, cancel_child] = with_cancel(ctx);
    expect_alive(child);
    std::thread stopper([&] { source.request_stop(); });
    EXPECT_FALSE(child.done().recv());
    expect_ended(ctx, errc::canceled);
    runnel::blocking([&] { stopper.join(); });
  }
  {
    std::stop_source source;
    source.request_stop();
    expect_ended(runnel::with_stop_token(background(), source.get_token()).ctx, errc::canceled);
  }
  {
    std::stop_source source;
    auto [parent, cancel_parent] = with_cancel(background());
    auto [ctx, cancel] = runnel::with_stop_token(parent, source.get_token());
    cancel_parent();
    expect_ended(ctx, errc::canceled);
    source.request_stop();
    auto [empty, cancel_empty] = runnel::with_stop_token(parent, {});
    expect_ended(empty, errc::canceled);
  }
  for (int i = 0; i < runnel_test::rounds(200); ++i) {
    // The handles go while the stop is requested.
    std::stop_source source;
    std::thread stopper;
    {
      auto [ctx, cancel] = runnel::with_stop_token(background(), source.get_token());
      stopper = std::thread([&] { source.request_stop(); });
    }
    runnel::blocking([&] { stopper.join(); });
  }
}

// done() of a temporary is a handle of its own; of anything else, one for as long as the context.
RUNNEL_TEST_BOTH(context, done_channel_of_a_temporary) {
  static_assert(
      std::is_same_v<decltype(with_cancel(background()).ctx.done()), runnel::recv_chan<void>>);
  const auto& ended = with_cancel(background()).ctx.done();  // its cancel_func has cancelled it
  EXPECT_FALSE(ended.recv());
  const context copy = with_cancel(background()).ctx;
  const auto& refers = copy.done();
  EXPECT_EQ(&refers, &copy.done());
  EXPECT_FALSE(refers.recv());
}

// The scope's callback lies in memory that one thread allocates and another, through request_stop,
// reads: what std::stop_source does to order that the race detector has to see.
RUNNEL_TEST_BOTH(context, stop_requested_by_another_thread) {
  for (int i = 0; i < rounds(50); ++i) {
    std::atomic<bool> registered{false};
    std::jthread t([&](std::stop_token token) {
      auto [ctx, cancel] = runnel::with_stop_token(background(), token);
      registered.store(true, std::memory_order_relaxed);
      runnel::select(runnel::on_done(ctx));
      EXPECT_EQ(ctx.err(), errc::canceled);
    });
    if (i % 2 == 0) {
      EXPECT_TRUE(eventually([&] { return registered.load(std::memory_order_relaxed); }));
    }
    t.request_stop();
    runnel::blocking([&] { t.join(); });
  }
}

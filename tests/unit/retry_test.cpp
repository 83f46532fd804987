// retry and its waits.
#include <runnel/go.hpp>
#include <runnel/patterns/retry.hpp>
#include <runnel/time.hpp>
#include <stdexcept>
#include <string>

#include "support/crew.hpp"
#include "support/test.hpp"

using namespace std::chrono_literals;
using runnel::background;
using runnel::backoff;
using runnel::retry;
using runnel::detail::backoff_steps;
using runnel_test::crew;

namespace {

struct attempt_failed : std::runtime_error {
  explicit attempt_failed(int n) : std::runtime_error("attempt " + std::to_string(n)) {}
};

constexpr backoff quick{.initial = 10us, .max = 100us};

}  // namespace

TEST(retry_steps, grow_up_to_the_longest) {
  backoff_steps steps({.initial = 100ms, .max = 1s, .factor = 2, .jitter = 0});
  for (const auto expected : {100ms, 200ms, 400ms, 800ms, 1000ms, 1000ms}) {
    EXPECT_EQ(steps.next(0.9), expected);
  }
}

TEST(retry_steps, jitter_leaves_out_its_share) {
  const backoff how{.initial = 100ms, .max = 1s, .factor = 2, .jitter = 0.5};
  EXPECT_EQ(backoff_steps(how).next(0), 100ms);
  EXPECT_EQ(backoff_steps(how).next(0.5), 75ms);
  EXPECT_GE(backoff_steps(how).next(0.999999), 50ms);
  backoff_steps steps(how);
  steps.next(0.9);
  EXPECT_EQ(steps.next(0), 200ms);  // what was left out does not count for the next
}

TEST(retry_steps, odd_settings) {
  EXPECT_EQ(backoff_steps({.initial = 5s, .max = 1s, .jitter = 0}).next(0), 1s);
  EXPECT_EQ(backoff_steps({.initial = -5s, .jitter = 0}).next(0), 0s);
  EXPECT_EQ(backoff_steps({.initial = 1s, .max = 10s, .jitter = 7}).next(0.5), 500ms);
  backoff_steps shrinking({.initial = 1s, .max = 10s, .factor = 0.1, .jitter = 0});
  shrinking.next(0);
  EXPECT_EQ(shrinking.next(0), 1s);
  const auto endless = std::chrono::nanoseconds::max();
  EXPECT_EQ(backoff_steps({.initial = endless, .max = endless, .jitter = 0}).next(0), endless);
}

RUNNEL_TEST_BOTH(retry, returns_the_first_success) {
  int calls = 0;
  const std::string got = retry(background(), quick, [&] {
    if (++calls < 4) throw attempt_failed(calls);
    return std::string("done");
  });
  EXPECT_EQ(got, "done");
  EXPECT_EQ(calls, 4);
  retry(background(), quick, [&] { ++calls; });
  EXPECT_EQ(calls, 5);
  int& reference = retry(background(), quick, [&]() -> int& { return calls; });
  EXPECT_EQ(&reference, &calls);
}

RUNNEL_TEST_BOTH(retry, waits_between_attempts) {
  int calls = 0;
  const auto begin = std::chrono::steady_clock::now();
  retry(background(), {.initial = 2ms, .max = 4ms, .jitter = 0}, [&] {
    if (++calls < 4) throw attempt_failed(calls);
  });
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 2ms + 4ms + 4ms);
}

RUNNEL_TEST_BOTH(retry, rethrows_the_last_failure) {
  int calls = 0;
  backoff how = quick;
  how.max_attempts = 3;
  try {
    retry(background(), how, [&] { throw attempt_failed(++calls); });
    ADD_FAILURE() << "no exception";
  } catch (const attempt_failed& e) {
    EXPECT_STREQ(e.what(), "attempt 3");
  }
  EXPECT_EQ(calls, 3);
  how.max_attempts = 1;
  EXPECT_THROW(retry(background(), how, [&] { throw attempt_failed(++calls); }), attempt_failed);
  EXPECT_EQ(calls, 4);
}

RUNNEL_TEST_BOTH(retry, an_ended_context_is_not_tried) {
  auto [ctx, cancel] = runnel::with_cancel(background());
  cancel();
  bool called = false;
  try {
    retry(ctx, quick, [&] { called = true; });
    ADD_FAILURE() << "no exception";
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code(), runnel::errc::canceled);
  }
  EXPECT_FALSE(called);
}

RUNNEL_TEST_BOTH(retry, the_context_ends_the_wait) {
  auto [ctx, cancel] = runnel::with_timeout(background(), 5ms);
  int calls = 0;
  try {
    retry(ctx, {.initial = 1h, .max = 1h}, [&] { throw attempt_failed(++calls); });
    ADD_FAILURE() << "no exception";
  } catch (const attempt_failed& e) {
    EXPECT_STREQ(e.what(), "attempt 1");
  }
  EXPECT_EQ(calls, 1);
}

RUNNEL_TEST_BOTH(retry, cancelled_by_the_function_itself) {
  auto [ctx, cancel] = runnel::with_cancel(background());
  int calls = 0;
  EXPECT_THROW(retry(ctx, quick,
                     [&, &cancel = cancel] {  // Clang before 16 asks for it
                       if (++calls == 3) cancel();
                       throw attempt_failed(calls);
                     }),
               attempt_failed);
  EXPECT_EQ(calls, 3);
}

RUNNEL_TEST(retry, goexit_is_no_failure) {
  crew one;
  int calls = 0;
  bool unwound = false;
  one.go([&] {
    const runnel::chan<void> ended(1);
    runnel::go([&, ended] {
      const runnel::defer done{[&] {
        unwound = true;
        ended.send();
      }};
      retry(background(), quick, [&] {
        ++calls;
        runnel::goexit();
      });
      ADD_FAILURE() << "went on";
    });
    ended.recv();
  });
  one.wait();
  EXPECT_TRUE(unwound);
  EXPECT_EQ(calls, 1);
}

// Token buckets: the arithmetic of Go's x/time/rate at given times, then the limiter in real time.
#include <atomic>
#include <cmath>
#include <optional>
#include <runnel/rate.hpp>
#include <runnel/select.hpp>
#include <runnel/time.hpp>
#include <thread>
#include <vector>

#include "support/crew.hpp"
#include "support/test.hpp"

using namespace std::chrono_literals;
using runnel::every;
using runnel::per_second;
using runnel::rate_limiter;
using runnel::unlimited;
using runnel::detail::steady_time;
using runnel::detail::token_bucket;
using runnel_test::crew;
using std::chrono::nanoseconds;

namespace {

constexpr auto unit = 100ms;

// The k-th tenth of a second; the bucket is never older than 0.
steady_time at(int k) { return steady_time(1h) + k * unit; }

int units(steady_time t) {
  return static_cast<int>(std::lround(static_cast<double>(nanoseconds(t - at(0)).count()) / 1e8));
}

struct allow_step {
  int time;
  double tokens;  // expected before
  int n;
  bool ok;  // expected
};

void run_steps(token_bucket& bucket, const std::vector<allow_step>& steps) {
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const allow_step& s = steps[i];
    EXPECT_EQ(bucket.tokens_at(at(s.time)), s.tokens) << "step " << i;
    EXPECT_EQ(bucket.reserve(at(s.time), s.n, 0ns).ok, s.ok) << "step " << i;
  }
}

// Reserves n at time t; expects it to be granted for `act`, or (nothing) refused.
token_bucket::grant expect_reserve(token_bucket& bucket, int t, int n, std::optional<int> act,
                                   nanoseconds max_wait = nanoseconds::max()) {
  const token_bucket::grant g = bucket.reserve(at(t), n, max_wait);
  EXPECT_EQ(g.ok, act.has_value());
  if (g.ok && act) {
    EXPECT_EQ(units(g.act_at), *act);
  }
  return g;
}

}  // namespace

TEST(rate, every_is_the_inverse_of_an_interval) {
  EXPECT_EQ(every(100ms).per_second(), 10);
  EXPECT_EQ(every(1s), per_second(1));
  EXPECT_EQ(every(30s).per_second(), 1.0 / 30);
  EXPECT_EQ(every(std::chrono::duration<double>(0.25)), per_second(4));
  EXPECT_TRUE(every(0ms).is_unlimited());
  EXPECT_TRUE(every(-1ms).is_unlimited());
  EXPECT_TRUE(unlimited().is_unlimited());
  EXPECT_FALSE(per_second(1e300).is_unlimited());
  EXPECT_EQ(per_second(-3).per_second(), 0);
  EXPECT_EQ(runnel::rate().per_second(), 0);
  EXPECT_EQ(per_second(std::nan("")).per_second(), 0);
}

TEST(rate, bucket_of_one) {
  token_bucket b(per_second(10), 1);
  run_steps(b, {{0, 1, 1, true},
                {0, 0, 1, false},
                {0, 0, 1, false},
                {1, 1, 1, true},
                {1, 0, 1, false},
                {2, 1, 2, false},  // never: more than the burst
                {2, 1, 1, true},
                {2, 0, 1, false}});
}

TEST(rate, bucket_of_three) {
  token_bucket b(per_second(10), 3);
  run_steps(b, {{0, 3, 2, true},
                {0, 1, 2, false},
                {0, 1, 1, true},
                {0, 0, 1, false},
                {1, 1, 4, false},
                {2, 2, 1, true},
                {3, 2, 1, true},
                {4, 2, 1, true},
                {4, 1, 1, true},
                {4, 0, 1, false},
                {9, 3, 3, true},
                {9, 0, 0, true}});
}

TEST(rate, time_that_jumps_back_gives_nothing) {
  token_bucket b(per_second(10), 3);
  run_steps(b, {{1, 3, 1, true},
                {0, 2, 1, true},
                {0, 1, 1, true},
                {0, 0, 1, false},
                {1, 1, 1, true},
                {1, 0, 1, false},
                {2, 1, 1, true},
                {2, 0, 1, false}});
}

TEST(rate, no_rounding_takes_the_first_token_away) {
  token_bucket b(per_second(0.7692307692307693), 1);
  EXPECT_TRUE(b.reserve(at(0), 1, 0ns).ok);
}

TEST(rate, long_run_average) {
  token_bucket b(per_second(100), 100);
  int allowed = 0;
  nanoseconds t = 0ns;
  for (; t < 5s; t += 2ms) allowed += b.reserve(at(0) + t, 1, 0ns).ok ? 1 : 0;
  const double ideal = 100 + 100 * 5.0;
  EXPECT_LE(allowed, static_cast<int>(ideal + 1));
  EXPECT_GE(allowed, static_cast<int>(0.999 * ideal));
}

TEST(rate, reservations_queue_up) {
  token_bucket b(per_second(10), 2);
  expect_reserve(b, 0, 2, 0);
  expect_reserve(b, 0, 2, 2);
  expect_reserve(b, 3, 2, 4);
}

TEST(rate, reservations_and_allow) {
  token_bucket b(per_second(10), 2);
  expect_reserve(b, 0, 3, std::nullopt);
  expect_reserve(b, 0, 2, 0);
  run_steps(b, {{1, 1, 2, false}});
  expect_reserve(b, 1, 2, 2);
  run_steps(b, {{1, -1, 1, false}, {3, 1, 1, true}});
}

TEST(rate, cancelling_what_was_refused_gives_nothing_back) {
  token_bucket b(per_second(10), 2);
  expect_reserve(b, 0, 2, 0);
  b.cancel(expect_reserve(b, 0, 3, std::nullopt), at(0));
  expect_reserve(b, 0, 2, 2);
}

TEST(rate, cancelling_the_last_gives_all_back) {
  token_bucket b(per_second(10), 2);
  expect_reserve(b, 0, 2, 0);
  b.cancel(expect_reserve(b, 0, 2, 2), at(1));
  expect_reserve(b, 1, 2, 2);
}

TEST(rate, cancelling_too_late_gives_nothing_back) {
  token_bucket b(per_second(10), 2);
  expect_reserve(b, 0, 2, 0);
  b.cancel(expect_reserve(b, 0, 2, 2), at(3));
  expect_reserve(b, 3, 2, 4);
}

TEST(rate, cancelling_gives_back_what_later_ones_did_not_build_on) {
  {
    token_bucket b(per_second(10), 2);
    expect_reserve(b, 0, 2, 0);
    const auto r = expect_reserve(b, 0, 1, 1);
    expect_reserve(b, 0, 1, 2);
    b.cancel(r, at(0));  // none
    expect_reserve(b, 0, 1, 3);
  }
  {
    token_bucket b(per_second(10), 2);
    expect_reserve(b, 0, 2, 0);
    const auto r = expect_reserve(b, 0, 2, 2);
    expect_reserve(b, 0, 1, 3);
    b.cancel(r, at(2));  // one
    expect_reserve(b, 2, 2, 4);
  }
  {
    token_bucket b(per_second(10), 4);
    expect_reserve(b, 0, 4, 0);
    const auto first = expect_reserve(b, 0, 3, 3);
    expect_reserve(b, 0, 1, 4);
    const auto last = expect_reserve(b, 0, 1, 5);
    b.cancel(last, at(1));   // one
    b.cancel(first, at(1));  // two, as if `last` had never been
    expect_reserve(b, 1, 3, 5);
  }
}

TEST(rate, reservations_while_time_jumps_back) {
  {
    token_bucket b(per_second(10), 2);
    expect_reserve(b, 1, 2, 1);
    expect_reserve(b, 0, 1, 1);
    expect_reserve(b, 2, 2, 3);
    expect_reserve(b, 0, 3, std::nullopt);  // more than the burst: changes nothing
    expect_reserve(b, 2, 1, 4);
    expect_reserve(b, 0, 2, std::nullopt, unit);  // too late: changes nothing
    expect_reserve(b, 2, 1, 5);
  }
  {
    token_bucket b(per_second(10), 2);
    expect_reserve(b, 1, 2, 1);
    const auto r = expect_reserve(b, 1, 2, 3);
    expect_reserve(b, 1, 1, 4);
    b.cancel(r, at(0));
    expect_reserve(b, 1, 2, 4);
  }
}

TEST(rate, changes_of_rate_and_burst) {
  {
    token_bucket b(per_second(5), 2);
    expect_reserve(b, 0, 2, 0);
    expect_reserve(b, 0, 2, 4);
    b.set_limit(at(2), per_second(10));
    expect_reserve(b, 2, 1, 4);
  }
  {
    token_bucket b(per_second(5), 2);
    expect_reserve(b, 0, 2, 0);
    expect_reserve(b, 0, 2, 4);
    b.set_burst(at(3), 4);
    expect_reserve(b, 0, 4, 9);
  }
  {
    token_bucket b(per_second(5), 2);
    expect_reserve(b, 0, 2, 0);
    const auto r = expect_reserve(b, 0, 2, 4);
    b.set_limit(at(2), per_second(10));
    b.cancel(r, at(2));
    expect_reserve(b, 2, 2, 3);
  }
}

TEST(rate, at_most_so_far_in_the_future) {
  token_bucket b(per_second(10), 2);
  expect_reserve(b, 0, 2, 0, unit);
  expect_reserve(b, 0, 1, 1, unit);
  expect_reserve(b, 0, 1, std::nullopt, unit);
}

TEST(rate, nothing_flows_at_rate_zero) {
  token_bucket b(runnel::rate(), 2);
  expect_reserve(b, 0, 2, 0);
  EXPECT_FALSE(b.reserve(at(1000000), 1, 1h).ok);
  EXPECT_EQ(b.tokens_at(at(1000000)), 0);
  // Go's TestSetAfterZeroLimit: what flows begins with the change.
  b.set_limit(at(1000000), per_second(10));
  EXPECT_FALSE(b.reserve(at(1000000) + 99ms, 1, 0s).ok);
  EXPECT_TRUE(b.reserve(at(1000000) + 100ms, 1, 0s).ok);
}

// Go's TestTinyLimit: a wait that no duration holds is no wait of none.
TEST(rate, next_to_nothing_flows_at_a_tiny_rate) {
  token_bucket b(per_second(1e-10), 1);
  EXPECT_TRUE(b.reserve(at(0), 1, 0s).ok);
  EXPECT_FALSE(b.reserve(at(0), 1, 0s).ok);
  EXPECT_FALSE(b.reserve(at(1000), 1, 1h).ok);
}

RUNNEL_TEST_BOTH(rate_limiter, burst_is_shared_by_all) {
  rate_limiter limiter(every(1h), 5);
  std::atomic<int> allowed{0};
  {
    crew all;
    for (int i = 0; i < 15; ++i) all.go([&] { allowed += limiter.allow() ? 1 : 0; });
  }
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) threads.emplace_back([&] { allowed += limiter.allow() ? 1 : 0; });
  runnel::blocking([&] {
    for (auto& t : threads) t.join();
  });
  EXPECT_EQ(allowed, 5);
  EXPECT_LT(limiter.tokens(), 1);
  EXPECT_EQ(limiter.burst(), 5);
  EXPECT_EQ(limiter.limit(), every(1h));
}

RUNNEL_TEST_BOTH(rate_limiter, wait_spaces_events) {
  rate_limiter limiter(every(2ms), 3);
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 13; ++i) EXPECT_FALSE(limiter.wait(runnel::background()));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 20ms - 1us);  // Go's rounding is down
}

RUNNEL_TEST_BOTH(rate_limiter, wait_refuses_what_cannot_be) {
  rate_limiter limiter(every(1h), 3);
  {
    auto [ctx, cancel] = runnel::with_cancel(runnel::background());
    cancel();
    EXPECT_EQ(limiter.wait(ctx), runnel::errc::canceled);
  }
  EXPECT_EQ(limiter.wait(runnel::background(), 4), std::errc::invalid_argument);
  EXPECT_FALSE(limiter.wait(runnel::background(), 3));  // nothing was taken so far

  auto [ctx, cancel] = runnel::with_timeout(runnel::background(), 1min);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(limiter.wait(ctx), runnel::errc::deadline_exceeded);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 30s);
  EXPECT_FALSE(ctx.err());
  EXPECT_FALSE(limiter.wait(ctx, 0));
}

RUNNEL_TEST_BOTH(rate_limiter, wait_that_is_cancelled_gives_its_tokens_back) {
  rate_limiter limiter(every(1h), 3);
  EXPECT_TRUE(limiter.allow(2));
  auto [ctx, cancel] = runnel::with_cancel(runnel::background());
  crew other;
  other.go([&, &ctx = ctx] { EXPECT_EQ(limiter.wait(ctx, 3), runnel::errc::canceled); });
  EXPECT_TRUE(runnel_test::eventually([&] { return limiter.tokens() < 0; }));
  cancel();
  other.wait();
  EXPECT_TRUE(limiter.allow(1));
  EXPECT_FALSE(limiter.allow(1));
}

RUNNEL_TEST_BOTH(rate_limiter, wait_ends_with_a_deadline_that_comes_too_soon_after_all) {
  // The deadline is far enough when the wait begins; a cancellation with a cause comes first.
  rate_limiter limiter(every(1h), 1);
  EXPECT_TRUE(limiter.allow());
  auto [ctx, cancel] = runnel::with_timeout(runnel::background(), 2h);
  crew other;
  other.go([&, &ctx = ctx] { EXPECT_EQ(limiter.wait(ctx), runnel::errc::canceled); });
  EXPECT_TRUE(runnel_test::eventually([&] { return limiter.tokens() < 0; }));
  cancel();
}

RUNNEL_TEST_BOTH(rate_limiter, unlimited_ignores_the_burst) {
  rate_limiter limiter(unlimited(), 0);
  EXPECT_TRUE(limiter.allow(1000));
  EXPECT_FALSE(limiter.wait(runnel::background(), 1000));
  EXPECT_EQ(limiter.reserve(1000).delay(), 0ns);
  limiter.set_rate(every(1h));
  EXPECT_FALSE(limiter.allow());
}

RUNNEL_TEST_BOTH(rate_limiter, reservations) {
  rate_limiter limiter(every(1h), 2);
  auto now = limiter.reserve(2);
  EXPECT_TRUE(now.ok());
  EXPECT_EQ(now.delay(), 0ns);
  auto later = limiter.reserve();
  EXPECT_TRUE(later.ok());
  EXPECT_GT(later.delay(), 59min);
  EXPECT_LE(later.delay(), 1h);
  later.cancel();
  auto instead = limiter.reserve();
  EXPECT_LE(instead.delay(), 1h);
  auto never = limiter.reserve(3);
  EXPECT_FALSE(never.ok());
  EXPECT_EQ(never.delay(), nanoseconds::max());
  never.cancel();
  rate_limiter stopped(per_second(0), 1);
  EXPECT_TRUE(stopped.allow());
  auto in_vain = stopped.reserve();
  EXPECT_TRUE(in_vain.ok());  // as in Go
  EXPECT_EQ(in_vain.delay(), nanoseconds::max());
  in_vain.cancel();
}

RUNNEL_TEST_BOTH(rate_limiter, faster_from_now_on) {
  rate_limiter limiter(every(1h), 1);
  EXPECT_TRUE(limiter.allow());
  limiter.set_rate(every(1ms));
  EXPECT_FALSE(limiter.wait(runnel::background()));
  limiter.set_burst(2);
  EXPECT_FALSE(limiter.wait(runnel::background(), 2));
}

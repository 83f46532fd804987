// Time-outs and deadlines of select, and the span form with cases made at run time.
#include <atomic>
#include <chrono>
#include <memory>
#include <runnel/chan.hpp>
#include <runnel/select.hpp>
#include <runnel/time.hpp>
#include <span>
#include <string>
#include <vector>

#include "support/crew.hpp"
#include "support/test.hpp"

using namespace std::chrono_literals;
using runnel::chan;
using runnel::on_deadline;
using runnel::on_recv;
using runnel::on_send;
using runnel::on_timeout;
using runnel::otherwise;
using runnel::select;
using runnel::select_case;
using runnel_test::crew;
using clock_type = std::chrono::steady_clock;

RUNNEL_TEST_BOTH(select_timeout, never_early) {
  const chan<int> c;
  for (const auto d : {0us, 1us, 500us, 3000us}) {
    const auto begin = clock_type::now();
    EXPECT_EQ(select(on_recv(c), on_timeout(d)), 1U);
    EXPECT_GE(clock_type::now() - begin, d);
    EXPECT_LT(clock_type::now() - begin, runnel_test::patience());
  }
}

RUNNEL_TEST_BOTH(select_timeout, past_times_fire_at_once) {
  const chan<int> c;
  EXPECT_EQ(select(on_recv(c), on_timeout(-1h)), 1U);
  EXPECT_EQ(select(on_recv(c), on_deadline(clock_type::now() - 1h)), 1U);
  EXPECT_EQ(select(on_recv(c), on_deadline(clock_type::time_point::min())), 1U);
  EXPECT_EQ(select(on_recv(c), on_timeout(std::chrono::nanoseconds::min())), 1U);
}

RUNNEL_TEST_BOTH(select_timeout, handlers_and_deadlines) {
  const chan<int> c;
  int ran = 0;
  EXPECT_EQ(select(on_recv(c, [&] { ran = -1; }), on_timeout(1ms, [&] { ran = 1; })), 1U);
  EXPECT_EQ(ran, 1);
  const auto deadline = clock_type::now() + 2ms;
  EXPECT_EQ(select(on_recv(c), on_deadline(deadline, [&] { ran = 2; })), 1U);
  EXPECT_EQ(ran, 2);
  EXPECT_GE(clock_type::now(), deadline);
  // The sooner of two
  EXPECT_EQ(select(on_timeout(1h), on_timeout(1ms), on_timeout(2h)), 1U);
}

RUNNEL_TEST_BOTH(select_timeout, durations_of_any_unit_up_to_the_largest) {
  const chan<int> c(1);
  for (int i = 0; i < 4; ++i) {
    crew peer;
    peer.go([&] {
      runnel_test::let_others_run();
      c.send(1);
    });
    std::size_t chosen = 9;
    if (i == 0) chosen = select(on_timeout(std::chrono::nanoseconds::max()), on_recv(c));
    if (i == 1) chosen = select(on_timeout(std::chrono::hours::max()), on_recv(c));
    if (i == 2) chosen = select(on_deadline(clock_type::time_point::max()), on_recv(c));
    if (i == 3) chosen = select(on_timeout(std::chrono::duration<double>(1e30)), on_recv(c));
    EXPECT_EQ(chosen, 1U) << i;
  }
  // rounded up: a fraction of a nanosecond is not "at once, without waiting" but legal
  EXPECT_EQ(select(on_timeout(std::chrono::duration<double, std::nano>(0.25))), 0U);
}

RUNNEL_TEST_BOTH(select_timeout, a_ready_case_wins_over_a_distant_time) {
  const chan<int> c(1);
  for (int i = 0; i < 100; ++i) {
    c.send(i);
    int v = -1;
    ASSERT_EQ(select(on_timeout(1h), on_recv(c, v)), 1U);
    ASSERT_EQ(v, i);
  }
}

RUNNEL_TEST_BOTH(select_timeout, time_out_against_send_loses_nothing) {
  // The sender's hand-off and the time-out race; a value is received or still the sender's.
  const chan<int> c;
  std::atomic<int> sent{0};
  int received = 0;
  const int n = runnel_test::rounds(2000);
  crew sender;
  sender.go([&] {
    for (int i = 0; i < n; ++i) {
      if (select(on_send(c, i), on_timeout(std::chrono::microseconds(i % 50))) == 0) ++sent;
    }
    c.close();
  });
  for (bool open = true; open;) {
    select(on_recv(c,
                   [&](std::optional<int> v) {
                     open = v.has_value();
                     if (open) ++received;
                   }),
           on_timeout(20us));
  }
  sender.wait();
  EXPECT_EQ(received, sent);
}

RUNNEL_TEST_BOTH(select_timeout, many_at_once) {
  // Thousands of timed selects end, in whatever order their times are.
  const chan<int> never;
  std::atomic<int> fired{0};
  crew all;
  const int n = runnel_test::rounds(3000);
  for (int i = 0; i < n; ++i) {
    all.go([&, i] {
      EXPECT_EQ(select(on_recv(never), on_timeout(std::chrono::microseconds((i * 7919) % 20000))),
                1U);
      ++fired;
    });
  }
  all.wait();
  EXPECT_EQ(fired, n);
}

RUNNEL_TEST_BOTH(select_span, cases_made_at_run_time) {
  std::vector<chan<int>> channels;
  for (int i = 0; i < 100; ++i) channels.emplace_back(1);
  for (std::size_t ready = 0; ready < channels.size(); ready += 9) {
    channels[ready].send(static_cast<int>(ready));
    std::vector<select_case> cases;
    int got = -1;
    for (const auto& c : channels) cases.push_back(on_recv(c, [&](int v) { got = v; }));
    EXPECT_EQ(select(std::span<select_case>(cases)), ready);
    EXPECT_EQ(got, static_cast<int>(ready));
  }
}

RUNNEL_TEST_BOTH(select_span, all_kinds_of_cases) {
  const chan<int> c(1);
  const chan<void> v;
  int out = 0;
  std::optional<int> maybe;
  bool other = false;
  const auto make = [&] {
    std::vector<select_case> cases;
    cases.push_back(on_recv(c));
    cases.push_back(on_recv(c, out));
    cases.push_back(on_recv(c, maybe));
    cases.push_back(on_recv(v));
    cases.push_back(on_timeout(1h));
    cases.push_back(on_deadline(clock_type::now() + 1h, [] {}));
    return cases;
  };
  auto cases = make();
  cases.push_back(otherwise([&] { other = true; }));
  EXPECT_EQ(select(std::span<select_case>(cases)), 6U);
  EXPECT_TRUE(other);
  cases = make();
  cases.push_back(on_send(c, 4));
  EXPECT_EQ(select(std::span<select_case>(cases)), 6U);
  cases = make();
  EXPECT_LT(select(std::span<select_case>(cases)), 3U);
  EXPECT_EQ(c.size(), 0U);
}

RUNNEL_TEST_BOTH(select_span, a_case_owns_its_value_and_handler) {
  const chan<std::unique_ptr<std::string>> c(1);
  std::vector<select_case> cases;
  auto token = std::make_shared<int>(0);
  {
    auto value = std::make_unique<std::string>("owned");
    auto copy = token;
    cases.push_back(on_send(c, std::move(value), [copy] { ++*copy; }));
    EXPECT_EQ(value, nullptr);  // NOLINT: the case has it
  }
  EXPECT_EQ(token.use_count(), 2);
  EXPECT_EQ(select(std::span<select_case>(cases)), 0U);
  EXPECT_EQ(**c.recv(), "owned");
  EXPECT_EQ(*token, 1);
  cases.clear();
  EXPECT_EQ(token.use_count(), 1);
}

RUNNEL_TEST_BOTH(select_span, a_case_keeps_its_channel_alive) {
  std::vector<select_case> cases;
  {
    const chan<int> c(1);
    c.send(3);
    cases.push_back(on_recv(c));
  }
  EXPECT_EQ(select(std::span<select_case>(cases)), 0U);
}

RUNNEL_TEST_BOTH(select_span, may_be_used_again) {
  const chan<int> c(3);
  int sum = 0;
  std::vector<select_case> cases;
  cases.push_back(on_recv(c, [&](int v) { sum += v; }));
  cases.push_back(on_timeout(1h));
  for (int i = 1; i <= 3; ++i) c.send(i);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(select(std::span<select_case>(cases)), 0U);
  EXPECT_EQ(sum, 6);
}

RUNNEL_TEST_BOTH(select_span, blocked_on_hundreds_of_channels) {
  std::vector<chan<int>> channels(500);
  crew peer;
  peer.go([&] {
    for (std::size_t i = 0; i < channels.size(); i += 50) {
      runnel_test::let_others_run();
      channels[i].send(static_cast<int>(i));
    }
  });
  for (std::size_t i = 0; i < channels.size(); i += 50) {
    std::vector<select_case> cases;
    int got = -1;
    for (const auto& c : channels) cases.push_back(on_recv(c, got));
    EXPECT_EQ(select(std::span<select_case>(cases)), i);
    EXPECT_EQ(got, static_cast<int>(i));
  }
}

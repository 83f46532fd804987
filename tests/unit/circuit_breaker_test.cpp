#include <atomic>
#include <runnel/chan.hpp>
#include <runnel/go.hpp>
#include <runnel/patterns/circuit_breaker.hpp>
#include <runnel/time.hpp>
#include <stdexcept>
#include <string>
#include <system_error>
#include <type_traits>

#include "support/crew.hpp"
#include "support/test.hpp"

using namespace std::chrono_literals;
using runnel::circuit_breaker;
using runnel_test::crew;
using state = runnel::circuit_breaker::state;

namespace {

void fail_once(circuit_breaker& b) {
  EXPECT_THROW(b.call([] { throw std::runtime_error("down"); }), std::runtime_error);
}

bool refused(circuit_breaker& b) {
  try {
    b.call([] {});
    return false;
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code(), runnel::errc::circuit_open);
    EXPECT_EQ(e.code().message(), "circuit breaker is open");
    return true;
  }
}

bool half_opens(circuit_breaker& b) {
  return runnel_test::eventually([&] { return b.current() == state::half_open; });
}

}  // namespace

RUNNEL_TEST_BOTH(circuit_breaker, passes_results_through) {
  circuit_breaker b;
  EXPECT_EQ(b.call([] { return 42; }), 42);
  EXPECT_EQ(*b.call([] { return std::make_unique<int>(7); }), 7);
  int x = 0;
  EXPECT_EQ(&b.call([&]() -> int& { return x; }), &x);
  b.call([&] { x = 1; });
  EXPECT_EQ(x, 1);
  EXPECT_EQ(b.current(), state::closed);
}

RUNNEL_TEST_BOTH(circuit_breaker, opens_after_failures_in_a_row) {
  circuit_breaker b({.failures = 3, .open_for = 1h});
  fail_once(b);
  fail_once(b);
  b.call([] {});  // begins a new row
  fail_once(b);
  fail_once(b);
  EXPECT_EQ(b.current(), state::closed);
  fail_once(b);
  EXPECT_EQ(b.current(), state::open);
  EXPECT_TRUE(refused(b));
  EXPECT_TRUE(refused(b));
}

RUNNEL_TEST_BOTH(circuit_breaker, default_is_five_failures_and_one_second) {
  circuit_breaker b;
  for (int i = 0; i < 4; ++i) fail_once(b);
  EXPECT_EQ(b.current(), state::closed);
  fail_once(b);
  EXPECT_EQ(b.current(), state::open);
}

RUNNEL_TEST_BOTH(circuit_breaker, ways_to_make_one) {
  static_assert(std::is_convertible_v<circuit_breaker::options, circuit_breaker>);
  static_assert(!std::is_copy_constructible_v<circuit_breaker>);
  static_assert(!std::is_move_constructible_v<circuit_breaker>);
  circuit_breaker none({});
  circuit_breaker braces{};
  circuit_breaker braces_in_braces{{}};
  circuit_breaker empty = {};
  for (circuit_breaker* b : {&none, &braces, &braces_in_braces, &empty}) {
    for (int i = 0; i < 4; ++i) fail_once(*b);
    EXPECT_EQ(b->current(), state::closed);
    fail_once(*b);
    EXPECT_EQ(b->current(), state::open);
  }
  const circuit_breaker::options once{.failures = 1};
  circuit_breaker in_braces{{.failures = 1}};
  circuit_breaker from_options(once);
  circuit_breaker options_in_braces{once};
  circuit_breaker converted = once;
  for (circuit_breaker* b : {&in_braces, &from_options, &options_in_braces, &converted}) {
    fail_once(*b);
    EXPECT_EQ(b->current(), state::open);
  }
}

RUNNEL_TEST_BOTH(circuit_breaker, a_good_probe_closes_it) {
  circuit_breaker b({.failures = 1, .open_for = 2ms});
  fail_once(b);
  EXPECT_TRUE(half_opens(b));
  EXPECT_EQ(b.call([] { return 1; }), 1);
  EXPECT_EQ(b.current(), state::closed);
  fail_once(b);
  EXPECT_NE(b.current(), state::closed);
}

RUNNEL_TEST_BOTH(circuit_breaker, a_bad_probe_opens_it_again) {
  circuit_breaker b({.failures = 5, .open_for = 20ms});
  for (int i = 0; i < 5; ++i) fail_once(b);
  for (int round = 0; round < 3; ++round) {
    EXPECT_TRUE(half_opens(b));
    const auto begin = std::chrono::steady_clock::now();
    fail_once(b);  // one is enough
    const bool too_slow_to_tell = std::chrono::steady_clock::now() - begin > 10ms;
    EXPECT_TRUE(refused(b) || too_slow_to_tell);
  }
}

RUNNEL_TEST_BOTH(circuit_breaker, only_so_many_probes_at_a_time) {
  circuit_breaker b({.failures = 1, .open_for = 1ms, .probes = 2});
  fail_once(b);
  EXPECT_TRUE(half_opens(b));
  const runnel::chan<void> go_on, inside;
  {
    crew probes;
    for (int i = 0; i < 2; ++i) {
      probes.go([&] {
        b.call([&] {
          inside.send();
          go_on.recv();
        });
      });
    }
    inside.recv();
    inside.recv();
    EXPECT_EQ(b.current(), state::half_open);
    EXPECT_TRUE(refused(b));
    go_on.send();
    EXPECT_EQ(b.current(), state::half_open);  // one of two
    EXPECT_TRUE(refused(b));                   // the other is still out
    go_on.send();
  }
  EXPECT_EQ(b.current(), state::closed);
}

RUNNEL_TEST_BOTH(circuit_breaker, late_outcomes_do_not_count) {
  circuit_breaker b({.failures = 1, .open_for = 1ms});
  const runnel::chan<bool> how;
  const runnel::chan<void> inside;
  {
    crew slow;
    for (int i = 0; i < 2; ++i) {
      slow.go([&] {
        try {
          b.call([&] {
            inside.send();
            if (!*how.recv()) throw std::runtime_error("late failure");
          });
        } catch (const std::runtime_error&) {
        }
      });
    }
    inside.recv();
    inside.recv();
    fail_once(b);
    EXPECT_TRUE(half_opens(b));
    how.send(true);  // began before the failure: proves nothing about now
    EXPECT_EQ(b.current(), state::half_open);
    b.call([] {});
    EXPECT_EQ(b.current(), state::closed);
    how.send(false);
  }
  EXPECT_EQ(b.current(), state::closed);
}

RUNNEL_TEST(circuit_breaker, goexit_is_no_verdict_and_gives_the_probe_back) {
  circuit_breaker b({.failures = 1, .open_for = 1ms});
  fail_once(b);
  EXPECT_TRUE(half_opens(b));
  EXPECT_THROW(runnel::run([&] { b.call([] { runnel::goexit(); }); }), runnel::panic);
  EXPECT_EQ(b.current(), state::half_open);
  b.call([] {});
  EXPECT_EQ(b.current(), state::closed);
}

RUNNEL_TEST_BOTH(circuit_breaker, settings_below_one_count_as_one) {
  circuit_breaker b({.failures = 0, .open_for = 1ms, .probes = -1});
  fail_once(b);
  EXPECT_NE(b.current(), state::closed);
  EXPECT_TRUE(half_opens(b));
  b.call([] {});
  EXPECT_EQ(b.current(), state::closed);
}

RUNNEL_TEST_BOTH(circuit_breaker, under_concurrency) {
  circuit_breaker b({.failures = 3, .open_for = 100us, .probes = 2});
  std::atomic<int> called{0}, refusals{0};
  {
    crew all;
    for (int g = 0; g < 8; ++g) {
      all.go([&, g] {
        for (int i = 0; i < runnel_test::rounds(2000); ++i) {
          try {
            b.call([&] {
              ++called;
              if ((i + g) % 3 != 0) throw std::runtime_error("down");
            });
          } catch (const std::runtime_error& e) {
            if (e.what() != std::string("down")) ++refusals;
          }
          if (i % 16 == 0) runnel::yield();
        }
      });
    }
  }
  EXPECT_EQ(called + refusals, 8 * runnel_test::rounds(2000));
  EXPECT_TRUE(runnel_test::eventually([&] { return !refused(b); }));
}

// Pipelines and parallel_for_each over inputs that wait, channels of nothing, and functions that
// return references. See patterns_test.cpp for the rest.
#include <array>
#include <atomic>
#include <chrono>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <numeric>
#include <runnel/patterns.hpp>
#include <runnel/runtime.hpp>
#include <runnel/time.hpp>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include "support/crew.hpp"
#include "support/test.hpp"

using namespace std::chrono_literals;
using runnel::background;
using runnel::chan;
using runnel::collect;
using runnel::generate;
using runnel::merge;
using runnel::parallel_for_each;
using runnel::recv_chan;
using runnel::tee;
using runnel::transform;
using runnel::transform_ordered;
using runnel::with_cancel;
using runnel_test::crew;
using runnel_test::eventually;

namespace {

/// An input range over a channel that is none: its iterators wait.
class waiting_range {
 public:
  explicit waiting_range(chan<int> c) : c_(std::move(c)) {}
  auto begin() const { return c_.begin(); }
  auto end() const { return c_.end(); }

 private:
  chan<int> c_;
};

bool no_goroutine_but(std::size_t before) {
  return eventually([before] { return runnel::num_goroutine() <= before; });
}

}  // namespace

RUNNEL_TEST_BOTH(pipeline, generating_from_a_channel_ends_with_the_context) {
  const std::size_t before = runnel::num_goroutine();
  auto [ctx, cancel] = with_cancel(background());
  const chan<int> silent;
  const recv_chan<int> out = generate(ctx, silent);
  const recv_chan<int> again = generate(ctx, recv_chan<int>(silent));
  runnel_test::let_others_run();
  cancel();
  EXPECT_TRUE(collect(out).empty());
  EXPECT_TRUE(collect(again).empty());
  EXPECT_TRUE(no_goroutine_but(before));
}

RUNNEL_TEST_BOTH(pipeline, generating_from_a_channel) {
  const chan<int> in(3);
  for (int i = 0; i < 3; ++i) in.send(i);
  in.close();
  EXPECT_EQ(generate(background(), in) | collect(), (std::vector<int>{0, 1, 2}));
  const chan<std::unique_ptr<int>> boxes(1);
  boxes.send(std::make_unique<int>(7));
  boxes.close();
  EXPECT_EQ(*collect(generate(background(), boxes)).at(0), 7);
  const chan<void> events(2);
  events.send();
  events.send();
  events.close();
  const recv_chan<std::monostate> told = generate(background(), events);
  EXPECT_EQ(collect(told).size(), 2U);
  // What ended the stage it came from is handed on.
  const auto failed =
      generate(background(), {1}) | transform(1, [](int) -> int { throw std::runtime_error("x"); });
  EXPECT_THROW(collect(generate(background(), failed)), std::runtime_error);
}

RUNNEL_TEST_BOTH(pipeline, functions_that_return_references_or_constants) {
  const std::vector<std::string> table{"a", "b"};
  const auto look_up = [&](int i) -> const std::string& { return table[std::size_t(i)]; };
  const auto constant = [&](int i) -> const std::string { return table[std::size_t(i)]; };
  const auto numbers = [] { return generate(background(), {0, 1}); };
  static_assert(
      std::is_same_v<decltype(numbers() | transform(1, look_up)), recv_chan<std::string>>);
  EXPECT_EQ(numbers() | transform(1, look_up) | collect(), table);
  EXPECT_EQ(numbers() | transform(1, constant) | collect(), table);
  EXPECT_EQ(numbers() | transform_ordered(2, look_up) | collect(), table);
  EXPECT_EQ(numbers() | transform_ordered(2, constant) | collect(), table);
}

RUNNEL_TEST_BOTH(pipeline, channels_of_nothing) {
  const auto events = [](int n) {
    const chan<void> c(static_cast<std::size_t>(n));
    for (int i = 0; i < n; ++i) c.send();
    c.close();
    return c;
  };
  static_assert(
      std::is_same_v<decltype(merge(background(), events(1), events(1))), recv_chan<void>>);
  EXPECT_EQ(collect(merge(background(), events(2), events(3))).size(), 5U);
  EXPECT_EQ(collect(merge(background(), {events(1), events(1)})).size(), 2U);
  const std::vector<recv_chan<void>> copies = tee(background(), events(1), 3);
  ASSERT_EQ(copies.size(), 3U);
  for (const auto& c : copies) EXPECT_TRUE(c.recv());
  for (const auto& c : copies) EXPECT_FALSE(c.recv());
  EXPECT_EQ((events(4) | tee(2) | merge() | collect()).size(), 8U);
  int count = 0;
  EXPECT_EQ(events(3) | transform(1, [&] { return ++count; }) | collect(),
            (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(events(3) | transform_ordered(2, [] { return 1; }) | collect(),
            (std::vector<int>{1, 1, 1}));
}

RUNNEL_TEST_BOTH(pipeline, stages_over_channels_of_nothing_end_as_others) {
  const std::size_t before = runnel::num_goroutine();
  const chan<void> silent;
  auto [ctx, cancel] = with_cancel(background());
  const auto merged = merge(ctx, silent, silent);
  const auto copies = tee(ctx, silent, 2);
  { const auto abandoned = tee(background(), silent, 2); }
  cancel();
  EXPECT_TRUE(no_goroutine_but(before));
  EXPECT_FALSE(merged.recv());
  EXPECT_FALSE(copies[0].recv());
}

RUNNEL_TEST_BOTH(pipeline, inputs_of_merge_may_be_a_list) {
  const auto a = generate(background(), {1});
  const auto b = generate(background(), {2});
  const auto both = collect(merge(background(), {a, b}));
  EXPECT_EQ(std::accumulate(both.begin(), both.end(), 0), 3);
  const chan<int> c(1), d(1);
  c.send(1);
  d.send(2);
  c.close();
  d.close();
  EXPECT_EQ(collect(merge(background(), {c, d})).size(), 2U);
  EXPECT_TRUE(collect(merge(background(), std::vector{c, d})).empty());
}

// The sender has the next element only when f has handled the one before.
RUNNEL_TEST_BOTH(parallel, fetches_no_element_ahead) {
  const auto answers = [](const chan<int>& in, const chan<void>& handled) {
    return [in, handled] {
      for (int i = 0; i < 5; ++i) {
        in.send(i);
        handled.recv();
      }
      in.close();
    };
  };
  const chan<void> handled;
  crew sender;
  for (const int workers : {1, 3}) {
    {
      const chan<int> c;
      sender.go(answers(c, handled));
      parallel_for_each(c, workers, [&](int) { handled.send(); });
    }
    const chan<int> c;
    sender.go(answers(c, handled));
    parallel_for_each(waiting_range(c), workers, [&](int) { handled.send(); });
  }
}

RUNNEL_TEST_BOTH(parallel, all_workers_work_while_one_waits_for_its_element) {
  const chan<int> in;
  const chan<void> two_inside;
  crew others;
  others.go([&] {
    in.send(1);
    in.send(2);
    two_inside.recv();
    two_inside.recv();
    in.close();
  });
  // Both are inside at once, or neither leaves.
  parallel_for_each(waiting_range(in), 2, [&](int) { two_inside.send(); });
}

RUNNEL_TEST_BOTH(parallel, a_failure_ends_the_wait_for_the_next_value) {
  const chan<int> in(1);  // never closed
  in.send(1);
  EXPECT_THROW(parallel_for_each(in, 3, [](int) { throw std::runtime_error("x"); }),
               std::runtime_error);
  in.send(2);
  EXPECT_THROW(parallel_for_each(recv_chan<int>(in), 3, [](int) { runnel::goexit(); }),
               runnel::panic);
}

RUNNEL_TEST_BOTH(parallel, values_written_down) {
  std::atomic<int> sum{0};
  parallel_for_each({1, 2, 3}, 2, [&](int i) { sum += i; });
  EXPECT_EQ(sum, 6);
  EXPECT_FALSE(parallel_for_each(background(), {4, 5}, 2, [&](int i) { sum += i; }));
  EXPECT_EQ(sum, 15);
  const std::vector<int> constant{1, 2};
  parallel_for_each(constant, 2, [&](const int& i) { sum += i; });
  EXPECT_EQ(sum, 18);
}

RUNNEL_TEST_BOTH(parallel, ends_with_a_context) {
  auto [ctx, cancel] = with_cancel(background());
  std::atomic<int> visited{0};
  EXPECT_FALSE(parallel_for_each(ctx, std::array{1, 2, 3}, 2, [&](int) { ++visited; }));
  EXPECT_EQ(visited, 3);

  std::vector<int> many(100'000, 1);
  const chan<void> cancelled;
  visited = 0;
  EXPECT_EQ(parallel_for_each(ctx, many, 3,
                              [&, &cancel = cancel](int) {
                                const int n = ++visited;
                                if (n > 10) cancelled.recv();
                                if (n != 10) return;
                                cancel();
                                cancelled.close();
                              }),
            runnel::errc::canceled);
  EXPECT_GE(visited, 10);
  EXPECT_LE(visited, 12);  // those that had begun
  visited = 0;
  EXPECT_EQ(parallel_for_each(ctx, many, 3, [&](int) { ++visited; }), runnel::errc::canceled);
  EXPECT_EQ(parallel_for_each(ctx, std::vector<int>(), 3, [&](int) { ++visited; }),
            runnel::errc::canceled);
  EXPECT_EQ(visited, 0);
}

RUNNEL_TEST_BOTH(parallel, a_context_ends_the_wait_for_the_next_value) {
  auto [ctx, cancel] = with_cancel(background());
  const chan<int> in;
  std::atomic<int> sum{0};
  crew other;
  other.go([&, &cancel = cancel] {
    in.send(1);
    in.send(2);
    cancel();
  });
  EXPECT_EQ(parallel_for_each(ctx, in, 3, [&](int i) { sum += i; }), runnel::errc::canceled);
  EXPECT_EQ(sum, 3);
  const chan<int> few(1);
  few.send(4);
  few.close();
  EXPECT_FALSE(parallel_for_each(background(), few, 3, [&](int i) { sum += i; }));
  EXPECT_EQ(sum, 7);
}

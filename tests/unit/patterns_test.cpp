// Pipelines, parallel_for_each, worker pools. The fixture finds every goroutine that is left
// behind.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <iterator>
#include <memory>
#include <numeric>
#include <runnel/patterns.hpp>
#include <runnel/runtime.hpp>
#include <runnel/time.hpp>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/crew.hpp"
#include "support/test.hpp"

using namespace std::chrono_literals;
using runnel::background;
using runnel::chan;
using runnel::collect;
using runnel::generate;
using runnel::merge;
using runnel::recv_chan;
using runnel::tee;
using runnel::transform;
using runnel::transform_ordered;
using runnel::with_cancel;
using runnel_test::crew;
using runnel_test::eventually;
using runnel_test::rounds;

namespace {

std::vector<int> up_to(int n) {
  std::vector<int> v(static_cast<std::size_t>(n));
  std::iota(v.begin(), v.end(), 0);
  return v;
}

std::vector<int> sorted(std::vector<int> v) {
  std::sort(v.begin(), v.end());
  return v;
}

std::vector<int> squares(int n) {
  auto v = up_to(n);
  for (int& i : v) i *= i;
  return v;
}

int square(int i) { return i * i; }

bool no_goroutine_but(std::size_t before) {
  return eventually([before] { return runnel::num_goroutine() <= before; });
}

}  // namespace

RUNNEL_TEST_BOTH(pipeline, stages_compose) {
  auto [ctx, cancel] = with_cancel(background());
  EXPECT_EQ(generate(ctx, up_to(50)) | collect(), up_to(50));
  EXPECT_EQ(sorted(generate(ctx, up_to(50)) | transform(4, square) | collect()), squares(50));
  EXPECT_EQ(generate(ctx, up_to(50)) | transform_ordered(4, square) | collect(), squares(50));
  const recv_chan<int> source = generate(ctx, {1, 2, 3});
  const recv_chan<std::string> texts =
      transform(ctx, source, 1, [](int i) { return std::to_string(i); });
  EXPECT_EQ(collect(texts), (std::vector<std::string>{"1", "2", "3"}));
  const int array[] = {4, 5};
  EXPECT_EQ(collect(generate(ctx, array)), (std::vector<int>{4, 5}));
  EXPECT_TRUE(collect(generate(ctx, std::vector<int>())).empty());
}

RUNNEL_TEST_BOTH(pipeline, values_that_can_only_be_moved) {
  std::vector<std::unique_ptr<int>> boxes;
  for (int i = 0; i < 10; ++i) boxes.push_back(std::make_unique<int>(i));
  auto out = generate(background(), std::move(boxes)) |
             transform_ordered(3,
                               [extra = std::make_unique<int>(1)](std::unique_ptr<int> p) {
                                 *p += *extra;
                                 return p;
                               }) |
             collect();
  ASSERT_EQ(out.size(), 10U);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(*out[static_cast<std::size_t>(i)], i + 1);
}

RUNNEL_TEST_BOTH(pipeline, plain_channels_are_inputs) {
  const chan<int> in(3);
  for (int i = 0; i < 3; ++i) in.send(i);
  in.close();
  EXPECT_EQ(in | transform_ordered(2, square) | collect(), squares(3));
}

RUNNEL_TEST_BOTH(pipeline, workers_work_at_the_same_time) {
  std::atomic<int> inside{0}, most{0};
  const auto slow = [&](int i) {
    const int now = ++inside;
    int seen = most;
    while (seen < now && !most.compare_exchange_weak(seen, now)) {
    }
    runnel::sleep_for(2ms);
    --inside;
    return i;
  };
  collect(generate(background(), up_to(12)) | transform(3, slow));
  EXPECT_LE(most, 3);
  EXPECT_GE(most, 2);
  most = 0;
  EXPECT_EQ(generate(background(), up_to(12)) | transform_ordered(3, slow) | collect(), up_to(12));
  EXPECT_LE(most, 3);
  EXPECT_GE(most, 2);
}

RUNNEL_TEST_BOTH(pipeline, order_is_kept_whatever_the_workers_take) {
  for (const int workers : {1, 2, 3, 8, -1}) {
    const auto jittered = [](int i) {
      if (i % 7 == 0) runnel::sleep_for(std::chrono::microseconds(i % 50));
      if (i % 3 == 0) runnel::yield();
      return i;
    };
    const int n = rounds(500);
    EXPECT_EQ(generate(background(), up_to(n)) | transform_ordered(workers, jittered) | collect(),
              up_to(n));
  }
}

RUNNEL_TEST_BOTH(pipeline, merging) {
  auto [ctx, cancel] = with_cancel(background());
  const auto source = generate(ctx, up_to(30));
  EXPECT_EQ(sorted(collect(merge(ctx, source, source, source))), up_to(30));
  std::vector<recv_chan<int>> many;
  for (int i = 0; i < 10; ++i) many.push_back(generate(ctx, {i}));
  EXPECT_EQ(sorted(collect(merge(ctx, many))), up_to(10));
  EXPECT_TRUE(collect(merge(ctx, std::vector<recv_chan<int>>())).empty());
}

RUNNEL_TEST_BOTH(pipeline, tee_gives_everyone_everything) {
  auto outs = tee(background(), generate(background(), up_to(20)), 3);
  ASSERT_EQ(outs.size(), 3U);
  // Read in an order that differs from round to round.
  for (int i = 0; i < 20; ++i) {
    for (std::size_t k = 0; k < 3; ++k) {
      EXPECT_EQ(outs[(k + static_cast<std::size_t>(i)) % 3].recv(), i);
    }
  }
  for (const auto& out : outs) EXPECT_FALSE(out.recv());
  const auto doubled = generate(background(), up_to(5)) | tee(2) | merge() | collect();
  EXPECT_EQ(sorted(doubled), (std::vector<int>{0, 0, 1, 1, 2, 2, 3, 3, 4, 4}));
  EXPECT_TRUE(tee(background(), chan<int>(), 0).empty());
}

RUNNEL_TEST_BOTH(pipeline, a_tee_goes_on_without_those_who_left) {
  auto outs = tee(background(), generate(background(), up_to(20)), 3);
  outs[1] = nullptr;
  EXPECT_EQ(outs[0].recv(), 0);
  EXPECT_EQ(outs[2].recv(), 0);
  outs[0] = nullptr;
  for (int i = 1; i < 20; ++i) EXPECT_EQ(outs[2].recv(), i);
  EXPECT_FALSE(outs[2].recv());
}

RUNNEL_TEST_BOTH(pipeline, ends_with_its_context) {
  const std::size_t before = runnel::num_goroutine();
  auto [ctx, cancel] = with_cancel(background());
  const auto out = generate(ctx, up_to(1'000'000)) | transform(4, square) |
                   transform_ordered(4, [](int i) { return i; });
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(out.recv());
  const auto copies = tee(ctx, generate(ctx, up_to(1000)), 2);
  const auto merged = merge(ctx, copies);
  EXPECT_TRUE(merged.recv());
  cancel();
  EXPECT_TRUE(no_goroutine_but(before));  // although the handles are still here
  EXPECT_LE(collect(out).size(), 16U);
  EXPECT_FALSE(runnel::failure(out));
}

RUNNEL_TEST_BOTH(pipeline, ends_when_nobody_receives_any_more) {
  const std::size_t before = runnel::num_goroutine();
  {
    const auto out = generate(background(), up_to(1'000'000)) | transform(4, square) |
                     transform_ordered(4, [](int i) { return i; });
    const auto both = tee(background(), out, 2);
    const auto merged = merge(background(), both);
    EXPECT_TRUE(merged.recv());
  }
  EXPECT_TRUE(no_goroutine_but(before));
  generate(background(), up_to(100));  // never received from at all
  EXPECT_TRUE(no_goroutine_but(before));
  for ([[maybe_unused]] int i : generate(background(), up_to(100))) break;
  EXPECT_TRUE(no_goroutine_but(before));
  {
    const chan<int> silent;  // a stage that waits for its input ends, too
    const auto out = silent | transform(3, square);
  }
  EXPECT_TRUE(no_goroutine_but(before));
}

RUNNEL_TEST_BOTH(pipeline, exceptions_reach_collect) {
  const std::size_t before = runnel::num_goroutine();
  const auto fails = [](int i) {
    if (i == 20) throw std::runtime_error("number 20");
    return i;
  };
  const auto same = [](int i) { return i; };
  const auto expect_failure = [](const recv_chan<int>& out) {
    try {
      collect(out);
      ADD_FAILURE() << "no exception";
    } catch (const std::runtime_error& e) {
      EXPECT_STREQ(e.what(), "number 20");
    }
    EXPECT_TRUE(runnel::failure(out));
  };
  const auto source = [] { return generate(background(), up_to(1'000'000)); };
  expect_failure(source() | transform(3, fails));
  expect_failure(source() | transform_ordered(3, fails));
  expect_failure(source() | transform(3, fails) | transform(2, same) | transform_ordered(2, same));
  expect_failure(merge(background(), source() | transform(2, fails), chan<int>()));
  expect_failure(source() | transform(1, fails) | tee(2) | merge());
  expect_failure(transform(background(), source(), 3, fails));
  EXPECT_TRUE(no_goroutine_but(before));
}

RUNNEL_TEST_BOTH(pipeline, ordered_results_before_the_failure_are_there) {
  const auto out = generate(background(), up_to(100)) | transform_ordered(1, [](int i) {
                     if (i == 10) throw std::runtime_error("ten");
                     return i;
                   });
  for (int i = 0; i < 10; ++i) EXPECT_EQ(out.recv(), i);
  EXPECT_FALSE(out.recv());
  EXPECT_TRUE(runnel::failure(out));
}

RUNNEL_TEST_BOTH(pipeline, goexit_in_a_stage_is_a_failure) {
  const auto leaves = [](int i) {
    if (i == 3) runnel::goexit();
    return i;
  };
  EXPECT_THROW(generate(background(), up_to(10)) | transform(2, leaves) | collect(), runnel::panic);
  EXPECT_THROW(generate(background(), up_to(10)) | transform_ordered(2, leaves) | collect(),
               runnel::panic);
}

RUNNEL_TEST_BOTH(pipeline, abandoned_and_cancelled_at_the_same_time) {
  for (int i = 0; i < rounds(200); ++i) {
    auto [ctx, cancel] = with_cancel(background());
    auto out = generate(ctx, up_to(100)) | transform(3, square);
    crew two;
    two.go([&, &cancel = cancel] { cancel(); });  // Clang before 16 asks for it
    two.go([&, mine = std::move(out)]() mutable {
      if (i % 2 == 0) mine.recv();
      mine = nullptr;
    });
  }
}

RUNNEL_TEST_BOTH(parallel, visits_every_element_once) {
  for (const int workers : {-1, 1, 3, 64}) {
    std::vector<int> v(100, 0);
    runnel::parallel_for_each(v, workers, [](int& i) { ++i; });
    EXPECT_EQ(v, std::vector<int>(100, 1));
  }
  std::vector<int> none;
  runnel::parallel_for_each(none, 3, [](int) { ADD_FAILURE(); });
  std::istringstream words("1 2 3 4");  // an input range
  std::atomic<int> sum{0};
  struct ints {
    std::istringstream& in;
    auto begin() { return std::istream_iterator<int>(in); }
    auto end() { return std::istream_iterator<int>(); }
  } numbers{words};
  runnel::parallel_for_each(numbers, 2, [&](int i) { sum += i; });
  EXPECT_EQ(sum, 10);
}

RUNNEL_TEST_BOTH(parallel, stops_at_the_first_exception_and_rethrows_it) {
  std::atomic<int> begun{0}, inside{0};
  try {
    runnel::parallel_for_each(up_to(10'000), 4, [&](int i) {
      ++begun;
      ++inside;
      const runnel::defer leave{[&] { --inside; }};
      if (i == 5) throw std::runtime_error("five");
      runnel::sleep_for(200us);
    });
    ADD_FAILURE() << "no exception";
  } catch (const std::runtime_error& e) {
    EXPECT_STREQ(e.what(), "five");
  }
  EXPECT_EQ(inside, 0);
  EXPECT_LT(begun, 10'000);
  EXPECT_THROW(runnel::parallel_for_each(up_to(3), 2, [](int) { runnel::goexit(); }),
               runnel::panic);
}

RUNNEL_TEST_BOTH(worker_pool, jobs_and_results) {
  runnel::worker_pool pool(3);
  std::vector<runnel::future<int>> results;
  for (int i = 0; i < 100; ++i) results.push_back(pool.submit([i] { return i * i; }));
  for (int i = 0; i < 100; ++i) EXPECT_EQ(results[static_cast<std::size_t>(i)].get(), i * i);
  EXPECT_EQ(*pool.submit([p = std::make_unique<int>(3)]() mutable { return std::move(p); }).get(),
            3);
  EXPECT_THROW(pool.submit([] { throw std::runtime_error("x"); }).get(), std::runtime_error);
  pool.submit([] {}).get();
}

RUNNEL_TEST_BOTH(worker_pool, at_most_so_many_at_once) {
  std::atomic<int> inside{0}, most{0};
  {
    runnel::worker_pool pool(3, 100);
    for (int i = 0; i < 30; ++i) {
      pool.submit([&] {
        const int now = ++inside;
        int seen = most;
        while (seen < now && !most.compare_exchange_weak(seen, now)) {
        }
        runnel::sleep_for(500us);
        --inside;
      });
    }
  }  // closes and waits
  EXPECT_EQ(inside, 0);
  EXPECT_LE(most, 3);
}

RUNNEL_TEST_BOTH(worker_pool, wait_and_close) {
  runnel::worker_pool pool(2);
  std::atomic<int> ran{0};
  pool.wait();
  for (int i = 0; i < 10; ++i) {
    pool.submit([&] {
      runnel::yield();
      ++ran;
    });
  }
  pool.wait();  // without close: for the jobs
  EXPECT_EQ(ran, 10);
  pool.submit([&] { ++ran; });
  pool.close();
  pool.close();
  pool.wait();
  EXPECT_EQ(ran, 11);
  try {
    pool.submit([] {});
    ADD_FAILURE() << "no panic";
  } catch (const runnel::panic& p) {
    EXPECT_STREQ(p.what(), "submit on closed worker_pool");
  }
}

RUNNEL_TEST_BOTH(worker_pool, close_while_submitters_wait) {
  runnel::worker_pool pool(1, 0);
  const chan<void> go_on;
  auto first = pool.submit([&] { go_on.recv(); });
  std::atomic<int> refused{0};
  crew submitters;
  for (int i = 0; i < 3; ++i) {
    submitters.go([&] {
      try {
        pool.submit([] {});
      } catch (const runnel::panic& p) {
        EXPECT_STREQ(p.what(), "submit on closed worker_pool");
        ++refused;
      }
    });
  }
  runnel_test::let_others_run();
  pool.close();
  submitters.wait();
  EXPECT_EQ(refused, 3);
  go_on.send();
  first.get();
  pool.wait();
}

RUNNEL_TEST_BOTH(worker_pool, goexit_costs_no_worker) {
  runnel::worker_pool pool(2);
  for (int i = 0; i < 10; ++i) {
    EXPECT_THROW(pool.submit([] { runnel::goexit(); }).get(), runnel::panic);
  }
  EXPECT_EQ(pool.submit([] { return 1; }).get(), 1);
}

RUNNEL_TEST_BOTH(worker_pool, what_a_job_holds_is_gone_with_its_result) {
  runnel::worker_pool pool(2);
  for (int i = 0; i < rounds(200); ++i) {
    const auto held = std::make_shared<int>(i);
    pool.submit([held] {}).get();
    EXPECT_EQ(held.use_count(), 1);
  }
}

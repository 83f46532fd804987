// pool: what comes back, bounds, exceptions; the behaviour of Go's sync/pool_test.go without its
// garbage collector.
#include <atomic>
#include <memory>
#include <set>
#include <string>

#include "support/tracked.hpp"
#include "sync_support.hpp"

using runnel::pool;
using runnel_test::crew;
using runnel_test::ledger;
using runnel_test::rounds;
using runnel_test::thread_group;
using runnel_test::tracked;

static_assert(runnel_test::is_pinned<pool<int>>);

RUNNEL_TEST_BOTH(pool, gives_back_what_was_put) {
  int made = 0;
  pool<std::string> p([&] {
    ++made;
    return std::string("new");
  });
  EXPECT_EQ(p.get(), "new");
  p.put("a");
  p.put("b");
  std::set<std::string> got;
  got.insert(p.get());
  got.insert(p.get());
  EXPECT_EQ(got, (std::set<std::string>{"a", "b"}));
  EXPECT_EQ(made, 1);
  EXPECT_EQ(p.get(), "new");
  EXPECT_EQ(made, 2);
}

RUNNEL_TEST_BOTH(pool, move_only_values) {
  pool<std::unique_ptr<int>> p([] { return std::make_unique<int>(0); });
  auto x = p.get();
  *x = 5;
  const int* address = x.get();
  p.put(std::move(x));
  EXPECT_EQ(p.get().get(), address);
}

// What one thread put another one gets, before anything new is made.
RUNNEL_TEST_BOTH(pool, taken_from_other_threads) {
  std::atomic<int> made{0};
  pool<int> p([&] { return ++made, -1; });
  {
    thread_group threads;
    threads.start([&] {
      for (int i = 0; i < 10; ++i) p.put(i);
    });
  }
  std::set<int> got;
  for (int i = 0; i < 10; ++i) got.insert(p.get());
  EXPECT_EQ(got.size(), 10U);
  EXPECT_EQ(made, 0);
}

RUNNEL_TEST_BOTH(pool, nothing_is_lost_or_doubled) {
  ledger values;
  {
    std::atomic<int> next{0};
    pool<tracked> p([&] { return tracked(values, ++next); });
    {
      crew goroutines;
      thread_group threads;
      auto work = [&] {
        std::vector<tracked> mine;
        for (int i = 0; i < rounds(2000); ++i) {
          if (i % 7 < 4) {
            mine.push_back(p.get());
            EXPECT_TRUE(mine.back().has_value());
          } else if (!mine.empty()) {
            p.put(std::move(mine.back()));
            mine.pop_back();
          }
          if (i % 64 == 0) runnel::yield();
        }
        while (!mine.empty()) {
          p.put(std::move(mine.back()));
          mine.pop_back();
        }
      };
      for (int i = 0; i < 5; ++i) goroutines.go(work);
      for (int i = 0; i < 3; ++i) threads.start(work);
    }
    EXPECT_EQ(values.values + values.destroyed, next);
  }
  EXPECT_EQ(values.objects, 0);
  EXPECT_EQ(values.errors, 0);
}

RUNNEL_TEST_BOTH(pool, does_not_grow_without_bound) {
  ledger values;
  {
    pool<tracked> p([&] { return tracked(values, 0); });
    for (int i = 0; i < 100'000; ++i) p.put(tracked(values, i));
    EXPECT_LE(values.values, 16 * 256);
    EXPECT_GE(values.values, 256);
  }
  EXPECT_EQ(values.objects, 0);
}

RUNNEL_TEST_BOTH(pool, factory_may_throw_and_use_the_pool) {
  pool<int>* self = nullptr;
  int depth = 0;
  pool<int> p([&]() -> int {
    if (++depth > 3) throw std::runtime_error("cannot make it");
    return self->get() + 1;
  });
  self = &p;
  EXPECT_THROW(p.get(), std::runtime_error);
  p.put(1);
  EXPECT_EQ(p.get(), 1);
}

RUNNEL_TEST_BOTH(pool, values_whose_move_throws) {
  ledger values;
  std::atomic<int> fuse{0};
  {
    pool<runnel_test::throwing_move> p([&] { return runnel_test::throwing_move(values, fuse, 1); });
    p.put(p.get());
    fuse = 1;
    EXPECT_THROW(p.put(runnel_test::throwing_move(values, fuse, 2)), std::runtime_error);
    fuse = 0;
    EXPECT_EQ(p.get().value(), 1);
  }
  EXPECT_EQ(values.objects, 0);
  EXPECT_EQ(values.errors, 0);
}

RUNNEL_TEST_BOTH(pool, factories_of_any_kind) {
  struct owner {
    pool<int> numbers = {[] { return 1; }};
  } o;
  EXPECT_EQ(o.numbers.get(), 1);
  pool deduced([] { return std::string("x"); });
  static_assert(std::is_same_v<decltype(deduced), pool<std::string>>);
  EXPECT_EQ(deduced.get(), "x");
  pool<int> by_move_only([p = std::make_unique<int>(7)] { return ++*p; });
  EXPECT_EQ(by_move_only.get(), 8);
  EXPECT_EQ(by_move_only.get(), 9);
}

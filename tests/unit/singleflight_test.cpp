// singleflight: the behaviour of x/sync's singleflight_test.go.
#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>

#include "sync_support.hpp"

using namespace std::chrono_literals;
using runnel::singleflight;
using runnel_test::crew;
using runnel_test::eventually;
using runnel_test::eventually_blocked;
using runnel_test::rounds;
using runnel_test::thread_group;

static_assert(runnel_test::is_pinned<singleflight<int, int>>);

RUNNEL_TEST_BOTH(singleflight, returns_the_value) {
  singleflight<std::string, std::string> g;
  EXPECT_EQ(g.do_once("key", [] { return "bar"; }), "bar");
  EXPECT_EQ(g.do_once("key", [] { return std::string("baz"); }), "baz");  // not a cache
}

RUNNEL_TEST_BOTH(singleflight, rethrows) {
  singleflight<int, int> g;
  EXPECT_THROW(g.do_once(1, []() -> int { throw std::runtime_error("some error"); }),
               std::runtime_error);
  EXPECT_EQ(g.do_once(1, [] { return 2; }), 2);
}

// Go's TestDoDupSuppress.
RUNNEL_TEST_BOTH(singleflight, duplicates_are_suppressed) {
  singleflight<std::string, std::shared_ptr<int>> g;
  std::atomic<int> calls{0};
  runnel::chan<void> inside, go_on;
  std::vector<std::shared_ptr<int>> results(10);
  crew goroutines;
  for (std::size_t i = 0; i < results.size(); ++i) {
    goroutines.go([&, i] {
      results[i] = g.do_once("key", [&] {
        ++calls;
        inside.send();
        go_on.recv();
        return std::make_shared<int>(7);
      });
    });
  }
  inside.recv();
  ASSERT_TRUE(eventually_blocked(results.size() - 1, "latch"));
  // Another key is not held up.
  EXPECT_EQ(g.do_once("other", [] { return nullptr; }), nullptr);
  go_on.send();
  goroutines.wait();
  EXPECT_EQ(calls, 1);
  for (const auto& r : results) EXPECT_EQ(r, results[0]);
}

// Go's TestForget.
RUNNEL_TEST_BOTH(singleflight, forget) {
  singleflight<std::string, int> g;
  runnel::chan<void> first_inside, first_goes_on, second_inside, second_goes_on;
  crew goroutines;
  goroutines.go([&] {
    EXPECT_EQ(g.do_once("key",
                        [&] {
                          first_inside.send();
                          first_goes_on.recv();
                          return 1;
                        }),
              1);
  });
  first_inside.recv();
  g.forget("key");
  goroutines.go([&] {
    EXPECT_EQ(g.do_once("key",
                        [&] {
                          second_inside.send();
                          second_goes_on.recv();
                          return 2;
                        }),
              2);
  });
  second_inside.recv();
  first_goes_on.send();  // its end must not take the second one's place away
  ASSERT_TRUE(eventually([&] { return runnel_test::blocked_in("chan receive") >= 1; }));
  runnel_test::let_others_run();
  goroutines.go([&] { EXPECT_EQ(g.do_once("key", [] { return 3; }), 2); });
  ASSERT_TRUE(eventually_blocked(1, "latch"));
  second_goes_on.send();
}

// Go's TestPanicDo: everyone gets it.
RUNNEL_TEST_BOTH(singleflight, exception_goes_to_all) {
  singleflight<int, int> g;
  runnel::chan<void> inside, go_on;
  std::atomic<int> caught{0};
  crew goroutines;
  for (int i = 0; i < 5; ++i) {
    goroutines.go([&] {
      try {
        g.do_once(1, [&]() -> int {
          inside.send();
          go_on.recv();
          throw std::runtime_error("invalid memory address");
        });
      } catch (const std::runtime_error& e) {
        EXPECT_STREQ(e.what(), "invalid memory address");
        ++caught;
      }
    });
  }
  inside.recv();
  ASSERT_TRUE(eventually_blocked(4, "latch"));
  go_on.send();
  goroutines.wait();
  EXPECT_EQ(caught, 5);
}

// Go's TestGoexitDo: the others end as well.
RUNNEL_TEST_BOTH(singleflight, goexit_goes_to_all) {
  singleflight<int, int> g;
  runnel::chan<void> inside, go_on;
  std::atomic<int> returned{0};
  runnel::wait_group wg;
  for (int i = 0; i < 5; ++i) {
    wg.go([&] {
      g.do_once(1, [&]() -> int {
        inside.send();
        go_on.recv();
        runnel::goexit();
      });
      ++returned;
    });
  }
  inside.recv();
  ASSERT_TRUE(eventually_blocked(4, "latch"));
  go_on.send();
  wg.wait();
  EXPECT_EQ(returned, 0);
  EXPECT_EQ(g.do_once(1, [] { return 1; }), 1);
}

RUNNEL_TEST_BOTH(singleflight, void_value) {
  singleflight<int, void> g;
  int n = 0;
  g.do_once(1, [&] { ++n; });
  g.do_once(1, [&] { ++n; });
  EXPECT_EQ(n, 2);
  static_assert(std::is_void_v<decltype(g.do_once(1, [] {}))>);
}

RUNNEL_TEST_BOTH(singleflight, many) {
  singleflight<int, int> g;
  std::atomic<int> inside[4] = {};
  crew goroutines;
  thread_group threads;
  auto work = [&] {
    for (int i = 0; i < rounds(500); ++i) {
      const int k = i % 4;
      EXPECT_EQ(g.do_once(k,
                          [&, k] {
                            EXPECT_EQ(++inside[k], 1);
                            if (i % 8 == 0) runnel::yield();
                            --inside[k];
                            return k;
                          }),
                k);
    }
  };
  for (int i = 0; i < 6; ++i) goroutines.go(work);
  for (int i = 0; i < 2; ++i) threads.start(work);
}

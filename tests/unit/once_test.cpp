// call_once and once_value: the behaviour of Go's sync/once_test.go and oncefunc_test.go, and the
// standard's rule for exceptions.
#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>

#include "sync_support.hpp"

using runnel::call_once;
using runnel::once_flag;
using runnel::once_value;
using runnel_test::crew;
using runnel_test::eventually_blocked;
using runnel_test::panic_text;
using runnel_test::rounds;
using runnel_test::thread_group;

static_assert(runnel_test::is_pinned<once_flag>);
static_assert(runnel_test::is_pinned<decltype(once_value([] { return 1; }))>);

namespace {
constinit once_flag global;
std::atomic<int> global_calls{0};
}  // namespace

RUNNEL_TEST_BOTH(once, once_among_many) {
  for (int round = 0; round < rounds(100); ++round) {
    once_flag flag;
    int calls = 0;
    crew goroutines;
    thread_group threads;
    auto work = [&] {
      call_once(flag, [&] {
        if (round % 4 == 0) runnel::yield();
        ++calls;
      });
      EXPECT_EQ(calls, 1);  // and its effect is seen by all
    };
    for (int i = 0; i < 10; ++i) goroutines.go(work);
    if (round % 16 == 0) {
      for (int i = 0; i < 3; ++i) threads.start(work);
    }
  }
  call_once(global, [] { ++global_calls; });
  EXPECT_EQ(global_calls, 1);
}

RUNNEL_TEST_BOTH(once, arguments_are_forwarded) {
  struct target {
    int add(std::unique_ptr<int> p, int& out) {
      out = *p + 1;
      return out;
    }
  } t;
  once_flag flag;
  int out = 0;
  call_once(flag, &target::add, t, std::make_unique<int>(41), out);
  EXPECT_EQ(out, 42);  // by reference, unlike the arguments of go
}

RUNNEL_TEST_BOTH(once, exception_leaves_it_unset) {
  once_flag flag;
  int calls = 0;
  for (int i = 0; i < 3; ++i) {
    EXPECT_THROW(call_once(flag,
                           [&] {
                             ++calls;
                             throw std::runtime_error("no");
                           }),
                 std::runtime_error);
  }
  call_once(flag, [&] { ++calls; });
  call_once(flag, [&] { ++calls; });
  EXPECT_EQ(calls, 4);
}

// While one is in the function the others wait; where it fails, the next in line tries.
RUNNEL_TEST_BOTH(once, waiters_take_over_in_turn) {
  for (int round = 0; round < rounds(20); ++round) {
    once_flag flag;
    std::vector<int> order;
    runnel::chan<void> inside, go_on;
    std::atomic<int> threw{0};
    crew goroutines;
    for (int i = 0; i < 6; ++i) {
      goroutines.go([&, i] {
        try {
          call_once(flag, [&] {
            if (i == 0) {
              inside.send();
              go_on.recv();
            }
            order.push_back(i);
            if (i < 3) throw i;
          });
        } catch (int) {
          ++threw;
        }
      });
      if (i == 0) inside.recv();
      ASSERT_TRUE(eventually_blocked(static_cast<std::size_t>(i), "once"));
    }
    go_on.send();
    goroutines.wait();
    EXPECT_EQ(threw, 3);
    EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3}));
  }
}

RUNNEL_TEST_BOTH(once, goexit_leaves_it_unset) {
  once_flag flag;
  crew goroutines;
  std::atomic<bool> done{false};
  runnel::go([&] {
    struct mark {
      std::atomic<bool>& flag;
      ~mark() { flag = true; }
    } m{done};
    call_once(flag, [] { runnel::goexit(); });
  });
  ASSERT_TRUE(runnel_test::eventually([&] { return done.load(); }));
  int calls = 0;
  call_once(flag, [&] { ++calls; });
  EXPECT_EQ(calls, 1);
}

RUNNEL_TEST_BOTH(once, destroyed_right_after_a_return) {
  for (int i = 0; i < rounds(1000); ++i) {
    struct shared {
      once_flag flag;
      std::atomic<int> users{2};
    };
    auto* s = new shared;
    crew goroutines;
    for (int k = 0; k < 2; ++k) {
      goroutines.go([s, i] {
        call_once(s->flag, [&] {
          if (i % 2 == 0) runnel::yield();
        });
        if (--s->users == 0) delete s;
      });
    }
  }
}

RUNNEL_TEST_BOTH(once_value, calls_once) {
  int calls = 0;
  auto value = once_value([&] { return ++calls; });
  EXPECT_EQ(calls, 0);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(value(), 1);
  auto nothing = once_value([&] { calls = 10; });
  nothing();
  calls = 20;
  nothing();
  EXPECT_EQ(calls, 20);
  static_assert(std::is_void_v<decltype(nothing())>);
}

RUNNEL_TEST_BOTH(once_value, any_kind_of_value) {
  auto unique = once_value([p = std::make_unique<int>(7)]() mutable { return std::move(p); });
  EXPECT_EQ(*unique(), 7);
  EXPECT_EQ(*unique(), 7);
  int x = 1;
  auto reference = once_value([&]() -> int& { return x; });
  reference() = 5;
  EXPECT_EQ(x, 5);
  const auto constant = once_value([] { return std::string("text"); });
  const std::string& text = constant();
  EXPECT_EQ(text, "text");
  EXPECT_EQ(&text, &constant());  // the value itself, not a copy
  struct no_default {
    explicit no_default(int n) : value(n) {}
    int value;
  };
  EXPECT_EQ(once_value([] { return no_default(3); })().value, 3);
}

// Go's TestOnceValues: several values are one.
RUNNEL_TEST_BOTH(once_value, several_values) {
  int calls = 0;
  const auto values = once_value([&] {
    ++calls;
    return std::pair(calls, std::string("two"));
  });
  for (int i = 0; i < 3; ++i) {
    const auto& [number, text] = values();
    EXPECT_EQ(number, 1);
    EXPECT_EQ(text, "two");
  }
  EXPECT_EQ(calls, 1);
  const auto three = once_value([] { return std::tuple(1, 'c', std::make_unique<int>(7)); });
  EXPECT_EQ(*std::get<2>(three()), 7);
}

RUNNEL_TEST_BOTH(once_value, among_many) {
  for (int round = 0; round < rounds(50); ++round) {
    std::atomic<int> calls{0};
    auto value = once_value([&] {
      runnel::yield();
      return ++calls;
    });
    crew goroutines;
    for (int i = 0; i < 10; ++i) goroutines.go([&] { EXPECT_EQ(value(), 1); });
  }
}

// Go's TestOnceFuncPanic: the same panic at every call.
RUNNEL_TEST_BOTH(once_value, rethrows_at_every_call) {
  int calls = 0;
  auto fails = once_value([&]() -> int {
    ++calls;
    throw std::runtime_error("x" + std::to_string(calls));
  });
  for (int i = 0; i < 3; ++i) {
    try {
      fails();
      ADD_FAILURE() << "no exception";
    } catch (const std::runtime_error& e) {
      EXPECT_STREQ(e.what(), "x1");
    }
  }
  EXPECT_EQ(calls, 1);
}

RUNNEL_TEST_BOTH(once_value, goexit_is_told) {
  auto exits = once_value([]() -> int { runnel::goexit(); });
  runnel::wait_group wg;
  wg.go([&] { exits(); });
  wg.wait();
  EXPECT_EQ(panic_text([&] { exits(); }), "sync: function given to once_value ended by goexit");
}

// Go's TestOnceXGC: what the function holds goes once it has run.
RUNNEL_TEST_BOTH(once_value, function_is_destroyed_once_it_has_run) {
  const auto held = std::make_shared<int>(1);
  auto value = once_value([held] { return *held; });
  EXPECT_EQ(held.use_count(), 2);
  value();
  EXPECT_EQ(held.use_count(), 1);
  auto fails = once_value([held] { throw *held; });
  EXPECT_THROW(fails(), int);
  EXPECT_EQ(held.use_count(), 1);
}

// Futures, promises, async: the standard's behaviour, for goroutines.
#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <runnel/chan.hpp>
#include <runnel/future.hpp>
#include <runnel/go.hpp>
#include <runnel/select.hpp>
#include <runnel/time.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/crew.hpp"
#include "support/test.hpp"

using namespace std::chrono_literals;
using runnel::async;
using runnel::chan;
using runnel::future;
using runnel::promise;
using runnel::shared_future;
using runnel_test::crew;
using runnel_test::rounds;
using std::future_errc;

namespace {

std::future_errc error_of(auto f) {
  try {
    f();
  } catch (const std::future_error& e) {
    return static_cast<std::future_errc>(e.code().value());
  }
  return {};
}

int twice(int x) { return 2 * x; }

// An allocator that counts what is alive of its own.
template <class T>
struct counting_allocator {
  using value_type = T;
  explicit counting_allocator(std::atomic<int>& n) : alive(&n) {}
  template <class U>
  counting_allocator(const counting_allocator<U>& other) : alive(other.alive) {}
  T* allocate(std::size_t n) {
    ++*alive;
    return std::allocator<T>().allocate(n);
  }
  void deallocate(T* p, std::size_t n) {
    std::allocator<T>().deallocate(p, n);
    --*alive;
  }
  bool operator==(const counting_allocator& other) const = default;
  std::atomic<int>* alive;
};

}  // namespace

RUNNEL_TEST_BOTH(future, async_returns_what_the_function_returns) {
  EXPECT_EQ(async([] { return 42; }).get(), 42);
  EXPECT_EQ(async(twice, 21).get(), 42);
  EXPECT_EQ(*async([](std::unique_ptr<int> p) { return p; }, std::make_unique<int>(7)).get(), 7);
  static int global = 0;
  EXPECT_EQ(&async([]() -> int& { return global; }).get(), &global);
  std::atomic<bool> ran{false};
  async([&] { ran = true; }).get();
  EXPECT_TRUE(ran);
  const std::string text = "by value";
  EXPECT_EQ(async([](const std::string& s) { return s.size(); }, text).get(), 8U);
  EXPECT_EQ(async(&std::string::size, text).get(), 8U);
}

RUNNEL_TEST_BOTH(future, async_runs_on_a_goroutine_of_its_own) {
  const auto mine = runnel::this_goroutine::id();
  const auto its = async([] { return runnel::this_goroutine::id(); }).get();
  EXPECT_NE(its, 0U);
  EXPECT_NE(its, mine);
}

RUNNEL_TEST_BOTH(future, exceptions_come_out_of_get) {
  auto f = async([]() -> int { throw std::runtime_error("boom"); });
  f.wait();
  EXPECT_TRUE(f.valid());
  EXPECT_THROW(f.get(), std::runtime_error);
  EXPECT_FALSE(f.valid());
  EXPECT_THROW(async([] { throw 7; }).get(), int);
}

RUNNEL_TEST_BOTH(future, goexit_gives_the_waiter_a_panic) {
  try {
    async([]() -> int { runnel::goexit(); }).get();
    ADD_FAILURE() << "no panic";
  } catch (const runnel::panic& p) {
    EXPECT_STREQ(p.what(), "goexit called in a goroutine that was waited for");
  }
  EXPECT_THROW(async([] { runnel::goexit(); }).get(), runnel::panic);
}

RUNNEL_TEST_BOTH(future, what_the_function_holds_is_gone_when_the_result_is_there) {
  for (int i = 0; i < rounds(200); ++i) {
    const auto held = std::make_shared<int>(i);
    auto f = async([held] { return *held; });
    f.wait();
    EXPECT_EQ(held.use_count(), 1);
  }
}

RUNNEL_TEST_BOTH(future, dropping_does_not_wait) {
  const runnel::chan<void> go_on, ended;
  {
    auto f = async([=] {
      go_on.recv();
      ended.close();
    });
  }
  go_on.send();
  EXPECT_FALSE(ended.recv());
}

RUNNEL_TEST_BOTH(future, promises) {
  promise<int> p;
  auto f = p.get_future();
  EXPECT_EQ(f.wait_for(0s), std::future_status::timeout);
  EXPECT_EQ(f.wait_for(2ms), std::future_status::timeout);
  EXPECT_EQ(f.wait_until(std::chrono::system_clock::now() + 1ms), std::future_status::timeout);
  crew one;
  one.go([&] { p.set_value(3); });
  EXPECT_EQ(f.wait_for(1h), std::future_status::ready);
  EXPECT_EQ(f.wait_until(std::chrono::steady_clock::now()), std::future_status::ready);
  EXPECT_EQ(f.get(), 3);

  promise<std::string> text;
  text.set_value({'a', 'b'});
  EXPECT_EQ(text.get_future().get(), "ab");
  promise<void> nothing;
  nothing.set_value();
  nothing.get_future().get();
  int x = 0;
  promise<int&> reference;
  reference.set_value(x);
  EXPECT_EQ(&reference.get_future().get(), &x);
  promise<int> failed;
  failed.set_exception(std::make_exception_ptr(std::runtime_error("no")));
  EXPECT_THROW(failed.get_future().get(), std::runtime_error);
}

RUNNEL_TEST_BOTH(future, misuse_throws_the_standards_errors) {
  future<int> none;
  EXPECT_FALSE(none.valid());
  EXPECT_EQ(error_of([&] { none.get(); }), future_errc::no_state);
  EXPECT_EQ(error_of([&] { none.wait(); }), future_errc::no_state);
  EXPECT_EQ(error_of([&] { none.done(); }), future_errc::no_state);
  EXPECT_EQ(error_of([&] { runnel::select(runnel::on_ready(none)); }), future_errc::no_state);

  promise<int> p;
  auto f = p.get_future();
  EXPECT_EQ(error_of([&] { p.get_future(); }), future_errc::future_already_retrieved);
  p.set_value(1);
  EXPECT_EQ(error_of([&] { p.set_value(2); }), future_errc::promise_already_satisfied);
  EXPECT_EQ(error_of([&] { p.set_exception(nullptr); }), future_errc::promise_already_satisfied);
  EXPECT_EQ(f.get(), 1);

  future<int> orphan;
  {
    promise<int> dropped;
    orphan = dropped.get_future();
    promise<int> moved = std::move(dropped);
    EXPECT_EQ(error_of([&] { dropped.set_value(1); }), future_errc::no_state);
    EXPECT_EQ(error_of([&] { dropped.get_future(); }), future_errc::no_state);
  }
  EXPECT_EQ(error_of([&] { orphan.get(); }), future_errc::broken_promise);
}

RUNNEL_TEST_BOTH(future, a_value_that_could_not_be_made_can_be_set_again) {
  struct picky {
    picky(int v) : value(v) {
      if (v < 0) throw std::invalid_argument("negative");
    }
    int value;
  };
  promise<picky> p;
  EXPECT_THROW(p.set_value(-1), std::invalid_argument);
  p.set_value(5);
  EXPECT_EQ(p.get_future().get().value, 5);
}

RUNNEL_TEST_BOTH(future, promises_swap_and_move) {
  promise<int> a, b;
  auto fa = a.get_future(), fb = b.get_future();
  a.set_value(1);
  swap(a, b);
  a.set_value(2);
  EXPECT_EQ(fa.get(), 1);
  EXPECT_EQ(fb.get(), 2);
  a = promise<int>();
  EXPECT_TRUE(a.get_future().valid());
}

RUNNEL_TEST_BOTH(future, shared_futures) {
  promise<std::string> p;
  const shared_future<std::string> f = p.get_future().share();
  std::vector<std::thread> threads;
  crew all;
  std::atomic<const std::string*> seen{nullptr};
  const auto look = [&] {
    const auto mine = f;
    const std::string& text = mine.get();
    EXPECT_EQ(text, "one for all");
    const std::string* before = seen.exchange(&text);
    EXPECT_TRUE(before == nullptr || before == &text);
  };
  for (int i = 0; i < 10; ++i) all.go(look);
  for (int i = 0; i < 2; ++i) threads.emplace_back(look);
  p.set_value("one for all");
  all.wait();
  runnel::blocking([&] {
    for (auto& t : threads) t.join();
  });
  const auto failed = async([]() -> int { throw std::runtime_error("x"); }).share();
  for (int i = 0; i < 2; ++i) EXPECT_THROW(failed.get(), std::runtime_error);
  shared_future<void> nothing = async([] {});
  nothing.get();
  nothing.get();
}

RUNNEL_TEST_BOTH(future, done_is_closed_when_the_result_is_there) {
  promise<int> p;
  auto f = p.get_future();
  const auto done = f.done();
  EXPECT_EQ(done.try_recv(), runnel::chan_status::would_block);
  EXPECT_EQ(done, f.done());
  p.set_value(1);
  EXPECT_FALSE(done.recv());
  EXPECT_FALSE(async([] {}).done().recv());
  promise<int> early;
  early.set_value(2);
  auto ready = early.get_future();
  EXPECT_EQ(ready.done().try_recv(), runnel::chan_status::closed);
  EXPECT_EQ(ready.done(), ready.done());
}

RUNNEL_TEST_BOTH(future, on_ready_in_select) {
  promise<int> p;
  auto f = p.get_future();
  auto never = async([] { runnel::sleep_for(5ms); });
  EXPECT_EQ(runnel::select(runnel::on_ready(f), runnel::otherwise()), 1U);
  EXPECT_EQ(runnel::select(runnel::on_ready(f), runnel::on_timeout(1ms)), 1U);
  crew one;
  one.go([&] {
    runnel_test::let_others_run();
    p.set_value(9);
  });
  int got = 0;
  EXPECT_EQ(runnel::select(runnel::on_ready(f, [&](int v) { got = v; }), runnel::on_timeout(1h)),
            0U);
  EXPECT_EQ(got, 9);
  EXPECT_FALSE(f.valid());
  bool called = false;
  EXPECT_EQ(runnel::select(runnel::on_ready(never, [&] { called = true; })), 0U);
  EXPECT_TRUE(called);
  never.get();

  const auto shared = async([] { return std::string("s"); }).share();
  std::vector<runnel::select_case> cases;
  cases.emplace_back(runnel::on_ready(shared, [&](const std::string& s) { called = s.empty(); }));
  EXPECT_EQ(runnel::select(cases), 0U);
  EXPECT_FALSE(called);
}

RUNNEL_TEST_BOTH(future, a_timed_wait_against_the_result) {
  for (int i = 0; i < rounds(300); ++i) {
    promise<int> p;
    auto f = p.get_future();
    crew one;
    one.go([&] {
      runnel::sleep_for(std::chrono::microseconds(i % 50));
      p.set_value(i);
    });
    while (f.wait_for(std::chrono::microseconds(i % 30)) != std::future_status::ready) {
    }
    EXPECT_EQ(f.get(), i);
  }
}

RUNNEL_TEST_BOTH(future, one_setter_wins) {
  for (int i = 0; i < rounds(200); ++i) {
    promise<int> p;
    auto f = p.get_future();
    std::atomic<int> winner{-1}, losers{0};
    crew all;
    for (int g = 0; g < 4; ++g) {
      all.go([&, g] {
        try {
          p.set_value(g);
          winner = g;
        } catch (const std::future_error&) {
          ++losers;
        }
      });
    }
    all.wait();
    EXPECT_EQ(losers, 3);
    EXPECT_EQ(f.get(), winner);
  }
}

RUNNEL_TEST_BOTH(future, many) {
  std::vector<future<int>> all;
  const int n = rounds(2000);
  for (int i = 0; i < n; ++i) all.push_back(async(twice, i));
  for (int i = 0; i < n; ++i) EXPECT_EQ(all[static_cast<std::size_t>(i)].get(), 2 * i);
}

RUNNEL_TEST_BOTH(future, async_with_a_policy) {
  using std::launch;
  EXPECT_EQ(runnel::async(
                launch::async, [](int x) { return x; }, 3)
                .get(),
            3);
  EXPECT_EQ(runnel::async(launch::async | launch::deferred, [] { return 4; }).get(), 4);
  try {
    runnel::async(launch::deferred, [] { ADD_FAILURE(); });
    ADD_FAILURE() << "launch::deferred was not refused";
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code(), std::errc::not_supported);
  }
}

// Told at the end of the goroutine or thread, when all its function held is gone.
RUNNEL_TEST_BOTH(future, results_told_at_the_end) {
  using std::future_status;
  promise<int> value;
  promise<void> nothing;
  promise<std::string> failed;
  promise<int&> reference;
  auto value_later = value.get_future();
  auto nothing_later = nothing.get_future();
  auto failed_later = failed.get_future();
  auto reference_later = reference.get_future();
  static int target = 0;
  const auto held = std::make_shared<int>(1);
  const chan<void> all_set, go_on;
  const auto body = [&, mine = held] {
    value.set_value_at_thread_exit(42);
    nothing.set_value_at_thread_exit();
    failed.set_exception_at_thread_exit(std::make_exception_ptr(std::runtime_error("x")));
    reference.set_value_at_thread_exit(target);
    EXPECT_EQ(error_of([&] { value.set_value(1); }), future_errc::promise_already_satisfied);
    EXPECT_EQ(error_of([&] { value.set_value_at_thread_exit(1); }),
              future_errc::promise_already_satisfied);
    all_set.send();
    go_on.recv();
  };
  const auto expect_results = [&] {
    all_set.recv();
    EXPECT_EQ(value_later.wait_for(0s), future_status::timeout);
    EXPECT_EQ(nothing_later.wait_for(0s), future_status::timeout);
    value = promise<int>();  // the promises may go: the results have been set
    nothing = promise<void>();
    failed = promise<std::string>();
    reference = promise<int&>();
    EXPECT_EQ(value_later.wait_for(0s), future_status::timeout);
    go_on.send();
    EXPECT_EQ(value_later.get(), 42);
    nothing_later.get();
    EXPECT_THROW(failed_later.get(), std::runtime_error);
    EXPECT_EQ(&reference_later.get(), &target);
  };
  runnel::go(body);
  expect_results();
  value_later = value.get_future();
  nothing_later = nothing.get_future();
  failed_later = failed.get_future();
  reference_later = reference.get_future();
  std::thread t(body);
  expect_results();
  runnel::blocking([&] { t.join(); });
}

RUNNEL_TEST_BOTH(future, results_told_at_the_end_by_goexit_too) {
  for (const bool leaves : {false, true}) {
    promise<std::shared_ptr<int>> p;
    auto later = p.get_future();
    const auto held = std::make_shared<int>(1);
    runnel::go([&p, leaves, held] {
      p.set_value_at_thread_exit(std::make_shared<int>(2));
      if (leaves) runnel::goexit();
    });
    EXPECT_EQ(*later.get(), 2);
    EXPECT_EQ(held.use_count(), 1);  // the function is gone by then
  }
  promise<int> moved_from;
  const promise<int> to = std::move(moved_from);
  EXPECT_EQ(error_of([&] { moved_from.set_value_at_thread_exit(1); }), future_errc::no_state);
}

RUNNEL_TEST_BOTH(future, state_from_an_allocator) {
  static_assert(std::uses_allocator_v<promise<int>, std::allocator<int>>);
  std::atomic<int> alive{0};
  const counting_allocator<char> alloc(alive);
  {
    promise<std::string> p(std::allocator_arg, alloc);
    promise<void> nothing(std::allocator_arg, alloc);
    promise<int&> reference(std::allocator_arg, alloc);
    EXPECT_EQ(alive, 3);
    future<std::string> later = p.get_future();
    crew other;
    other.go([&] { p.set_value("text"); });
    EXPECT_EQ(later.get(), "text");
    other.wait();
    auto left = nothing.get_future();
    nothing.set_value();
    nothing = promise<void>();
    EXPECT_GE(alive, 2);  // the future keeps its state
    left.get();
  }
  EXPECT_EQ(alive, 0);
}

// go, run, yield, goexit, this_goroutine, defer, goroutine_local.
#include <atomic>
#include <functional>
#include <memory>
#include <runnel/chan.hpp>
#include <runnel/go.hpp>
#include <runnel/time.hpp>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/crew.hpp"
#include "support/test.hpp"
#include "support/tracked.hpp"

using namespace std::chrono_literals;
using runnel::chan;
using runnel_test::crew;
using runnel_test::crowd;
using runnel_test::eventually;
using runnel_test::ledger;
using runnel_test::rounds;
using runnel_test::tracked;

namespace {

void add_to(std::atomic<int>& sum, int a, int b) { sum += a + b; }

struct accumulator {
  void add(int n) { total += n; }
  std::atomic<int> total{0};
};

}  // namespace

RUNNEL_TEST_BOTH(go, calls_anything_invocable) {
  std::atomic<int> sum{0};
  accumulator object;
  const chan<void> done;
  runnel::go(add_to, std::ref(sum), 1, 2);
  runnel::go(&add_to, std::ref(sum), 3, 4);
  runnel::go([&] { sum += 10; });
  runnel::go([&](int n) { sum += n; }, 20);
  runnel::go(std::function<void()>([&] { sum += 30; }));
  runnel::go(
      [&object, done](auto member, int n) {
        (object.*member)(n);
        done.send();
      },
      &accumulator::add, 5);
  EXPECT_TRUE(eventually([&] { return sum == 70; }));
  done.recv();
  EXPECT_EQ(object.total, 5);
  runnel::go(&accumulator::add, &object, 6);  // a member function, as std::thread takes it
  EXPECT_TRUE(eventually([&] { return object.total == 11; }));
}

RUNNEL_TEST_BOTH(go, arguments_are_decay_copied) {
  const chan<std::string> out(1);
  {
    std::string text = "copied when go is called";
    runnel::go([out](const std::string& s) { out.send(s); }, text);
    text = "changed";
  }
  EXPECT_EQ(out.recv(), "copied when go is called");
  char buffer[] = "array";
  runnel::go([out](const char* p) { out.send(p); }, buffer);  // decays to a pointer
  EXPECT_EQ(out.recv(), "array");
  auto p = std::make_unique<int>(3);
  runnel::go([out](std::unique_ptr<int> q) { out.send(std::to_string(*q)); }, std::move(p));
  EXPECT_EQ(out.recv(), "3");
  // The callable may be moved only, too; and is called as an rvalue, as std::thread does.
  struct once {
    explicit once(chan<std::string> c) : out(std::move(c)) {}
    once(once&&) = default;
    void operator()() && { out.send("rvalue"); }
    chan<std::string> out;
  };
  runnel::go(once(out));
  EXPECT_EQ(out.recv(), "rvalue");
}

RUNNEL_TEST_BOTH(go, callable_and_arguments_are_destroyed_once) {
  ledger book;
  {
    crew all;
    for (int i = 0; i < 100; ++i) {
      all.go([value = tracked(book, i)] { EXPECT_TRUE(value.has_value()); });
    }
  }
  for (int i = 0; i < 100; ++i) runnel::go([](const tracked&) {}, tracked(book, i));
  EXPECT_TRUE(eventually([&] { return book.objects == 0; }));
  EXPECT_EQ(book.destroyed, 200);
  EXPECT_EQ(book.errors, 0);
}

RUNNEL_TEST_BOTH(go, callables_of_any_size_and_alignment) {
  const chan<int> out(3);
  struct big {
    char bytes[100'000] = {};
  };
  auto large = std::make_unique<big>();
  large->bytes[99'999] = 7;
  runnel::go([out, b = *large] { out.send(b.bytes[99'999]); });
  EXPECT_EQ(out.recv(), 7);
  struct alignas(128) aligned {
    int value = 9;
  };
  const aligned a;
  for (int i = 0; i < 20; ++i) {
    runnel::go(
        [out, a] { out.send(reinterpret_cast<std::uintptr_t>(&a) % 128 == 0 ? a.value : -1); });
    EXPECT_EQ(out.recv(), 9);
  }
}

RUNNEL_TEST_BOTH(go, never_blocks_and_starts_every_goroutine) {
  std::atomic<int> started{0};
  const int n = crowd(rounds(100'000), 1000);
  for (int i = 0; i < n; ++i) runnel::go([&] { ++started; });
  EXPECT_TRUE(eventually([&] { return started == n; }, runnel_test::patience(30s)));
}

RUNNEL_TEST_BOTH(go, goroutines_begin_goroutines) {
  // A binary tree of depth 14, each inner node waiting for its two children.
  struct tree {
    static void grow(int depth, const chan<int>& parent) {
      if (depth == 0) {
        parent.send(1);
        return;
      }
      const chan<int> children;
      runnel::go(grow, depth - 1, children);
      runnel::go(grow, depth - 1, children);
      const int left = *children.recv();
      parent.send(left + *children.recv());
    }
  };
  const chan<int> root;
  const int depth = runnel_test::under_sanitizer ? 9 : 14;
  runnel::go(tree::grow, depth, root);
  EXPECT_EQ(root.recv(), 1 << depth);
}

RUNNEL_TEST_BOTH(go, from_many_plain_threads_at_once) {
  std::atomic<int> ran{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < rounds(1000); ++i) {
        runnel::go([&] { ++ran; });
      }
    });
  }
  for (auto& t : threads) t.join();
  EXPECT_TRUE(eventually([&] { return ran == 4 * rounds(1000); }));
}

RUNNEL_TEST_BOTH(go, large_stacks) {
  const chan<int> out(1);
  // 8 MiB asked for: 6 MiB used, in frames of 64 KiB.
  struct deep {
    static int use(int frames) {
      volatile char page[64 * 1024];
      page[0] = 1;
      page[sizeof page - 1] = 1;
      return frames == 0 ? 0 : page[0] + use(frames - 1);
    }
  };
  for (int i = 0; i < 5; ++i) {
    runnel::go({.name = "deep", .stack_size = 8 << 20}, [&] { out.send(deep::use(96)); });
    EXPECT_EQ(out.recv(), 96);
  }
  // The default has most of its 256 KiB usable.
  runnel::go([&] { out.send(deep::use(2)); });
  EXPECT_EQ(out.recv(), 2);
}

RUNNEL_TEST_BOTH(run, returns_the_result) {
  EXPECT_EQ(runnel::run([] { return 42; }), 42);
  EXPECT_EQ(runnel::run([] { return std::string("text"); }), "text");
  EXPECT_EQ(*runnel::run([] { return std::make_unique<int>(5); }), 5);
  int target = 0;
  int& reference = runnel::run([&]() -> int& { return target; });
  EXPECT_EQ(&reference, &target);
  bool ran = false;
  runnel::run([&] { ran = true; });
  EXPECT_TRUE(ran);
  static_assert(std::is_void_v<decltype(runnel::run([] {}))>);
  static_assert(std::is_same_v<decltype(runnel::run([&]() -> int& { return target; })), int&>);
  struct no_default {
    explicit no_default(int v) : value(v) {}
    int value;
  };
  EXPECT_EQ(runnel::run([] { return no_default(3); }).value, 3);
}

RUNNEL_TEST_BOTH(run, returns_rvalue_references) {
  auto p = std::make_unique<int>(3);
  static_assert(std::is_same_v<decltype(runnel::run(
                                   [&]() -> std::unique_ptr<int>&& { return std::move(p); })),
                               std::unique_ptr<int>&&>);
  std::unique_ptr<int>&& same =
      runnel::run([&]() -> std::unique_ptr<int>&& { return std::move(p); });
  EXPECT_EQ(&same, &p);
  EXPECT_EQ(*p, 3);
}

RUNNEL_TEST_BOTH(run, calls_what_it_was_passed_as_it_was_passed) {
  struct kinds {
    std::string operator()() & { return "lvalue"; }
    std::string operator()() const& { return "constant"; }
    std::string operator()() && { return "rvalue"; }
  };
  kinds object;
  const kinds constant;
  EXPECT_EQ(runnel::run(object), "lvalue");
  EXPECT_EQ(runnel::run(constant), "constant");
  EXPECT_EQ(runnel::run(kinds()), "rvalue");
  EXPECT_EQ(runnel::run(std::move(object)), "rvalue");
  struct only_as_rvalue {
    int operator()() && { return 4; }
  };
  EXPECT_EQ(runnel::run(only_as_rvalue()), 4);
  struct moved_only {
    std::unique_ptr<int> operator()() && { return std::move(value); }
    std::unique_ptr<int> value = std::make_unique<int>(5);
  };
  EXPECT_EQ(*runnel::run(moved_only()), 5);
}

RUNNEL_TEST_BOTH(run, rethrows) {
  EXPECT_THROW(runnel::run([] { throw std::runtime_error("inside"); }), std::runtime_error);
  EXPECT_THROW(runnel::run([]() -> int { throw 5; }), int);
  try {
    runnel::run([]() -> int { throw std::out_of_range("exactly this"); });
  } catch (const std::out_of_range& e) {
    EXPECT_STREQ(e.what(), "exactly this");
  }
}

RUNNEL_TEST_BOTH(run, is_on_a_goroutine_of_its_own_and_nests) {
  const auto outer = runnel::this_goroutine::id();
  runnel::run([&] {
    const auto first = runnel::this_goroutine::id();
    EXPECT_NE(first, 0U);
    EXPECT_NE(first, outer);
    runnel::run([&] {
      EXPECT_NE(runnel::this_goroutine::id(), first);
      EXPECT_EQ(runnel::run([] { return 7; }), 7);
    });
    EXPECT_EQ(runnel::this_goroutine::id(), first);
  });
  EXPECT_EQ(runnel::this_goroutine::id(), outer);
}

RUNNEL_TEST_BOTH(run, from_plain_threads_at_once) {
  std::atomic<int> sum{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < rounds(200); ++i) sum += runnel::run([t] { return t; });
    });
  }
  for (auto& t : threads) t.join();
  EXPECT_EQ(sum, 28 * rounds(200));
}

RUNNEL_TEST_BOTH(goexit, ends_the_goroutine_and_runs_destructors) {
  ledger book;
  std::atomic<bool> returned{false};
  const chan<void> unwound(1);
  runnel::go([&, value = tracked(book, 1)] {
    const runnel::defer last{[&] { unwound.send(); }};
    const tracked local(book, 2);
    [&] {
      const tracked inner(book, 3);
      runnel::goexit();
    }();
    returned = true;
  });
  unwound.recv();
  EXPECT_TRUE(eventually([&] { return book.objects == 0; }));
  EXPECT_FALSE(returned);
  EXPECT_EQ(book.destroyed, 3);
}

RUNNEL_TEST_BOTH(goexit, is_no_std_exception) {
  std::atomic<int> caught{0};
  const chan<void> unwound(1);
  runnel::go([&] {
    const runnel::defer last{[&] { unwound.send(); }};
    try {
      runnel::goexit();
    } catch (const std::exception&) {
      ++caught;
    }
    ++caught;
  });
  unwound.recv();
  EXPECT_EQ(caught, 0);
}

RUNNEL_TEST_BOTH(goexit, passes_through_catch_all_that_rethrows) {
  const chan<std::string> order(4);
  runnel::go([&] {
    const runnel::defer last{[&] { order.send("deferred"); }};
    try {
      runnel::goexit();
    } catch (...) {
      order.send("caught");
      runnel::yield();  // even a park in between
      throw;
    }
  });
  EXPECT_EQ(order.recv(), "caught");
  EXPECT_EQ(order.recv(), "deferred");
}

RUNNEL_TEST_BOTH(goexit, destructors_may_park) {
  const chan<int> out;
  runnel::go([&] {
    const runnel::defer a{[&] { out.send(2); }};
    const runnel::defer b{[&] {
      runnel::sleep_for(1ms);
      out.send(1);
    }};
    runnel::goexit();
  });
  EXPECT_EQ(out.recv(), 1);
  EXPECT_EQ(out.recv(), 2);
}

RUNNEL_TEST_BOTH(goexit, inside_run_is_a_panic_for_the_waiter) {
  EXPECT_THROW(runnel::run([] { runnel::goexit(); }), runnel::panic);
  EXPECT_THROW(runnel::run([]() -> int { runnel::goexit(); }), runnel::panic);
}

RUNNEL_TEST_THREAD(goexit, on_a_plain_thread_panics) {
  EXPECT_THROW(runnel::goexit(), runnel::panic);
  std::thread([] { EXPECT_THROW(runnel::goexit(), runnel::panic); }).join();
}

RUNNEL_TEST_BOTH(this_goroutine, ids_are_unique_and_never_used_again) {
  std::set<std::uint64_t> ids;
  const chan<std::uint64_t> out;
  for (int i = 0; i < rounds(2000); ++i) {
    runnel::go([&] { out.send(runnel::this_goroutine::id()); });
    const auto id = *out.recv();
    EXPECT_NE(id, 0U);
    ASSERT_TRUE(ids.insert(id).second) << id;
  }
}

RUNNEL_TEST_THREAD(this_goroutine, plain_threads_have_id_zero) {
  EXPECT_EQ(runnel::this_goroutine::id(), 0U);
  std::thread([] { EXPECT_EQ(runnel::this_goroutine::id(), 0U); }).join();
  runnel::yield();  // allowed there
}

RUNNEL_TEST_BOTH(this_goroutine, name_is_a_copy) {
  const chan<std::string> out(1);
  {
    std::string name = "collector number seven with a long name";
    runnel::go({.name = name}, [&] {
      runnel::yield();
      out.send(std::string(runnel::this_goroutine::name()));
    });
    name.assign(name.size(), '?');
  }
  EXPECT_EQ(out.recv(), "collector number seven with a long name");
  runnel::go([&] { out.send(std::string(runnel::this_goroutine::name())); });
  EXPECT_EQ(out.recv(), "");
  runnel::go(
      runnel::go_options{.name = "with arguments"},
      [&](int) { out.send(std::string(runnel::this_goroutine::name())); }, 1);
  EXPECT_EQ(out.recv(), "with arguments");
}

RUNNEL_TEST_BOTH(defer, runs_in_reverse_order_at_scope_exit) {
  std::string order;
  {
    const runnel::defer a{[&] { order += "a"; }};
    const runnel::defer b{[&] { order += "b"; }};
    order += "body ";
  }
  EXPECT_EQ(order, "body ba");
}

RUNNEL_TEST_BOTH(defer, runs_when_an_exception_passes) {
  std::string order;
  try {
    const runnel::defer a{[&] { order += "deferred "; }};
    throw std::runtime_error("passing");
  } catch (const std::runtime_error&) {
    order += "caught";
  }
  EXPECT_EQ(order, "deferred caught");
}

RUNNEL_TEST_BOTH(goroutine_local, every_goroutine_has_its_own) {
  static runnel::goroutine_local<int> counter;
  static runnel::goroutine_local<std::string> text;
  crew all;
  for (int i = 0; i < 50; ++i) {
    all.go([i] {
      EXPECT_EQ(*counter, 0);
      EXPECT_TRUE(text->empty());
      for (int k = 0; k < 20; ++k) {
        *counter += i;
        text->push_back(static_cast<char>('a' + i % 26));
        runnel::yield();
      }
      EXPECT_EQ(counter.get(), 20 * i);
      EXPECT_EQ(text.get(), std::string(20, static_cast<char>('a' + i % 26)));
    });
  }
}

RUNNEL_TEST_BOTH(goroutine_local, recycled_goroutines_start_afresh) {
  static runnel::goroutine_local<int> value;
  for (int i = 0; i < rounds(1000); ++i) {
    EXPECT_EQ(runnel::run([] {
                const int before = *value;
                *value = 1;
                return before;
              }),
              0);
  }
}

RUNNEL_TEST_BOTH(goroutine_local, destroyed_at_the_goroutines_end) {
  static std::atomic<int> alive{0};
  static std::atomic<int> made{0};
  made = 0;
  struct counted {
    counted() {
      ++alive;
      ++made;
    }
    counted(const counted&) = delete;
    counted& operator=(const counted&) = delete;
    ~counted() { --alive; }
    int value = 0;
  };
  static runnel::goroutine_local<counted> local;
  static runnel::goroutine_local<counted> unused;
  crew all;
  const chan<void> release;
  for (int i = 0; i < 10; ++i) {
    all.go([&] {
      local->value = 1;
      release.recv();
    });
  }
  EXPECT_TRUE(eventually([] { return alive == 10; }));
  release.close();
  all.wait();
  EXPECT_TRUE(eventually([] { return alive == 0; }));
  // and at goexit
  runnel::go([] {
    local->value = 1;
    runnel::goexit();
  });
  EXPECT_TRUE(eventually([] { return made == 11 && alive == 0; }));
}

RUNNEL_TEST_BOTH(goroutine_local, plain_threads_have_theirs) {
  static runnel::goroutine_local<int> value;
  std::thread([] {
    EXPECT_EQ(*value, 0);
    *value = 5;
    std::thread([] { EXPECT_EQ(*value, 0); }).join();
    EXPECT_EQ(*value, 5);
  }).join();
}

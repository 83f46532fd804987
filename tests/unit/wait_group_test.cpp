// wait_group: the behaviour of Go's sync/waitgroup_test.go, reuse, select, and its end.
#include <atomic>
#include <memory>
#include <runnel/select.hpp>

#include "sync_support.hpp"

using namespace std::chrono_literals;
using runnel::wait_group;
using runnel_test::crew;
using runnel_test::eventually_blocked;
using runnel_test::panic_text;
using runnel_test::rounds;
using runnel_test::thread_group;

static_assert(runnel_test::is_pinned<wait_group>);

namespace {
constinit wait_group global;
}

RUNNEL_TEST_BOTH(wait_group, zero_does_not_wait) {
  wait_group wg;
  for (int i = 0; i < 300; ++i) wg.wait();
  wg.add(0);
  wg.wait();
  wg.add(3);
  wg.add(-3);
  wg.wait();
}

// Go's testWaitGroup, again and again on the same pair.
RUNNEL_TEST_BOTH(wait_group, two_meet_eight_times) {
  wait_group first, second;
  constexpr int n = 16;
  for (int round = 0; round < 8; ++round) {
    first.add(n);
    second.add(n);
    runnel::chan<bool> exited(n);
    for (int i = 0; i < n; ++i) {
      runnel::go([&] {
        first.done();
        second.wait();
        exited.send(true);
      });
    }
    first.wait();
    for (int i = 0; i < n; ++i) {
      bool early = false;
      EXPECT_EQ(exited.try_recv(early), runnel::chan_status::would_block);
      second.done();
    }
    for (int i = 0; i < n; ++i) exited.recv();
  }
}

RUNNEL_TEST_BOTH(wait_group, misuse_panics) {
  wait_group wg;
  EXPECT_EQ(panic_text([&] { wg.done(); }), "sync: negative WaitGroup counter");
  wg.add();
  wg.done();
  EXPECT_EQ(panic_text([&] { wg.done(); }), "sync: negative WaitGroup counter");
  wg.add(2);
  EXPECT_EQ(panic_text([&] { wg.add(-3); }), "sync: negative WaitGroup counter");
  wg.done();
  wg.done();
  wg.wait();  // the counter is what it was before each panic
}

RUNNEL_TEST_BOTH(wait_group, misuse_panics_where_many_threads_count) {
  wait_group wg;
  {
    crew goroutines;
    thread_group threads;
    auto work = [&] {
      for (int i = 0; i < 2000; ++i) {
        wg.add();
        wg.done();
      }
    };
    for (int i = 0; i < 3; ++i) threads.start(work);
    for (int i = 0; i < 3; ++i) goroutines.go(work);
  }
  wg.wait();
  EXPECT_EQ(panic_text([&] { wg.done(); }), "sync: negative WaitGroup counter");
  wg.add(1);
  EXPECT_EQ(panic_text([&] { wg.add(-2); }), "sync: negative WaitGroup counter");
  wg.done();
  wg.wait();
}

// What was written before done() is seen after wait(): Go's TestWaitGroupRace.
RUNNEL_TEST_BOTH(wait_group, wait_sees_what_was_done) {
  for (int i = 0; i < rounds(2000); ++i) {
    auto wg = std::make_unique<wait_group>();
    int n[2] = {0, 0};
    wg->add();
    runnel::go([&n, p = wg.get()] {
      n[0] = 1;
      p->done();
    });
    wg->add();
    runnel::go([&n, p = wg.get()] {
      n[1] = 1;
      p->done();
    });
    wg->wait();
    EXPECT_EQ(n[0] + n[1], 2);
    wg.reset();  // the last done() may not have returned yet
  }
}

RUNNEL_TEST_BOTH(wait_group, many_waiters) {
  for (int round = 0; round < rounds(50); ++round) {
    wait_group wg;
    std::atomic<bool> zero{false};
    wg.add();
    crew waiters;
    for (int i = 0; i < 10; ++i) {
      waiters.go([&] {
        wg.wait();
        EXPECT_TRUE(zero);
      });
    }
    if (round == 0) {
      ASSERT_TRUE(eventually_blocked(10, "sync.WaitGroup.Wait"));
    }
    zero = true;
    wg.done();
  }
}

RUNNEL_TEST_BOTH(wait_group, go_runs_and_counts) {
  std::atomic<int> ran{0};
  for (int i = 0; i < 100; ++i) {
    global.go([&] {
      ++ran;
      global.go([&] { ++ran; });  // a goroutine of it may start more
    });
  }
  global.wait();
  EXPECT_EQ(ran, 200);
}

RUNNEL_TEST_BOTH(wait_group, go_takes_move_only_callables_and_destroys_them_before_done) {
  struct noisy {
    explicit noisy(std::atomic<int>& n) : alive(n) { ++alive; }
    ~noisy() { --alive; }
    std::atomic<int>& alive;
  };
  std::atomic<int> alive{0};
  for (int i = 0; i < rounds(200); ++i) {
    wait_group wg;
    wg.go([p = std::make_unique<noisy>(alive)] { EXPECT_NE(p, nullptr); });
    wg.wait();
    EXPECT_EQ(alive, 0);
  }
}

RUNNEL_TEST_BOTH(wait_group, goexit_counts_as_done) {
  wait_group wg;
  std::atomic<bool> unwound{false};
  wg.go([&] {
    struct mark {
      std::atomic<bool>& flag;
      ~mark() { flag = true; }
    } m{unwound};
    runnel::goexit();
  });
  wg.wait();
  EXPECT_TRUE(unwound);
}

RUNNEL_TEST_BOTH(wait_group, threads_and_goroutines) {
  for (int round = 0; round < rounds(30); ++round) {
    wait_group wg;
    std::atomic<int> n{0};
    thread_group threads;
    wg.add(4);
    for (int i = 0; i < 4; ++i) {
      threads.start([&] {
        ++n;
        wg.done();
      });
    }
    for (int i = 0; i < 10; ++i) wg.go([&] { ++n; });
    wg.wait();
    EXPECT_EQ(n, 14);
  }
}

RUNNEL_TEST_BOTH(wait_group, reused_at_once) {
  wait_group wg;
  int value = 0;
  for (int i = 0; i < rounds(5000); ++i) {
    wg.go([&] { ++value; });
    wg.wait();
    EXPECT_EQ(value, i + 1);
  }
}

// On the stack right after wait(), while the last done() is still returning.
RUNNEL_TEST_BOTH(wait_group, destroyed_right_after_wait) {
  for (int i = 0; i < rounds(3000); ++i) {
    auto* wg = new wait_group;
    const int n = i % 5 + 1;
    wg->add(n);
    for (int k = 0; k < n; ++k) runnel::go([wg] { wg->done(); });
    if (i % 2 == 0) runnel::yield();
    wg->wait();
    delete wg;
  }
}

RUNNEL_TEST_BOTH(wait_group, select_on_it) {
  wait_group wg;
  int ran = 0;
  EXPECT_EQ(runnel::select(on_wait(wg, [&] { ++ran; }), runnel::otherwise()), 0U);
  wg.add();
  EXPECT_EQ(runnel::select(on_wait(wg, [&] { ++ran; }), runnel::otherwise()), 1U);
  EXPECT_EQ(runnel::select(on_wait(wg, [&] { ++ran; }), runnel::on_timeout(1ms)), 1U);
  EXPECT_EQ(ran, 1);
  // What a select left behind must not disturb an add from zero.
  wg.done();
  wg.add();
  crew other;
  other.go([&] { wg.done(); });
  EXPECT_EQ(runnel::select(on_wait(wg, [&] { ++ran; })), 0U);
  EXPECT_EQ(ran, 2);
  other.wait();
}

RUNNEL_TEST_BOTH(wait_group, selects_and_waits_under_load) {
  for (int round = 0; round < rounds(200); ++round) {
    wait_group wg;
    runnel::chan<int> c(1);
    std::atomic<int> seen{0};
    wg.add(3);
    crew waiters;
    for (int i = 0; i < 6; ++i) {
      waiters.go([&, i] {
        if (i % 3 == 0) {
          wg.wait();
        } else if (i % 3 == 1) {
          runnel::select(on_wait(wg), runnel::on_recv(runnel::chan<int>(nullptr)));
        } else {
          while (runnel::select(on_wait(wg), runnel::on_send(c, 1), runnel::on_recv(c)) != 0) {
          }
        }
        ++seen;
      });
    }
    for (int i = 0; i < 3; ++i) waiters.go([&] { wg.done(); });
    waiters.wait();
    EXPECT_EQ(seen, 6);
  }
}

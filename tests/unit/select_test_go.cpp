// The select tests of Go: runtime/chan_test.go (NonblockSelectRace, SelfSelect, SelectStress,
// SelectFairness, PseudoRandomSend, SelectDuplicateChannel, SelectStackAdjust) and
// test/chan/{select,select4,select6,doubleselect}.go.
#include <array>
#include <atomic>
#include <cmath>
#include <runnel/chan.hpp>
#include <runnel/select.hpp>
#include <runnel/time.hpp>
#include <set>
#include <vector>

#include "support/crew.hpp"
#include "support/test.hpp"

using namespace std::chrono_literals;
using runnel::chan;
using runnel::on_recv;
using runnel::on_send;
using runnel::otherwise;
using runnel::select;
using runnel_test::crew;
using runnel_test::rounds;

// While the other goroutine looks, at every moment one of the two channels is ready: first the
// one, then both, then perhaps only the second. A select that looked at them one after the
// other without a consistent view would take its default.
RUNNEL_TEST_BOTH(select_go, acts_on_one_moment) {
  const chan<bool> done(1);
  for (int i = 0; i < rounds(20'000); ++i) {
    const chan<int> c1(1);
    const chan<int> c2(1);
    c1.send(1);
    runnel::go([=] {
      bool found = true;
      select(on_recv(c1), on_recv(c2), otherwise([&] { found = false; }));
      done.send(found);
    });
    c2.send(1);
    select(on_recv(c1), otherwise());
    ASSERT_TRUE(*done.recv());
  }
}

RUNNEL_TEST_BOTH(select_go, acts_on_one_moment_with_close) {
  const chan<bool> done(1);
  for (int i = 0; i < rounds(20'000); ++i) {
    const chan<int> c1(1);
    const chan<int> c2;
    c1.send(1);
    runnel::go([=] {
      bool found = true;
      select(on_recv(c1), on_recv(c2), otherwise([&] { found = false; }));
      done.send(found);
    });
    c2.close();
    select(on_recv(c1), otherwise());
    ASSERT_TRUE(*done.recv());
  }
}

RUNNEL_TEST_BOTH(select_go, never_receives_from_itself) {
  for (const std::size_t capacity : {std::size_t{0}, std::size_t{10}}) {
    const chan<int> c(capacity);
    crew both;
    for (int p = 0; p < 2; ++p) {
      both.go([&, p] {
        const auto check = [&](int v) {
          if (capacity == 0) {
            EXPECT_NE(v, p) << "received what it sent itself";
          }
        };
        for (int i = 0; i < rounds(1000); ++i) {
          if (p == 0 || i % 2 == 0) {
            select(on_send(c, p), on_recv(c, check));
          } else {
            select(on_recv(c, check), on_send(c, p));
          }
        }
      });
    }
    both.wait();
  }
}

// Four senders, four receivers, one goroutine that sends to all four channels in one select and
// one that receives from them; finished channels are switched off with nil.
RUNNEL_TEST_BOTH(select_go, stress) {
  const std::array<chan<int>, 4> c{chan<int>(), chan<int>(), chan<int>(2), chan<int>(3)};
  const int n = rounds(10'000);
  crew all;
  for (std::size_t k = 0; k < 4; ++k) {
    all.go([&, k] {
      for (int i = 0; i < n; ++i) c[k].send(0);
    });
    all.go([&, k] {
      for (int i = 0; i < n; ++i) c[k].recv();
    });
  }
  all.go([&, open = c]() mutable {
    std::array<int, 4> count{};
    for (int i = 0; i < 4 * n; ++i) {
      const std::size_t order[] = {3, 2, 0, 1};
      const std::size_t k = order[select(on_send(open[3], 0), on_send(open[2], 0),
                                         on_send(open[0], 0), on_send(open[1], 0))];
      if (++count[k] == n) open[k] = nullptr;
    }
  });
  all.go([&, open = c]() mutable {
    std::array<int, 4> count{};
    for (int i = 0; i < 4 * n; ++i) {
      const std::size_t k =
          select(on_recv(open[0]), on_recv(open[1]), on_recv(open[2]), on_recv(open[3]));
      if (++count[k] == n) open[k] = nullptr;
    }
  });
  all.wait();
}

RUNNEL_TEST_BOTH(select_go, chooses_fairly_among_ready_cases) {
  constexpr int trials = 10'000;
  const chan<int> c1(trials + 1);
  const chan<int> c2(trials + 1);
  for (int i = 0; i < trials + 1; ++i) {
    c1.send(1);
    c2.send(2);
  }
  const chan<int> c3;
  const chan<int> c4;
  const chan<int> out;
  const chan<int> done;
  crew selector;
  selector.go([&] {
    for (;;) {
      int b = 0;
      select(on_recv(c3, b), on_recv(c4, b), on_recv(c1, b), on_recv(c2, b));
      if (select(on_send(out, b), on_recv(done)) == 1) return;
    }
  });
  int ones = 0;
  for (int i = 0; i < trials; ++i) {
    const int v = *out.recv();
    ASSERT_TRUE(v == 1 || v == 2);
    ones += v == 1 ? 1 : 0;
  }
  done.close();
  // Ten standard deviations of a fair coin.
  EXPECT_LT(std::abs(ones - trials / 2), 10 * std::sqrt(trials * 0.25));
}

RUNNEL_TEST_BOTH(select_go, chooses_uniformly_among_many) {
  // Eight ready cases of both kinds, 8000 draws: each within ten sigma of its eighth.
  std::vector<chan<void>> open;
  for (int i = 0; i < 4; ++i) {
    const chan<void> closed;
    closed.close();
    open.push_back(closed);
  }
  const std::array<chan<int>, 4> sends{chan<int>(8000), chan<int>(8000), chan<int>(8000),
                                       chan<int>(8000)};
  std::array<int, 8> count{};
  constexpr int draws = 8000;
  for (int i = 0; i < draws; ++i) {
    ++count[select(on_recv(open[0]), on_send(sends[0], 1), on_recv(open[1]), on_send(sends[1], 1),
                   on_recv(open[2]), on_send(sends[2], 1), on_recv(open[3]), on_send(sends[3], 1))];
  }
  const double sigma = std::sqrt(draws * (1.0 / 8) * (7.0 / 8));
  for (const int n : count) EXPECT_LT(std::abs(n - draws / 8.0), 10 * sigma) << n;
}

RUNNEL_TEST_BOTH(select_go, sends_pseudo_randomly) {
  constexpr int n = 100;
  for (const std::size_t capacity : {std::size_t{0}, std::size_t{n}}) {
    const chan<int> c(capacity);
    int ones = 0;
    crew receiver;
    receiver.go([&] {
      for (int i = 0; i < n; ++i) {
        runnel::yield();
        ones += *c.recv();
      }
    });
    for (int i = 0; i < n; ++i) select(on_send(c, 1), on_send(c, 0));
    receiver.wait();
    EXPECT_GT(ones, n / 10);
    EXPECT_LT(ones, n - n / 10);
  }
}

RUNNEL_TEST_BOTH(select_go, one_channel_in_several_cases) {
  const chan<int> c;
  const chan<int> d;
  const chan<int> e;
  crew both;
  both.go([&] {
    EXPECT_EQ(select(on_recv(c), on_recv(c), on_recv(d)), 2U);
    e.send(9);
  });
  runnel_test::let_others_run();  // A is queued on c, twice, and then B
  both.go([&] { EXPECT_EQ(c.recv(), 8); });
  runnel_test::let_others_run();
  d.send(7);  // A leaves c's queue, and not with B's place in it
  e.recv();
  c.send(8);
  both.wait();
}

// select6.go: dequeuing a goroutine from the middle of a queue keeps the queue.
RUNNEL_TEST_BOTH(select_go, queue_survives_a_select_leaving_it) {
  const chan<bool> c1;
  const chan<bool> c2;
  const chan<bool> c3;
  crew all;
  all.go([&] { c1.recv(); });
  all.go([&] {
    select(on_recv(c1, [] { ADD_FAILURE() << "wrong case"; }), on_recv(c2, [&] { c3.send(true); }));
    c1.recv();
  });
  all.go([&] { c2.send(true); });
  c3.recv();
  c1.send(true);
  c1.send(true);
}

// SelectStackAdjust: cases that do not run leave their targets alone, while stacks are trimmed.
RUNNEL_TEST_BOTH(select_go, targets_of_other_cases_stay_untouched) {
  const chan<int*> c;
  const chan<int*> d;
  crew both;
  std::atomic<int> ready{0};
  for (const bool twice : {false, true}) {
    both.go([&, twice] {
      volatile char deep[50'000];
      deep[0] = 1;
      int value = 42;
      int* target = &value;
      const chan<int*> c2 = twice ? c : chan<int*>(nullptr);
      const chan<int*> d2 = twice ? d : chan<int*>(nullptr);
      ++ready;
      select(on_recv(c, target), on_recv(c2), on_recv(d), on_recv(d2));
      EXPECT_EQ(target, &value);
      EXPECT_EQ(*target, 42);
      EXPECT_EQ(deep[0], 1);
    });
  }
  EXPECT_TRUE(runnel_test::eventually([&] { return ready == 2; }));
  runnel::sleep_for(10ms);
  d.close();
}

// select.go: what is sent is evaluated once per case and select, chosen or not.
RUNNEL_TEST_BOTH(select_go, operands_are_evaluated_for_every_case) {
  unsigned counter = 0;
  unsigned shift = 0;
  const auto value = [&] {
    ++counter;
    return 1U << shift;
  };
  const auto send_until_full = [&](chan<unsigned> a, chan<unsigned> b) {
    int sent = 0;
    for (bool more = true; more;) {
      switch (select(on_send(a, value()), on_send(b, value()), otherwise())) {
        case 0:
          ++sent;
          a = nullptr;
          break;
        case 1:
          ++sent;
          b = nullptr;
          break;
        default:
          more = false;
      }
      ++shift;
    }
    return sent;
  };
  const chan<unsigned> a(1);
  const chan<unsigned> b(1);
  EXPECT_EQ(send_until_full(a, b), 2);
  EXPECT_EQ(*a.recv() | *b.recv(), 3U);
  EXPECT_EQ(send_until_full(a, nullptr), 1);
  EXPECT_EQ(counter, 10U);
}

// doubleselect.go: a goroutine woken through two channels at once was once made ready twice.
RUNNEL_TEST_BOTH(select_go, a_select_fires_once) {
  const int n = rounds(20'000);
  const std::array<chan<int>, 4> c;
  const chan<int> merged;
  const chan<void> mux_done;
  crew all;
  all.go([&] {
    for (int i = 0; i < n; ++i) {
      select(on_send(c[0], i), on_send(c[1], i), on_send(c[2], i), on_send(c[3], i));
    }
    for (const auto& one : c) one.close();
  });
  for (std::size_t k = 0; k < 4; ++k) {
    all.go([&, k] {
      for (const int v : c[k]) merged.send(v);
      mux_done.send();
    });
  }
  all.go([&] {
    for (int k = 0; k < 4; ++k) mux_done.recv();
    merged.close();
  });
  std::vector<bool> seen(static_cast<std::size_t>(n));
  int count = 0;
  for (const int v : merged) {
    ASSERT_FALSE(seen[static_cast<std::size_t>(v)]) << "value " << v << " twice";
    seen[static_cast<std::size_t>(v)] = true;
    ++count;
  }
  EXPECT_EQ(count, n);
}

// Two selects on the same two channels in opposite roles and order: lock order, claim races.
RUNNEL_TEST_BOTH(select_go, crossed_selects_do_not_deadlock) {
  const chan<int> a;
  const chan<int> b;
  const int n = rounds(10'000);
  crew both;
  both.go([&] {
    for (int i = 0; i < n; ++i) select(on_send(a, i), on_recv(b));
  });
  both.go([&] {
    for (int i = 0; i < n; ++i) select(on_send(b, i), on_recv(a));
  });
  both.wait();
}

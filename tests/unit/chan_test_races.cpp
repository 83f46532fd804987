// Channels under contention: the races of Go's runtime/chan_test.go (TestNonblockRecvRace,
// TestMultiConsumer, TestShrinkStackDuringBlockedSend) and of plain threads beside goroutines.
#include <array>
#include <atomic>
#include <numeric>
#include <runnel/chan.hpp>
#include <runnel/time.hpp>
#include <thread>
#include <vector>

#include "support/crew.hpp"
#include "support/test.hpp"
#include "support/tracked.hpp"

using runnel::chan;
using runnel::chan_status;
using runnel_test::crew;
using runnel_test::rounds;

// A value is in the buffer from before the other goroutine exists; closing must at no moment
// make it look absent.
RUNNEL_TEST_BOTH(chan_races, close_never_hides_a_buffered_value) {
  for (int i = 0; i < rounds(5000); ++i) {
    const chan<int> c(1);
    c.send(1);
    crew other;
    other.go([c] {
      int value = 0;
      EXPECT_NE(c.try_recv(value), chan_status::would_block);
    });
    c.close();
    c.recv();
    if (testing::Test::HasFailure()) return;
  }
}

RUNNEL_TEST_BOTH(chan_races, many_consumers) {
  constexpr int workers = 23;
  const int items = rounds(100'000);
  constexpr std::array<int, 10> primes{2, 3, 7, 11, 13, 17, 19, 23, 27, 31};

  const chan<int> work(workers * 3);
  const chan<int> results(workers * 3);
  const chan<void> worker_done;
  crew all;
  for (int w = 0; w < workers; ++w) {
    all.go([&, w] {
      for (const int v : work) {
        // Disturb the order in which workers come back for more.
        if (primes[static_cast<std::size_t>(w) % primes.size()] == v) runnel::yield();
        results.send(v);
      }
      worker_done.send();
    });
  }
  long expected = 0;
  for (int i = 0; i < items; ++i) expected += primes[static_cast<std::size_t>(i) % primes.size()];
  all.go([&] {
    for (int i = 0; i < items; ++i) work.send(primes[static_cast<std::size_t>(i) % primes.size()]);
    work.close();
    for (int w = 0; w < workers; ++w) worker_done.recv();
    results.close();
  });
  int count = 0;
  long sum = 0;
  for (const int v : results) {
    ++count;
    sum += v;
  }
  EXPECT_EQ(count, items);
  EXPECT_EQ(sum, expected);
}

namespace {

// Touches about `depth` KiB of stack.
int use_stack(int depth) {
  volatile char frame[1024];
  frame[0] = static_cast<char>(depth);
  frame[1023] = frame[0];
  return depth == 0 ? frame[1023] : use_stack(depth - 1) + frame[0];
}

}  // namespace

// The runtime may give back stack pages of a goroutine that is blocked: never those in use.
RUNNEL_TEST_BOTH(chan_races, deep_stack_use_between_blocked_sends) {
  constexpr int n = 30;
  const chan<int> c;
  crew sender;
  sender.go([&] {
    for (int i = 0; i < n; ++i) {
      std::array<int, 256> locals;
      std::iota(locals.begin(), locals.end(), i);
      c.send(i);
      for (int k = 0; k < 256; ++k) ASSERT_EQ(locals[static_cast<std::size_t>(k)], i + k);
      use_stack(100);
    }
  });
  for (int i = 0; i < n; ++i) {
    EXPECT_EQ(c.recv(), i);
    if (i % 5 == 0) runnel::sleep_for(std::chrono::milliseconds(2));
  }
}

RUNNEL_TEST_BOTH(chan_races, plain_threads_send_to_goroutines) {
  for (const std::size_t capacity : {std::size_t{0}, std::size_t{1}, std::size_t{10}}) {
    const chan<int> c(capacity);
    constexpr int threads = 4;
    constexpr int each = rounds(2000);
    std::vector<std::thread> senders;
    for (int t = 0; t < threads; ++t) {
      senders.emplace_back([c, t] {
        for (int i = 0; i < each; ++i) c.send(t * each + i);
      });
    }
    std::atomic<long> sum{0};
    crew receivers;
    for (int r = 0; r < 4; ++r) {
      receivers.go([&] {
        for (int i = 0; i < each; ++i) sum += *c.recv();
      });
    }
    receivers.wait();
    runnel::blocking([&] {
      for (auto& t : senders) t.join();
    });
    const long n = static_cast<long>(threads) * each;
    EXPECT_EQ(sum, n * (n - 1) / 2);
  }
}

RUNNEL_TEST_BOTH(chan_races, goroutines_send_to_plain_threads) {
  for (const std::size_t capacity : {std::size_t{0}, std::size_t{10}}) {
    const chan<int> c(capacity);
    const int n = rounds(8000);
    std::atomic<long> sum{0};
    std::vector<std::thread> receivers;
    for (int t = 0; t < 4; ++t) {
      receivers.emplace_back([&] {
        for (const int v : c) sum += v;
      });
    }
    crew senders;
    for (int s = 0; s < 4; ++s) {
      senders.go([&, s] {
        for (int i = s; i < n; i += 4) c.send(i);
      });
    }
    senders.wait();
    c.close();
    runnel::blocking([&] {
      for (auto& t : receivers) t.join();
    });
    EXPECT_EQ(sum, static_cast<long>(n) * (n - 1) / 2);
  }
}

RUNNEL_TEST_BOTH(chan_races, plain_threads_ping_pong_with_a_goroutine) {
  const chan<int> ping;
  const chan<int> pong;
  crew peer;
  peer.go([&] {
    for (const int v : ping) pong.send(v + 1);
  });
  std::thread thread([&] {
    for (int i = 0; i < rounds(1000); ++i) {
      ping.send(i);
      ASSERT_EQ(pong.recv(), i + 1);
    }
    ping.close();
  });
  peer.wait();
  runnel::blocking([&] { thread.join(); });
}

RUNNEL_TEST_BOTH(chan_races, close_against_blocked_plain_threads) {
  for (int round = 0; round < rounds(50); ++round) {
    const chan<int> c;
    std::atomic<int> ended{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([&] {
        if (!c.recv()) ++ended;
      });
    }
    if (round % 2 == 0) runnel_test::let_others_run();
    c.close();
    runnel::blocking([&] {
      for (auto& t : threads) t.join();
    });
    ASSERT_EQ(ended, 3);
  }
}

// Senders and receivers of every kind hammer one channel that is closed under them: each value
// is either received once, or its sender was told.
RUNNEL_TEST_BOTH(chan_races, close_under_senders_conserves_values) {
  for (int round = 0; round < rounds(200); ++round) {
    runnel_test::ledger book;
    std::atomic<int> sent{0};
    std::atomic<int> received{0};
    {
      const chan<runnel_test::tracked> c(static_cast<std::size_t>(round % 3));
      crew all;
      for (int s = 0; s < 4; ++s) {
        all.go([&] {
          try {
            for (;;) {
              c.send(runnel_test::tracked(book, 1));
              ++sent;
            }
          } catch (const runnel::panic&) {
          }
        });
      }
      for (int r = 0; r < 2; ++r) {
        all.go([&] {
          while (c.recv()) ++received;
        });
      }
      while (received < 20) runnel::yield();
      runnel_test::close_under_senders(c);
    }
    ASSERT_EQ(sent, received);
    ASSERT_EQ(book.objects, 0);
    ASSERT_EQ(book.errors, 0);
  }
}

// The last handle goes away while other goroutines still use theirs.
RUNNEL_TEST_BOTH(chan_races, handles_come_and_go_on_all_processors) {
  runnel_test::ledger book;
  for (int round = 0; round < rounds(500); ++round) {
    crew all;
    {
      const chan<runnel_test::tracked> c(2);
      for (int i = 0; i < 4; ++i) {
        all.go([c = chan<runnel_test::tracked>(c), &book, i]() mutable {
          const chan<runnel_test::tracked> copy = c;
          c = nullptr;
          (void)copy.try_send(runnel_test::tracked(book, i));
        });
      }
    }
  }
  EXPECT_EQ(book.objects, 0);
  EXPECT_EQ(book.errors, 0);
}

// A channel may be freed as soon as its last user has its answer, the peer still being inside
// the operation that gave it.
RUNNEL_TEST_BOTH(chan_races, channel_freed_right_after_the_hand_off) {
  for (int round = 0; round < rounds(3000); ++round) {
    auto* c = new chan<int>;
    runnel::go([copy = *c] { copy.send(1); });
    ASSERT_EQ(c->recv(), 1);
    delete c;
  }
}

// Channels: blocking, closing, order, sizes, nil channels, handles. Most of it is the behaviour
// that Go's runtime/chan_test.go (TestChan) and test/chan/{fifo,select3}.go check.
#include <atomic>
#include <map>
#include <ranges>
#include <runnel/chan.hpp>
#include <unordered_set>
#include <vector>

#include "support/crew.hpp"
#include "support/test.hpp"

using runnel::chan;
using runnel::chan_status;
using runnel_test::crew;
using runnel_test::eventually;
using runnel_test::let_others_run;
using runnel_test::panic_text;

namespace {

// The channel sizes the general tests run with: none, one, a few, enough for all.
constexpr std::size_t capacities[] = {0, 1, 2, 7, 64, 200};

}  // namespace

RUNNEL_TEST_BOTH(chan, receive_from_empty_blocks) {
  for (const std::size_t capacity : capacities) {
    chan<int> c(capacity);
    std::atomic<int> received{0};
    crew receivers;
    for (int i = 0; i < 2; ++i) {
      receivers.go([&] {
        c.recv();
        ++received;
      });
    }
    let_others_run();
    EXPECT_EQ(received, 0) << capacity;
    int value = 5;
    EXPECT_EQ(c.try_recv(value), chan_status::would_block);
    EXPECT_EQ(value, 5);
    c.send(0);
    c.send(0);
    receivers.wait();
    EXPECT_EQ(received, 2);
  }
}

RUNNEL_TEST_BOTH(chan, send_to_full_blocks) {
  for (const std::size_t capacity : capacities) {
    chan<int> c(capacity);
    for (std::size_t i = 0; i < capacity; ++i) c.send(static_cast<int>(i));
    std::atomic<bool> sent{false};
    crew sender;
    sender.go([&] {
      c.send(-1);
      sent = true;
    });
    let_others_run();
    EXPECT_FALSE(sent) << capacity;
    EXPECT_EQ(c.size(), capacity);
    EXPECT_EQ(c.recv(), capacity == 0 ? -1 : 0);
    sender.wait();
    EXPECT_TRUE(sent);
  }
}

RUNNEL_TEST_BOTH(chan, try_send_to_full_does_not_block) {
  for (const std::size_t capacity : capacities) {
    const chan<int> c(capacity);
    for (std::size_t i = 0; i < capacity; ++i) {
      EXPECT_EQ(c.try_send(static_cast<int>(i)), chan_status::ok);
    }
    EXPECT_EQ(c.try_send(9), chan_status::would_block);
    EXPECT_EQ(c.size(), capacity);
  }
}

RUNNEL_TEST_BOTH(chan, try_operations_meet_waiting_peers) {
  const chan<int> c;
  crew peers;
  std::atomic<int> got{0};
  peers.go([&] { got = *c.recv(); });
  EXPECT_TRUE(eventually([&] { return c.try_send(17) == chan_status::ok; }));
  peers.wait();
  EXPECT_EQ(got, 17);

  peers.go([&] { c.send(18); });
  int value = 0;
  EXPECT_TRUE(eventually([&] { return c.try_recv(value) == chan_status::ok; }));
  EXPECT_EQ(value, 18);
}

RUNNEL_TEST_BOTH(chan, closed_channel_drains_then_is_empty) {
  for (const std::size_t capacity : capacities) {
    chan<int> c(capacity);
    for (std::size_t i = 0; i < capacity; ++i) c.send(static_cast<int>(i));
    c.close();
    for (std::size_t i = 0; i < capacity; ++i) {
      EXPECT_EQ(c.size(), capacity - i);
      EXPECT_EQ(c.recv(), static_cast<int>(i));
    }
    for (int i = 0; i < 10; ++i) {
      EXPECT_EQ(c.recv(), std::nullopt);
      int value = 77;
      EXPECT_EQ(c.try_recv(value), chan_status::closed);
    }
    EXPECT_EQ(c.size(), 0U);
    EXPECT_EQ(c.capacity(), capacity);
  }
}

RUNNEL_TEST_BOTH(chan, close_wakes_all_receivers) {
  for (const std::size_t capacity : capacities) {
    chan<int> c(capacity);
    std::atomic<int> woken{0};
    crew receivers;
    for (int i = 0; i < 50; ++i) {
      receivers.go([&] {
        if (!c.recv()) ++woken;
      });
    }
    let_others_run();
    EXPECT_EQ(woken, 0);
    c.close();
    receivers.wait();
    EXPECT_EQ(woken, 50);
  }
}

RUNNEL_TEST_BOTH(chan, close_wakes_all_senders_with_panic) {
  for (const std::size_t capacity : {std::size_t{0}, std::size_t{3}}) {
    chan<int> c(capacity);
    for (std::size_t i = 0; i < capacity; ++i) c.send(static_cast<int>(i));
    std::atomic<int> panicked{0};
    crew senders;
    for (int i = 0; i < 20; ++i) {
      senders.go([&, i] {
        if (panic_text([&] { c.send(100 + i); }) == "send on closed channel") ++panicked;
      });
    }
    let_others_run();
    runnel_test::close_under_senders(c);
    senders.wait();
    EXPECT_EQ(panicked, 20);
    // What was buffered is still there, and nothing of the blocked senders'.
    for (std::size_t i = 0; i < capacity; ++i) EXPECT_EQ(c.recv(), static_cast<int>(i));
    EXPECT_EQ(c.recv(), std::nullopt);
  }
}

RUNNEL_TEST_BOTH(chan, misuse_panics_with_gos_text) {
  for (const std::size_t capacity : {std::size_t{0}, std::size_t{1}}) {
    chan<int> c(capacity);
    c.close();
    EXPECT_EQ(panic_text([&] { c.send(1); }), "send on closed channel");
    EXPECT_EQ(panic_text([&] { (void)c.try_send(1); }), "send on closed channel");
    const int lvalue = 1;
    EXPECT_EQ(panic_text([&] { (void)c.try_send(lvalue); }), "send on closed channel");
    EXPECT_EQ(panic_text([&] { c.close(); }), "close of closed channel");
    // and it is still usable afterwards
    EXPECT_EQ(c.recv(), std::nullopt);
  }
  const chan<int> nil = nullptr;
  EXPECT_EQ(panic_text([&] { nil.close(); }), "close of nil channel");
  EXPECT_EQ(panic_text([] { chan<int> c(static_cast<std::size_t>(-1)); }),
            "makechan: size out of range");
  static_assert(std::is_base_of_v<std::logic_error, runnel::panic>);
}

RUNNEL_TEST_BOTH(chan, values_arrive_in_order) {
  for (const std::size_t capacity : capacities) {
    chan<int> c(capacity);
    crew sender;
    sender.go([&] {
      for (int i = 0; i < 300; ++i) c.send(i);
    });
    for (int i = 0; i < 300; ++i) ASSERT_EQ(c.recv(), i) << capacity;
  }
}

RUNNEL_TEST_BOTH(chan, four_senders_four_receivers_lose_nothing) {
  constexpr int parties = 4;
  const int values = runnel_test::rounds(1000);
  for (const std::size_t capacity : capacities) {
    chan<int> c(capacity);
    chan<std::map<int, int>> results;
    crew all;
    for (int p = 0; p < parties; ++p) {
      all.go([&] {
        for (int i = 0; i < values; ++i) c.send(i);
      });
      all.go([&] {
        std::map<int, int> seen;
        for (int i = 0; i < values; ++i) ++seen[*c.recv()];
        results.send(std::move(seen));
      });
    }
    std::map<int, int> total;
    for (int p = 0; p < parties; ++p) {
      const std::map<int, int> seen = *results.recv();
      for (const auto& [value, count] : seen) total[value] += count;
    }
    ASSERT_EQ(total.size(), static_cast<std::size_t>(values));
    for (const auto& [value, count] : total) ASSERT_EQ(count, parties) << value;
  }
}

RUNNEL_TEST_BOTH(chan, size_and_capacity) {
  for (const std::size_t capacity : capacities) {
    const chan<int> c(capacity);
    EXPECT_EQ(c.capacity(), capacity);
    for (std::size_t i = 0; i < capacity; ++i) {
      EXPECT_EQ(c.size(), i);
      c.send(0);
    }
    EXPECT_EQ(c.size(), capacity);
  }
  const chan<int> unbuffered;
  EXPECT_EQ(unbuffered.capacity(), 0U);
  const chan<int> literal_zero(0);  // not mistaken for nil
  EXPECT_TRUE(literal_zero);
  EXPECT_EQ(literal_zero.capacity(), 0U);
}

RUNNEL_TEST_BOTH(chan, nil_channel) {
  const chan<int> nil = nullptr;
  EXPECT_FALSE(nil);
  EXPECT_EQ(nil.size(), 0U);
  EXPECT_EQ(nil.capacity(), 0U);
  int value = 3;
  EXPECT_EQ(nil.try_recv(value), chan_status::would_block);
  EXPECT_EQ(value, 3);
  EXPECT_EQ(nil.try_send(1), chan_status::would_block);
  EXPECT_TRUE(nil == chan<int>(nullptr));
  EXPECT_FALSE(nil == chan<int>());
}

RUNNEL_TEST_BOTH(chan, handles_refer_to_one_channel) {
  chan<int> a(2);
  const chan<int> b = a;  // NOLINT: the copy is what is tested
  EXPECT_EQ(a, b);
  EXPECT_NE(a, chan<int>(2));
  EXPECT_EQ(std::hash<chan<int>>{}(a), std::hash<chan<int>>{}(b));
  b.send(4);
  EXPECT_EQ(a.recv(), 4);
  std::unordered_set<chan<int>> set{a, b, chan<int>()};
  EXPECT_EQ(set.size(), 2U);

  chan<int> moved = std::move(a);
  EXPECT_EQ(moved, b);
  chan<int> other;
  other = b;
  EXPECT_EQ(other, moved);
  chan<int>& alias = other;
  other = alias;  // self-assignment
  EXPECT_EQ(other, moved);
  other = nullptr;
  EXPECT_FALSE(other);
}

RUNNEL_TEST_BOTH(chan, a_channel_is_not_a_default_nil) {
  const chan<int> c;
  ASSERT_TRUE(c);
  static_assert(!std::is_convertible_v<std::size_t, chan<int>>, "explicit");
  static_assert(std::is_convertible_v<std::nullptr_t, chan<int>>);
  static_assert(!std::is_convertible_v<chan<int>, bool>, "explicit");
}

RUNNEL_TEST_BOTH(chan, range_for_ends_when_closed_and_drained) {
  for (const std::size_t capacity : capacities) {
    const chan<int> c(capacity);
    crew sender;
    sender.go([&] {
      for (int i = 0; i < 100; ++i) c.send(i);
      c.close();
    });
    int expected = 0;
    for (const int v : c) ASSERT_EQ(v, expected++);
    EXPECT_EQ(expected, 100);
    for ([[maybe_unused]] const int v : c) ADD_FAILURE() << "value from a drained channel";
  }
}

RUNNEL_TEST_BOTH(chan, is_an_input_range) {
  static_assert(std::ranges::input_range<chan<int>>);
  static_assert(std::ranges::input_range<const chan<int>>);
  static_assert(std::ranges::input_range<runnel::recv_chan<int>>);
  const chan<int> c(10);
  for (int i = 0; i < 10; ++i) c.send(i);
  c.close();
// Clang rejected libstdc++'s views, those of a vector as well, before 16.
#if !defined(__clang__) || __clang_major__ >= 16
  std::vector<int> even;
  for (const int v : c | std::views::filter([](int i) { return i % 2 == 0; })) even.push_back(v);
  EXPECT_EQ(even, (std::vector<int>{0, 2, 4, 6, 8}));
#else
  EXPECT_EQ(std::ranges::distance(c), 10);
#endif
}

RUNNEL_TEST_BOTH(chan, breaking_out_of_range_for_takes_no_further_value) {
  const chan<int> c(3);
  for (int i = 0; i < 3; ++i) c.send(i);
  for (const int v : c) {
    if (v == 1) break;
  }
  EXPECT_EQ(c.size(), 1U);
  EXPECT_EQ(c.recv(), 2);
}

RUNNEL_TEST_BOTH(chan, channels_of_channels) {
  // test/chan/sendstmt.go: a channel travels through a channel.
  const chan<chan<int>> outer(1);
  const chan<int> inner(1);
  outer.send(inner);
  EXPECT_EQ(outer.recv()->try_send(2), chan_status::ok);
  EXPECT_EQ(inner.recv(), 2);
}

RUNNEL_TEST_BOTH(chan, receivers_are_served_first_come_first_served) {
  const chan<int> c;
  constexpr int n = 20;
  std::vector<int> got(n, -1);
  crew receivers;
  std::atomic<int> about_to_wait{0};
  for (int i = 0; i < n; ++i) {
    receivers.go([&, i] {
      ++about_to_wait;
      got[static_cast<std::size_t>(i)] = *c.recv();
    });
    // One after the other: receiver i is parked before i + 1 is begun.
    eventually([&] { return about_to_wait == i + 1; });
    let_others_run();
  }
  for (int i = 0; i < n; ++i) c.send(i);
  receivers.wait();
  for (int i = 0; i < n; ++i) EXPECT_EQ(got[static_cast<std::size_t>(i)], i);
}

RUNNEL_TEST_BOTH(chan, senders_are_served_first_come_first_served) {
  const chan<int> c(1);
  c.send(-1);
  constexpr int n = 20;
  crew senders;
  std::atomic<int> about_to_wait{0};
  for (int i = 0; i < n; ++i) {
    senders.go([&, i] {
      ++about_to_wait;
      c.send(i);
    });
    eventually([&] { return about_to_wait == i + 1; });
    let_others_run();
  }
  for (int i = -1; i < n; ++i) EXPECT_EQ(c.recv(), i);
}

RUNNEL_TEST_BOTH(chan, close_with_values_buffered_and_receivers_late) {
  const chan<int> c(3);
  c.send(1);
  c.send(2);
  crew receivers;
  c.close();
  std::atomic<int> sum{0};
  std::atomic<int> ends{0};
  for (int i = 0; i < 4; ++i) {
    receivers.go([&] {
      if (const auto v = c.recv()) {
        sum += *v;
      } else {
        ++ends;
      }
    });
  }
  receivers.wait();
  EXPECT_EQ(sum, 3);
  EXPECT_EQ(ends, 2);
}

// Channels of every kind of value: move-only, without default constructor, with throwing moves,
// over-aligned, huge, empty and void; each value received or destroyed exactly once.
#include <array>
#include <memory>
#include <runnel/chan.hpp>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "support/crew.hpp"
#include "support/test.hpp"
#include "support/tracked.hpp"

using runnel::chan;
using runnel::chan_status;
using runnel_test::crew;
using runnel_test::ledger;
using runnel_test::let_others_run;
using runnel_test::throwing_move;
using runnel_test::tracked;

RUNNEL_TEST_BOTH(chan_types, move_only_values) {
  for (const std::size_t capacity : {std::size_t{0}, std::size_t{4}}) {
    const chan<std::unique_ptr<int>> c(capacity);
    crew sender;
    sender.go([&] {
      for (int i = 0; i < 100; ++i) c.send(std::make_unique<int>(i));
      c.close();
    });
    int expected = 0;
    for (std::unique_ptr<int> p : c) ASSERT_EQ(*p, expected++);
    EXPECT_EQ(expected, 100);
  }
}

RUNNEL_TEST_BOTH(chan_types, try_send_moves_only_when_it_sends) {
  const chan<std::unique_ptr<int>> c(1);
  auto p = std::make_unique<int>(1);
  EXPECT_EQ(c.try_send(std::move(p)), chan_status::ok);
  EXPECT_EQ(p, nullptr);  // NOLINT: what a move does to it is what is tested
  p = std::make_unique<int>(2);
  EXPECT_EQ(c.try_send(std::move(p)), chan_status::would_block);
  ASSERT_NE(p, nullptr);
  EXPECT_EQ(*p, 2);
  c.close();
  EXPECT_THROW((void)c.try_send(std::move(p)), runnel::panic);
  ASSERT_NE(p, nullptr);
  std::unique_ptr<int> out;
  EXPECT_EQ(c.try_recv(out), chan_status::ok);
  EXPECT_EQ(*out, 1);
  EXPECT_EQ(c.try_recv(out), chan_status::closed);
}

RUNNEL_TEST_BOTH(chan_types, no_default_constructor_needed) {
  struct point {
    point(int a, int b) : x(a), y(b) {}
    int x, y;
  };
  static_assert(!std::is_default_constructible_v<point>);
  for (const std::size_t capacity : {std::size_t{0}, std::size_t{2}}) {
    const chan<point> c(capacity);
    crew sender;
    sender.go([&] {
      c.send(point{1, 2});
      c.send({3, 4});
    });
    EXPECT_EQ(c.recv()->y, 2);
    point out{0, 0};
    EXPECT_TRUE(runnel_test::eventually([&] { return c.try_recv(out) == chan_status::ok; }));
    EXPECT_EQ(out.x, 3);
  }
}

RUNNEL_TEST_BOTH(chan_types, every_value_is_destroyed_once) {
  ledger book;
  for (const std::size_t capacity : {std::size_t{0}, std::size_t{1}, std::size_t{16}}) {
    const int n = runnel_test::rounds(2000);
    chan<tracked> c(capacity);
    std::atomic<long> sum{0};
    crew all;
    for (int s = 0; s < 3; ++s) {
      all.go([&, s] {
        for (int i = s; i < n; i += 3) c.send(tracked(book, i));
      });
    }
    for (int r = 0; r < 2; ++r) {
      all.go([&, r] {
        for (int i = r; i < n; i += 2) sum += c.recv()->value();
      });
    }
    all.wait();
    EXPECT_EQ(sum, static_cast<long>(n) * (n - 1) / 2);
    EXPECT_EQ(book.values, 0);
    EXPECT_EQ(book.objects, 0);
    EXPECT_EQ(book.errors, 0);
  }
}

RUNNEL_TEST_BOTH(chan_types, last_handle_destroys_what_is_buffered) {
  ledger book;
  {
    chan<tracked> c(8);
    for (int i = 0; i < 5; ++i) c.send(tracked(book, i));
    (void)c.recv();
    c.send(tracked(book, 5));
    EXPECT_EQ(book.values, 5);
    const chan<tracked> second = c;
    c = nullptr;
    EXPECT_EQ(book.values, 5);
    second.close();  // closing does not drop what is buffered
    EXPECT_EQ(book.values, 5);
  }
  EXPECT_EQ(book.objects, 0);
  EXPECT_EQ(book.destroyed, 6);
  EXPECT_EQ(book.errors, 0);
}

RUNNEL_TEST_BOTH(chan_types, value_of_a_sender_woken_by_close_is_destroyed) {
  ledger book;
  const chan<tracked> c;
  crew senders;
  std::atomic<int> panics{0};
  for (int i = 0; i < 10; ++i) {
    senders.go([&, i] {
      try {
        c.send(tracked(book, i));
      } catch (const runnel::panic&) {
        ++panics;
      }
    });
  }
  EXPECT_TRUE(runnel_test::eventually([&] { return book.values == 10; }));
  let_others_run();
  runnel_test::close_under_senders(c);
  senders.wait();
  EXPECT_EQ(panics, 10);
  EXPECT_EQ(book.objects, 0);
  EXPECT_EQ(book.destroyed, 10);
  EXPECT_EQ(book.errors, 0);
}

RUNNEL_TEST_BOTH(chan_types, try_recv_assigns_and_destroys_the_old_value) {
  ledger book;
  {
    const chan<tracked> c(1);
    tracked out(book, 1);
    c.send(tracked(book, 2));
    EXPECT_EQ(c.try_recv(out), chan_status::ok);
    EXPECT_EQ(out.value(), 2);
    EXPECT_EQ(book.values, 1);
    EXPECT_EQ(c.try_recv(out), chan_status::would_block);
    EXPECT_EQ(out.value(), 2);
  }
  EXPECT_EQ(book.objects, 0);
  EXPECT_EQ(book.errors, 0);
}

// A move that throws, at each of the moves a value makes on its way: the exception reaches the
// party whose operation made the move, no value is destroyed twice or kept, and the channel
// goes on working, which two further values prove.
RUNNEL_TEST_BOTH(chan_types, throwing_moves_leave_the_channel_usable) {
  for (const std::size_t capacity : {std::size_t{0}, std::size_t{1}, std::size_t{2}}) {
    for (int fuse_length = 1; fuse_length <= 8; ++fuse_length) {
      ledger book;
      std::atomic<int> fuse{0};
      {
        const chan<throwing_move> c(capacity);
        std::atomic<int> failures{0};
        std::atomic<int> received{0};
        crew receiver;
        receiver.go([&] {
          for (;;) {
            try {
              const auto v = c.recv();
              if (!v) return;
              ++received;
            } catch (const std::runtime_error&) {
              ++failures;
            }
          }
        });
        fuse = fuse_length;
        const auto send = [&](int i) {
          try {
            c.send(throwing_move(book, fuse, i));
          } catch (const std::runtime_error&) {
            ++failures;
          }
        };
        send(1);
        let_others_run();
        fuse = 0;
        send(2);
        send(3);
        c.close();
        receiver.wait();
        EXPECT_LE(failures, 1) << "capacity " << capacity << " fuse " << fuse_length;
        EXPECT_GE(received, 2) << "capacity " << capacity << " fuse " << fuse_length;
      }
      EXPECT_EQ(book.objects, 0) << "capacity " << capacity << " fuse " << fuse_length;
      EXPECT_EQ(book.errors, 0) << "capacity " << capacity << " fuse " << fuse_length;
    }
  }
}

RUNNEL_TEST_BOTH(chan_types, throwing_moves_with_a_blocked_sender) {
  for (const std::size_t capacity : {std::size_t{0}, std::size_t{1}}) {
    for (int fuse_length = 1; fuse_length <= 6; ++fuse_length) {
      ledger book;
      std::atomic<int> fuse{0};
      {
        const chan<throwing_move> c(capacity);
        crew senders;
        std::atomic<int> failures{0};
        std::atomic<int> outcomes{0};
        for (int i = 0; i < 3; ++i) {
          senders.go([&, i] {
            try {
              c.send(throwing_move(book, fuse, i));
            } catch (const std::runtime_error&) {
              ++failures;
            }
            ++outcomes;
          });
        }
        let_others_run();
        fuse = fuse_length;
        int received = 0;
        // A value whose move fails is lost to its sender or its receiver, so a receive may have
        // to be tried again but must never hang: all senders end.
        while (outcomes < 3 || c.size() > 0) {
          try {
            throwing_move out(book, fuse, -1);
            if (c.try_recv(out) == chan_status::ok) {
              ++received;
            } else {
              let_others_run();
            }
          } catch (const std::runtime_error&) {
            ++failures;
          }
        }
        senders.wait();
        EXPECT_LE(failures, 1);
        EXPECT_GE(received + failures, 3) << "capacity " << capacity << " fuse " << fuse_length;
      }
      EXPECT_EQ(book.objects, 0) << "capacity " << capacity << " fuse " << fuse_length;
      EXPECT_EQ(book.errors, 0);
    }
  }
}

RUNNEL_TEST_BOTH(chan_types, throwing_copy_in_try_send_changes_nothing) {
  struct copy_throws {
    explicit copy_throws(int v) : value(v) {}
    copy_throws(const copy_throws& other) : value(other.value) {
      throw std::runtime_error("copy failed");
    }
    copy_throws(copy_throws&&) = default;
    copy_throws& operator=(copy_throws&&) = default;
    int value;
  };
  const chan<copy_throws> c(1);
  const copy_throws v(1);
  EXPECT_THROW((void)c.try_send(v), std::runtime_error);
  EXPECT_EQ(c.size(), 0U);
  EXPECT_EQ(c.try_send(copy_throws(2)), chan_status::ok);
  EXPECT_EQ(c.recv()->value, 2);
}

RUNNEL_TEST_BOTH(chan_types, over_aligned_values) {
  struct alignas(256) wide {
    char bytes[256] = {};
  };
  for (const std::size_t capacity : {std::size_t{0}, std::size_t{3}}) {
    const chan<wide> c(capacity);
    crew sender;
    sender.go([&] {
      for (int i = 0; i < 20; ++i) {
        wide w;
        w.bytes[255] = static_cast<char>(i);
        c.send(w);
      }
    });
    for (int i = 0; i < 20; ++i) {
      const auto w = c.recv();
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&*w) % 256, 0U);
      EXPECT_EQ(w->bytes[255], static_cast<char>(i));
    }
  }
}

RUNNEL_TEST_BOTH(chan_types, big_and_empty_values) {
  // test/chan/zerosize.go: values without size; and one larger than a page.
  struct nothing {};
  const chan<nothing> n(1);
  n.send({});
  EXPECT_TRUE(n.recv().has_value());
  const chan<nothing> n0;
  crew peers;
  peers.go([&] { n0.send({}); });
  EXPECT_TRUE(n0.recv().has_value());

  struct big {
    std::array<char, 20000> bytes = {};
  };
  for (const std::size_t capacity : {std::size_t{0}, std::size_t{2}}) {
    const chan<big> c(capacity);
    peers.go([&] {
      big b;
      b.bytes.front() = 1;
      b.bytes.back() = 2;
      c.send(b);
    });
    const auto b = c.recv();
    EXPECT_EQ(b->bytes.front() + b->bytes.back(), 3);
    peers.wait();
  }
}

RUNNEL_TEST_BOTH(chan_types, strings_vectors_optionals_and_references) {
  const chan<std::string> s(2);
  const std::string text(1000, 'x');
  s.send(text);
  s.send("literal");
  EXPECT_EQ(s.recv(), text);
  EXPECT_EQ(s.recv(), "literal");

  const chan<std::vector<int>> v(1);
  v.send({1, 2, 3});
  EXPECT_EQ(v.recv()->size(), 3U);

  // optional<optional<T>>: an empty value is not the end
  const chan<std::optional<int>> o(2);
  o.send(std::nullopt);
  o.send(1);
  o.close();
  const auto first = o.recv();
  ASSERT_TRUE(first.has_value());
  EXPECT_FALSE(first->has_value());
  EXPECT_EQ(**o.recv(), 1);
  EXPECT_FALSE(o.recv().has_value());

  int target = 0;
  const chan<std::reference_wrapper<int>> r(1);
  r.send(target);
  r.recv()->get() = 5;
  EXPECT_EQ(target, 5);

  const chan<bool> b(1);
  b.send(false);
  EXPECT_EQ(b.recv(), false);
}

RUNNEL_TEST_BOTH(chan_types, void_channel) {
  const chan<void> c(2);
  EXPECT_EQ(c.try_recv(), chan_status::would_block);
  c.send();
  EXPECT_EQ(c.try_send(), chan_status::ok);
  EXPECT_EQ(c.try_send(), chan_status::would_block);
  EXPECT_EQ(c.size(), 2U);
  EXPECT_TRUE(c.recv());
  EXPECT_EQ(c.try_recv(), chan_status::ok);
  c.send();
  c.close();
  EXPECT_TRUE(c.recv());
  EXPECT_FALSE(c.recv());
  EXPECT_EQ(c.try_recv(), chan_status::closed);
  EXPECT_THROW(c.send(), runnel::panic);
  EXPECT_THROW((void)c.try_send(), runnel::panic);
  EXPECT_THROW(c.close(), runnel::panic);
  EXPECT_THROW(chan<void>(nullptr).close(), runnel::panic);
}

RUNNEL_TEST_BOTH(chan_types, void_channel_unbuffered_and_iterated) {
  const chan<void> c;
  crew sender;
  sender.go([&] {
    for (int i = 0; i < 10; ++i) c.send();
    c.close();
  });
  int n = 0;
  for (const std::monostate tick : c) {
    EXPECT_EQ(tick, std::monostate{});
    ++n;
  }
  EXPECT_EQ(n, 10);
}

RUNNEL_TEST_BOTH(chan_types, directions) {
  chan<int> c(2);
  const runnel::send_chan<int> in = c;
  const runnel::recv_chan<int> out = c;
  in.send(1);
  EXPECT_EQ(in.try_send(2), chan_status::ok);
  EXPECT_EQ(in.try_send(3), chan_status::would_block);
  EXPECT_EQ(in.size(), 2U);
  EXPECT_EQ(out.size(), 2U);
  EXPECT_EQ(in.capacity(), 2U);
  EXPECT_EQ(out.capacity(), 2U);
  EXPECT_EQ(out.recv(), 1);
  int value = 0;
  EXPECT_EQ(out.try_recv(value), chan_status::ok);
  EXPECT_EQ(value, 2);
  in.send(4);
  in.close();
  std::vector<int> rest;
  for (const int v : out) rest.push_back(v);
  EXPECT_EQ(rest, std::vector<int>{4});
  EXPECT_THROW(in.send(1), runnel::panic);

  const chan<void> v(1);
  const runnel::send_chan<void> vin = v;
  const runnel::recv_chan<void> vout = v;
  vin.send();
  EXPECT_TRUE(vout.recv());
  vin.close();
  EXPECT_FALSE(vout.recv());
}

// select: every kind of case, what it returns, what it leaves untouched, what handlers may do.
// Blocking and panicking follow Go's test/chan/select3.go.
#include <atomic>
#include <memory>
#include <optional>
#include <runnel/chan.hpp>
#include <runnel/select.hpp>
#include <runnel/time.hpp>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/crew.hpp"
#include "support/test.hpp"
#include "support/tracked.hpp"

using namespace std::chrono_literals;
using runnel::chan;
using runnel::on_recv;
using runnel::on_send;
using runnel::on_timeout;
using runnel::otherwise;
using runnel::select;
using runnel_test::crew;
using runnel_test::let_others_run;

RUNNEL_TEST_BOTH(select, returns_the_index_of_the_case_that_ran) {
  const chan<int> a(1);
  const chan<int> b(1);
  const chan<int> nil = nullptr;
  b.send(1);
  EXPECT_EQ(select(on_recv(a), on_recv(b), on_recv(nil)), 1U);
  a.send(1);
  EXPECT_EQ(select(on_recv(a), on_recv(b)), 0U);
  EXPECT_EQ(select(on_recv(a), on_recv(b), otherwise()), 2U);
  EXPECT_EQ(select(otherwise(), on_recv(a)), 0U);
  EXPECT_EQ(select(on_recv(a), otherwise(), on_recv(b)), 1U);
  EXPECT_EQ(select(on_recv(a), on_send(b, 1)), 1U);
  EXPECT_EQ(select(on_recv(a), on_timeout(1ms)), 1U);
  EXPECT_EQ(select(otherwise()), 0U);
  EXPECT_EQ(select(on_timeout(1ms)), 0U);
}

RUNNEL_TEST_BOTH(select, receive_forms) {
  const chan<int> c(1);
  const auto refill = [&] { c.send(42); };

  refill();
  select(on_recv(c));

  refill();
  int value = 0;
  select(on_recv(c, value));
  EXPECT_EQ(value, 42);

  refill();
  std::optional<int> maybe;
  select(on_recv(c, maybe));
  EXPECT_EQ(maybe, 42);

  refill();
  int seen = 0;
  select(on_recv(c, [&](int v) { seen = v; }));
  EXPECT_EQ(seen, 42);

  refill();
  seen = 0;
  select(on_recv(c, [&](std::optional<int> v) { seen = v.value(); }));
  EXPECT_EQ(seen, 42);

  refill();
  seen = 0;
  select(on_recv(c, [&] { seen = 1; }));
  EXPECT_EQ(seen, 1);
  EXPECT_EQ(c.size(), 0U);
}

RUNNEL_TEST_BOTH(select, receive_forms_on_a_closed_channel) {
  const chan<int> c;
  c.close();
  EXPECT_EQ(select(on_recv(c)), 0U);

  int value = 5;
  EXPECT_EQ(select(on_recv(c, value)), 0U);
  EXPECT_EQ(value, 0);  // T{}, as in Go

  std::optional<int> maybe = 5;
  EXPECT_EQ(select(on_recv(c, maybe)), 0U);
  EXPECT_FALSE(maybe.has_value());

  int seen = 5;
  EXPECT_EQ(select(on_recv(c, [&](int v) { seen = v; })), 0U);
  EXPECT_EQ(seen, 0);

  bool empty = false;
  EXPECT_EQ(select(on_recv(c, [&](std::optional<int> v) { empty = !v; })), 0U);
  EXPECT_TRUE(empty);

  bool ran = false;
  EXPECT_EQ(select(on_recv(c, [&] { ran = true; }), otherwise()), 0U);
  EXPECT_TRUE(ran);
}

RUNNEL_TEST_BOTH(select, receive_forms_when_woken) {
  // The same forms when the value comes, or the channel closes, while the select is blocked.
  const chan<int> c;
  crew peer;
  int value = 5;
  std::optional<int> maybe = 5;
  peer.go([&] {
    let_others_run();
    c.send(1);
    let_others_run();
    c.send(2);
    let_others_run();
    c.send(3);
    let_others_run();
    c.send(4);
    let_others_run();
    c.close();
  });
  select(on_recv(c, value));
  EXPECT_EQ(value, 1);
  select(on_recv(c, maybe));
  EXPECT_EQ(maybe, 2);
  select(on_recv(c, [&](int v) { value = v; }));
  EXPECT_EQ(value, 3);
  select(on_recv(c, [&](std::optional<int> v) { maybe = v; }));
  EXPECT_EQ(maybe, 4);
  select(on_recv(c, value));
  EXPECT_EQ(value, 0);
  select(on_recv(c, maybe));
  EXPECT_FALSE(maybe.has_value());
}

RUNNEL_TEST_BOTH(select, values_without_default_constructor) {
  struct number {
    explicit number(int v) : value(v) {}
    int value;
  };
  const chan<number> c(1);
  c.send(number(3));
  int seen = 0;
  select(on_recv(c, [&](std::optional<number> n) { seen = n->value; }));
  EXPECT_EQ(seen, 3);
  std::optional<number> out;
  c.send(number(4));
  select(on_recv(c, out), otherwise());
  EXPECT_EQ(out->value, 4);
  EXPECT_EQ(select(on_send(c, number(5))), 0U);
  c.close();
  select(on_recv(c));
  EXPECT_EQ(select(on_recv(c, out)), 0U);
  EXPECT_FALSE(out);
}

RUNNEL_TEST_BOTH(select, send_forms) {
  const chan<std::string> c(1);
  const std::string text = "a string that is too long to be stored inside";
  EXPECT_EQ(select(on_send(c, text)), 0U);
  EXPECT_EQ(c.recv(), text);
  std::string mine = text;
  EXPECT_EQ(select(on_send(c, mine)), 0U);
  EXPECT_EQ(mine, text);  // copied
  EXPECT_EQ(c.recv(), text);
  EXPECT_EQ(select(on_send(c, std::move(mine))), 0U);
  EXPECT_TRUE(mine.empty());  // NOLINT: moved from
  EXPECT_EQ(c.recv(), text);
  bool ran = false;
  EXPECT_EQ(select(on_send(c, "literal", [&] { ran = true; })), 0U);
  EXPECT_TRUE(ran);
  EXPECT_EQ(c.recv(), "literal");
}

RUNNEL_TEST_BOTH(select, a_send_that_is_not_chosen_leaves_the_value_alone) {
  const chan<std::unique_ptr<int>> full(1);
  full.send(nullptr);
  const chan<int> ready(1);
  auto p = std::make_unique<int>(1);
  EXPECT_EQ(select(on_send(full, std::move(p)), otherwise()), 1U);
  ASSERT_NE(p, nullptr);
  ready.send(1);
  EXPECT_EQ(select(on_send(full, std::move(p)), on_recv(ready)), 1U);
  ASSERT_NE(p, nullptr);
  EXPECT_EQ(select(on_send(full, std::move(p)), on_timeout(5ms)), 1U);
  ASSERT_NE(p, nullptr);
  // blocked, and then the other case becomes ready
  crew peer;
  peer.go([&] {
    let_others_run();
    ready.send(1);
  });
  EXPECT_EQ(select(on_send(full, std::move(p)), on_recv(ready)), 1U);
  ASSERT_NE(p, nullptr);
  EXPECT_EQ(*p, 1);
  // and when it is chosen it is moved from
  full.recv();
  EXPECT_EQ(select(on_send(full, std::move(p)), on_recv(ready)), 0U);
  EXPECT_EQ(p, nullptr);
}

RUNNEL_TEST_BOTH(select, blocked_send_case_moves_when_a_receiver_comes) {
  const chan<std::unique_ptr<int>> c;
  crew peer;
  std::unique_ptr<int> got;
  peer.go([&] {
    let_others_run();
    got = *c.recv();
  });
  auto p = std::make_unique<int>(8);
  EXPECT_EQ(select(on_send(c, std::move(p)), on_timeout(1h)), 0U);
  EXPECT_EQ(p, nullptr);
  peer.wait();
  ASSERT_NE(got, nullptr);
  EXPECT_EQ(*got, 8);
}

RUNNEL_TEST_BOTH(select, send_copies_once_and_only_if_chosen) {
  struct counted {
    explicit counted(std::atomic<int>& n) : copies(&n) {}
    counted(const counted& o) : copies(o.copies) { ++*copies; }
    counted(counted&&) noexcept = default;
    counted& operator=(const counted&) = delete;
    counted& operator=(counted&&) noexcept = default;
    std::atomic<int>* copies;
  };
  std::atomic<int> copies{0};
  const counted value(copies);
  const chan<counted> c(1);
  const chan<int> never = nullptr;
  EXPECT_EQ(select(on_send(c, value), on_recv(never)), 0U);
  EXPECT_EQ(copies, 1);
  EXPECT_EQ(select(on_send(c, value), otherwise()), 1U);
  EXPECT_EQ(select(on_send(c, value), on_timeout(1ms)), 1U);
  EXPECT_EQ(copies, 1);
}

RUNNEL_TEST_BOTH(select, send_on_closed_panics_even_beside_others) {
  const chan<int> closed;
  closed.close();
  EXPECT_THROW(select(on_send(closed, 1)), runnel::panic);
  EXPECT_THROW(select(on_send(closed, 1), otherwise()), runnel::panic);
  const chan<int> nil = nullptr;
  EXPECT_THROW(select(on_recv(nil), on_send(closed, 1)), runnel::panic);
  try {
    select(on_send(closed, 1), on_timeout(1h));
    ADD_FAILURE() << "no panic";
  } catch (const runnel::panic& p) {
    EXPECT_STREQ(p.what(), "send on closed channel");
  }
}

RUNNEL_TEST_BOTH(select, send_case_woken_by_close_panics) {
  runnel_test::ledger book;
  {
    const chan<runnel_test::tracked> c;
    const chan<int> other;
    crew senders;
    std::atomic<int> panics{0};
    for (int i = 0; i < 5; ++i) {
      senders.go([&, i] {
        try {
          select(on_send(c, runnel_test::tracked(book, i)), on_recv(other));
        } catch (const runnel::panic& p) {
          EXPECT_STREQ(p.what(), "send on closed channel");
          ++panics;
        }
      });
    }
    let_others_run();
    runnel_test::close_under_senders(c);
    senders.wait();
    EXPECT_EQ(panics, 5);
  }
  EXPECT_EQ(book.objects, 0);
  EXPECT_EQ(book.errors, 0);
}

RUNNEL_TEST_BOTH(select, nil_channels_never_fire) {
  const chan<int> nil = nullptr;
  const chan<void> nil_void = nullptr;
  EXPECT_EQ(select(on_send(nil, 7), otherwise()), 1U);
  EXPECT_EQ(select(on_recv(nil), otherwise()), 1U);
  EXPECT_EQ(
      select(on_send(nil, 7), on_recv(nil), on_recv(nil_void), on_send(nil_void), on_timeout(2ms)),
      4U);
}

RUNNEL_TEST_BOTH(select, void_channels) {
  const chan<void> c(1);
  EXPECT_EQ(select(on_recv(c), otherwise()), 1U);
  EXPECT_EQ(select(on_send(c)), 0U);
  EXPECT_EQ(select(on_send(c), otherwise()), 1U);
  bool received = false;
  EXPECT_EQ(select(on_recv(c, [&] { received = true; })), 0U);
  EXPECT_TRUE(received);
  bool sent = false;
  EXPECT_EQ(select(on_send(c, [&] { sent = true; })), 0U);
  EXPECT_TRUE(sent);
  EXPECT_EQ(c.size(), 1U);
  c.recv();
  c.close();
  EXPECT_EQ(select(on_recv(c)), 0U);
  EXPECT_THROW(select(on_send(c)), runnel::panic);
}

RUNNEL_TEST_BOTH(select, directional_channels) {
  const chan<int> c(1);
  const runnel::send_chan<int> in = c;
  const runnel::recv_chan<int> out = c;
  EXPECT_EQ(select(on_send(in, 5)), 0U);
  int v = 0;
  EXPECT_EQ(select(on_recv(out, v)), 0U);
  EXPECT_EQ(v, 5);
}

RUNNEL_TEST_BOTH(select, temporaries_as_channels) {
  // The handle of a case may be a temporary: the select keeps the channel alive.
  EXPECT_EQ(select(on_recv(runnel::after(1ms)), on_recv(chan<int>())), 0U);
}

RUNNEL_TEST_BOTH(select, sees_itself_on_neither_side) {
  // select3.go: a select with a send and a receive on one channel is not its own peer.
  const chan<int> c;
  EXPECT_EQ(select(on_send(c, 1), on_recv(c), otherwise()), 2U);
  EXPECT_EQ(select(on_send(c, 1), on_recv(c), on_timeout(2ms)), 2U);
}

RUNNEL_TEST_BOTH(select, handler_runs_outside_of_every_lock) {
  const chan<int> c(1);
  c.send(1);
  select(on_recv(c, [&](int v) {
    // everything on the same channel, another select included
    c.send(v + 1);
    EXPECT_EQ(select(on_recv(c, [&](int w) { EXPECT_EQ(w, 2); }), otherwise()), 0U);
    runnel::yield();
    runnel::sleep_for(1ms);
    c.send(9);
    c.close();
  }));
  EXPECT_EQ(c.recv(), 9);
}

RUNNEL_TEST_BOTH(select, handler_may_throw) {
  const chan<int> c(2);
  c.send(1);
  c.send(2);
  EXPECT_THROW(select(on_recv(c, [](int) { throw std::runtime_error("handler"); })),
               std::runtime_error);
  EXPECT_EQ(c.size(), 1U);  // the value was received
  EXPECT_THROW(select(otherwise([] { throw 1; })), int);
  EXPECT_THROW(select(on_timeout(1ms, [] { throw 2; })), int);
  EXPECT_THROW(select(on_send(c, 3, [] { throw 3; })), int);
  EXPECT_EQ(c.size(), 2U);  // it was sent
  EXPECT_EQ(c.recv(), 2);
  EXPECT_EQ(c.recv(), 3);
}

RUNNEL_TEST_BOTH(select, handlers_of_other_cases_do_not_run) {
  const chan<int> a(1);
  const chan<int> b;
  a.send(1);
  int ran = 0;
  EXPECT_EQ(select(on_recv(a, [&] { ran += 1; }), on_recv(b, [&] { ran += 10; }),
                   on_send(b, 1, [&] { ran += 100; }), on_timeout(1h, [&] { ran += 1000; })),
            0U);
  EXPECT_EQ(ran, 1);
  EXPECT_EQ(select(on_recv(b, [&] { ran += 10; }), otherwise([&] { ran = -1; })), 1U);
  EXPECT_EQ(ran, -1);
}

RUNNEL_TEST_BOTH(select, move_only_handlers_and_values) {
  const chan<std::unique_ptr<int>> c(1);
  auto token = std::make_unique<int>(1);
  select(on_send(c, std::make_unique<int>(4)));
  int got = 0;
  select(
      on_recv(c, [&got, token = std::move(token)](std::unique_ptr<int> p) { got = *p + *token; }));
  EXPECT_EQ(got, 5);
  std::unique_ptr<int> out;
  select(on_send(c, std::make_unique<int>(6)));
  select(on_recv(c, out));
  EXPECT_EQ(*out, 6);
}

RUNNEL_TEST_BOTH(select, selects_meet_each_other) {
  // The three ways to send against the three ways to receive of select7.go.
  const chan<int> never;
  const auto receive = [&](const chan<int>& c, int how) {
    if (how == 0) c.recv();
    if (how == 1) select(on_recv(c));
    if (how == 2) select(on_recv(c), on_recv(never));
  };
  const auto send = [&](const chan<int>& c, int how) {
    if (how == 0) c.send(1);
    if (how == 1) select(on_send(c, 1));
    if (how == 2) select(on_send(c, 1), on_send(never, 1));
  };
  for (int sender = 0; sender < 3; ++sender) {
    for (int receiver = 0; receiver < 3; ++receiver) {
      const chan<int> c;
      crew peer;
      peer.go([&] { receive(c, receiver); });
      runnel::yield();
      send(c, sender);
      peer.wait();
      peer.go([&] { send(c, sender); });
      runnel::yield();
      receive(c, receiver);
    }
  }
}

// What the handler of an on_recv case is given, however it is written: a std::optional<T> that is
// empty once the channel is closed, a T, or nothing.
#include <functional>
#include <memory>
#include <optional>
#include <runnel/chan.hpp>
#include <runnel/select.hpp>
#include <span>
#include <string>
#include <utility>

#include "support/test.hpp"

using runnel::chan;
using runnel::on_recv;
using runnel::otherwise;
using runnel::select;

namespace {

constexpr int nothing_seen = -1000;
constexpr int seen_empty = -1;

int seen = nothing_seen;

// Out of line, not in each instance of what follows.
[[gnu::noinline]] void expect_seen(int wanted, std::size_t index) {
  EXPECT_EQ(index, 0U);
  EXPECT_EQ(std::exchange(seen, nothing_seen), wanted);
}

void note(int v) { seen = v; }
void note_optional(std::optional<int> v) { seen = v.value_or(seen_empty); }
void note_optional_noexcept(std::optional<int> v) noexcept { seen = v.value_or(seen_empty); }
void note_plus(std::optional<int> v, int add) { seen = v.has_value() ? *v + add : seen_empty; }
void note_minus(int subtract, const std::optional<int>& v) {
  seen = v.has_value() ? *v - subtract : seen_empty;
}
void note_sum(int v, int add) { seen = v + add; }

// A channel that holds 7, and then one that is closed. Run with each of them.
template <class MakeCase>
void expect_once(int from_open, int from_closed, const MakeCase& make_case) {
  const chan<int> c(1);
  c.send(7);
  expect_seen(from_open, select(make_case(c)));
  c.close();
  runnel::select_case owned = make_case(c);
  for (int i = 0; i < 2; ++i) expect_seen(from_closed, select(std::span(&owned, 1)));
}
// The same through every kind of select.
template <class MakeCase>
void expect(int from_open, int from_closed, const MakeCase& make_case) {
  expect_once(from_open, from_closed, make_case);
  const chan<int> c(1);
  c.send(7);
  expect_seen(from_open, select(make_case(c), otherwise()));
  c.close();
  expect_seen(from_closed, select(make_case(c)));
  expect_seen(from_closed, select(make_case(c), otherwise()));
  expect_seen(from_closed, select(make_case(c), on_recv(chan<int>(nullptr))));
}
// f, as an rvalue and as an lvalue.
template <class F>
void expect_of(int from_open, int from_closed, F f) {
  expect(from_open, from_closed, [&](const chan<int>& c) { return on_recv(c, F(f)); });
  expect_once(from_open, from_closed, [&](const chan<int>& c) { return on_recv(c, f); });
  const F& constant = f;
  if constexpr (std::is_invocable_v<const F&, int>) {
    expect_once(from_open, from_closed, [&](const chan<int>& c) { return on_recv(c, constant); });
  }
}

struct to_lvalue {
  void operator()(std::optional<int> v) & { note_optional(v); }
};
struct to_rvalue {
  void operator()(std::optional<int> v) && { note_optional(v); }
};
struct to_const {
  void operator()(std::optional<int> v) const& { note_optional(v); }
};
struct to_const_noexcept {
  void operator()(const std::optional<int>& v) const& noexcept { note_optional(v); }
};
struct with_default {
  void operator()(std::optional<int> v, int add = 1) const { note_plus(v, add); }
};
struct with_default_for_all {
  void operator()(std::optional<int> v = 5, int add = 1) const { note_plus(v, add); }
};
struct collector {
  void add(std::optional<int> v) { note_optional(v); }
  void add_value(int v) const { note(v); }
};

}  // namespace

RUNNEL_TEST_BOTH(select_handlers, take_an_optional) {
  expect_of(7, seen_empty, [](std::optional<int> v) { note_optional(v); });
  expect_of(7, seen_empty, [](const std::optional<int>& v) { note_optional(v); });
  expect_of(7, seen_empty, [](std::optional<int>&& v) noexcept { note_optional(v); });
  expect_of(7, seen_empty, [n = 0](std::optional<int> v) mutable { note_optional(v), ++n; });
  expect_of(7, seen_empty, [](std::optional<long> v) { note(static_cast<int>(v.value_or(-1))); });
  expect_of(7, seen_empty, &note_optional);
  expect_of(7, seen_empty, &note_optional_noexcept);
  expect(7, seen_empty, [](const chan<int>& c) { return on_recv(c, note_optional); });
}

RUNNEL_TEST_BOTH(select_handlers, take_an_optional_as_lvalue_and_as_rvalue) {
  expect_of(7, seen_empty, to_lvalue());
  expect_of(7, seen_empty, to_const());
  expect_of(7, seen_empty, to_const_noexcept());
  expect(7, seen_empty, [](const chan<int>& c) { return on_recv(c, to_rvalue()); });
}

RUNNEL_TEST_BOTH(select_handlers, have_further_parameters_with_defaults) {
  expect_of(8, seen_empty, with_default());
  expect_of(8, seen_empty, with_default_for_all());
  expect_of(9, 2, [](int v, int add = 2) { note(v + add); });
}

RUNNEL_TEST_BOTH(select_handlers, take_an_optional_through_wrappers) {
  to_lvalue object;
  const to_const constant;
  const auto lambda = [](std::optional<int> v) { note_optional(v); };
  expect_of(7, seen_empty, std::function<void(std::optional<int>)>(lambda));
  expect_of(7, seen_empty, std::ref(object));
  expect_of(7, seen_empty, std::ref(constant));
  expect_of(7, seen_empty, std::cref(lambda));
  expect_of(7, seen_empty, std::ref(note_optional));
  const std::function<void(std::optional<int>)> function = lambda;
  expect_of(7, seen_empty, std::ref(function));
}

RUNNEL_TEST_BOTH(select_handlers, take_an_optional_through_bind) {
  using namespace std::placeholders;
  collector object;
  expect_of(8, seen_empty, std::bind(note_plus, _1, 1));
  expect_of(5, seen_empty, std::bind(&note_minus, 2, _1));
  expect_of(8, seen_empty, std::bind(with_default(), _1));
  expect_of(7, seen_empty, std::bind(&collector::add, &object, _1));
  expect_of(7, seen_empty, std::bind(&collector::add, std::ref(object), _1));
  expect_of(7, seen_empty, std::bind<void>(note_optional, _1));
  expect_of(7, seen_empty, std::bind(std::ref(note_optional), _1));
  const auto bound = std::bind(note_plus, _1, 1);
  expect_of(8, seen_empty, std::ref(bound));
}

RUNNEL_TEST_BOTH(select_handlers, take_a_value) {
  using namespace std::placeholders;
  const collector object;
  expect_of(7, 0, [](int v) { note(v); });
  expect_of(7, 0, [](const long& v) { note(static_cast<int>(v)); });
  expect_of(7, 0, &note);
  expect_of(7, 0, std::function<void(int)>(note));
  expect_of(7, 0, std::ref(note));
  expect_of(9, 2, std::bind(note_sum, _1, 2));
  expect_of(7, 0, std::bind(&collector::add_value, &object, _1));
  // What cannot tell what it takes.
  expect_of(7, 0, [](auto v) { note(v); });
  expect_of(7, 0, std::bind([](auto v, int) { note(v); }, _1, 0));
}

RUNNEL_TEST_BOTH(select_handlers, take_nothing) {
  expect_of(1, 1, [] { note(1); });
  expect_of(1, 1, [n = 0]() mutable { note(1), ++n; });
  expect_of(1, 1, std::function<void()>([] { note(1); }));
  expect_of(1, 1, std::bind(note, 1));
  expect_of(4, 4, std::bind(with_default(), 3));
  expect_of(1, 1, std::bind<void>(note, 1));
}

// An optional of the channel's own is a value like any other.
RUNNEL_TEST_BOTH(select_handlers, of_a_channel_of_optionals) {
  const chan<std::optional<int>> c(1);
  c.close();
  bool called = false;
  select(on_recv(c, [&](std::optional<int> v) { called = !v.has_value(); }));
  EXPECT_TRUE(called);
  called = false;
  select(on_recv(c, [&](std::optional<std::optional<int>> v) { called = !v.has_value(); }));
  EXPECT_TRUE(called);
  const chan<std::optional<int>> open(1);
  open.send(std::nullopt);
  select(on_recv(open, [&](std::optional<std::optional<int>> v) { called = !v.has_value(); }));
  EXPECT_FALSE(called);
}

RUNNEL_TEST_BOTH(select_handlers, take_what_is_moved_only) {
  const chan<std::unique_ptr<int>> c(1);
  c.send(std::make_unique<int>(3));
  std::unique_ptr<int> got;
  const auto keep = [&](std::optional<std::unique_ptr<int>> v) {
    got = v.has_value() ? *std::move(v) : nullptr;
  };
  select(on_recv(c, std::ref(keep)));
  ASSERT_NE(got, nullptr);
  EXPECT_EQ(*got, 3);
  c.close();
  select(on_recv(c, std::ref(keep)));
  EXPECT_EQ(got, nullptr);
}

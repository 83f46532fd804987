// Every way into and out of a channel, for every kind of element: what can be moved only, what has
// no default, what is copied from lvalues that are not const, what takes anything, what throws when
// moved, ... The types differ in which of the library's paths they take (registers, bytes, their
// own moves, boxes); what is asked of them here is the same.
#include <any>
#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <runnel/chan.hpp>
#include <runnel/select.hpp>
#include <source_location>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include "support/crew.hpp"
#include "support/test.hpp"

using runnel::chan;
using runnel::chan_status;
using runnel::on_recv;
using runnel::on_send;
using runnel::otherwise;
using runnel_test::crew;

namespace {

// Without code of their own: trivially copyable, though not all can be copied. (Clang takes
// copied_from_variables_only for one that is not.)
struct moved_only {
  explicit moved_only(int v) : value(v) {}
  moved_only(const moved_only&) = delete;
  moved_only& operator=(const moved_only&) = delete;
  moved_only(moved_only&&) = default;
  moved_only& operator=(moved_only&&) = default;
  int value;
};
struct copied_by_assignment_only {
  explicit copied_by_assignment_only(int v) : value(v) {}
  copied_by_assignment_only(const copied_by_assignment_only&) = delete;
  copied_by_assignment_only& operator=(const copied_by_assignment_only&) = default;
  copied_by_assignment_only(copied_by_assignment_only&&) = default;
  int value;
};
struct never_assigned {
  explicit never_assigned(int v) : value(v) {}
  never_assigned(const never_assigned&) = default;
  never_assigned& operator=(const never_assigned&) = delete;
  int value;
};
struct constant_inside {
  explicit constant_inside(int v) : value(v) {}
  const int value;
};
struct copied_from_variables_only {
  explicit copied_from_variables_only(int v) : value(v) {}
  copied_from_variables_only(copied_from_variables_only&) = default;
  copied_from_variables_only(copied_from_variables_only&&) = default;
  copied_from_variables_only& operator=(copied_from_variables_only&&) = default;
  int value;
};
struct made_from_anything {
  explicit made_from_anything(int v) : value(v) {}
  template <class U>
  requires(!std::is_const_v<std::remove_reference_t<U>>)
      // NOLINTNEXTLINE(bugprone-forwarding-reference-overload): that it hides the copy is the point
      made_from_anything(U&&)
      : value(-1) {}
  int value;
};
struct no_address {
  explicit no_address(int v) : value(v) {}
  no_address* operator&() = delete;              // NOLINT
  const no_address* operator&() const = delete;  // NOLINT
  int value;
};
struct alignas(128) over_aligned {
  explicit over_aligned(int v) : value(v) {}
  int value;
};
struct large {
  explicit large(int v) : value(v) { padding.back() = v; }
  int value;
  std::array<int, 2000> padding = {};
};

static_assert(std::is_trivially_copyable_v<moved_only> &&
              !std::is_copy_constructible_v<moved_only>);
static_assert(std::is_trivially_copyable_v<copied_by_assignment_only>);
static_assert(!std::is_copy_constructible_v<copied_from_variables_only>);

// Not trivially copyable.
struct moved_only_with_code {
  explicit moved_only_with_code(int v) : value(v) {}
  moved_only_with_code(moved_only_with_code&& other) noexcept
      : value(std::exchange(other.value, -1)) {}
  moved_only_with_code& operator=(moved_only_with_code&& other) noexcept {
    value = std::exchange(other.value, -1);
    return *this;
  }
  ~moved_only_with_code() { value = -2; }
  int value;
};
// Copyable or not, the library must take each for one whose move throws; here none does.
struct move_might_throw {
  explicit move_might_throw(int v) : value(v) {}
  move_might_throw(move_might_throw&& other) : value(std::exchange(other.value, -1)) {}  // NOLINT
  move_might_throw& operator=(move_might_throw&& other) {                                // NOLINT
    value = std::exchange(other.value, -1);
    return *this;
  }
  int value;
};
struct copied_with_code {
  explicit copied_with_code(int v = 0) : value(v) {}
  copied_with_code(const copied_with_code& other) : value(other.value) {}  // NOLINT: no move
  copied_with_code& operator=(const copied_with_code& other) {             // NOLINT
    value = other.value;
    return *this;
  }
  int value;
};
enum class color : std::uint8_t { none, red, green, blue, white };

// ---- a T of a number, and the number of a T

std::array<int, 8> places = {};

template <class T>
struct sample {
  static T make(int i) { return T(i); }
  static int number(const T& v) { return v.value; }
};
template <class T>
requires std::is_arithmetic_v<T> || std::is_enum_v<T>
struct sample<T> {
  static T make(int i) { return static_cast<T>(i); }
  static int number(T v) { return static_cast<int>(v); }
};
template <>
struct sample<int*> {
  static int* make(int i) { return &places[static_cast<std::size_t>(i)]; }
  static int number(const int* v) { return static_cast<int>(v - places.data()); }
};
template <>
struct sample<std::reference_wrapper<int>> {
  static std::reference_wrapper<int> make(int i) { return *sample<int*>::make(i); }
  static int number(std::reference_wrapper<int> v) { return sample<int*>::number(&v.get()); }
};
template <>
struct sample<std::unique_ptr<int>> {
  static std::unique_ptr<int> make(int i) { return std::make_unique<int>(i); }
  static int number(const std::unique_ptr<int>& v) { return v ? *v : -1; }
};
template <>
struct sample<std::array<int, 3>> {
  static std::array<int, 3> make(int i) { return {0, i, 0}; }
  static int number(const std::array<int, 3>& v) { return v[1]; }
};
template <>
struct sample<std::string> {
  static std::string make(int i) { return std::string(100, 'x') + std::to_string(i); }
  static int number(const std::string& v) { return v.size() > 100 ? std::stoi(v.substr(100)) : -1; }
};
template <>
struct sample<std::any> {
  static std::any make(int i) { return i; }
  static int number(const std::any& v) { return v.has_value() ? std::any_cast<int>(v) : -1; }
};
template <>
struct sample<std::optional<int>> {
  static std::optional<int> make(int i) { return i; }
  static int number(const std::optional<int>& v) { return v.value_or(-1); }
};
template <>
struct sample<std::function<int()>> {
  static std::function<int()> make(int i) {
    return [i] { return i; };
  }
  static int number(const std::function<int()>& v) { return v ? v() : -1; }
};
template <>
struct sample<chan<int>> {
  static chan<int> make(int i) { return chan<int>(static_cast<std::size_t>(i)); }
  static int number(const chan<int>& v) { return static_cast<int>(v.capacity()); }
};

template <class T>
int number(const T& v) {
  return sample<T>::number(v);
}
template <class T>
int number_in(const std::optional<T>& v) {
  return v.has_value() ? sample<T>::number(*v) : -100;
}

// ---- the ways

// Out of line: EXPECT_EQ in each instance is an eighth of what this file costs to compile.
[[gnu::noinline]] void expect_same(std::int64_t found, std::int64_t wanted,
                                   std::source_location at = std::source_location::current()) {
  EXPECT_EQ(found, wanted) << "line " << at.line() << " of " << at.function_name();
}
void expect_same(chan_status found, chan_status wanted,
                 std::source_location at = std::source_location::current()) {
  expect_same(static_cast<int>(found), static_cast<int>(wanted), at);
}

template <class T>
void send_in_every_way(const chan<T>& c) {
  const auto make = &sample<T>::make;
  c.send(make(1));
  expect_same(runnel::select(on_send(c, make(2))), 0U);
  T three = make(3);
  expect_same(runnel::select(on_recv(chan<int>(nullptr)), on_send(c, std::move(three), [] {})), 1U);
  if constexpr (std::is_copy_constructible_v<T>) {
    const T four = make(4);
    expect_same(runnel::select(on_send(c, four)), 0U);
    expect_same(number<T>(four), 4);
  } else if constexpr (std::is_constructible_v<T, T&>) {
    T four = make(4);
    expect_same(runnel::select(on_send(c, four)), 0U);
    expect_same(number<T>(four), 4);
  } else {
    c.send(make(4));
  }
  std::array<runnel::select_case, 2> cases = {on_send(c, make(1)), on_recv(chan<T>(nullptr))};
  expect_same(runnel::select(cases), 0U);
  c.close();
}

template <class T>
void receive_in_every_way(const chan<T>& c) {
  expect_same(number_in<T>(c.recv()), 1);
  std::optional<T> second;
  expect_same(runnel::select(on_recv(c, second)), 0U);
  expect_same(number_in<T>(second), 2);
  int third = 0;
  expect_same(runnel::select(on_recv(c, [&](std::optional<T> v) { third = number_in<T>(v); }),
                             on_recv(chan<int>(nullptr))),
              0U);
  expect_same(third, 3);
  if constexpr (std::is_default_constructible_v<T>) {
    int fourth = 0;
    expect_same(runnel::select(on_recv(c, [&](T v) { fourth = number<T>(v); })), 0U);
    expect_same(fourth, 4);
  } else {
    expect_same(runnel::select(on_recv(c, [] {})), 0U);
  }
  int fifth = 0;
  std::array<runnel::select_case, 1> cases = {
      on_recv(c, [&](std::optional<T> v) { fifth = number_in<T>(v); })};
  expect_same(runnel::select(cases), 0U);
  expect_same(fifth, 1);
  expect_same(runnel::select(cases), 0U);
  expect_same(fifth, -100);
  expect_same(c.recv().has_value(), false);
}

// Without anybody waiting at the other side.
template <class T>
void try_in_every_way() {
  const auto make = &sample<T>::make;
  const chan<T> c(2);
  expect_same(c.try_send(make(1)), chan_status::ok);
  expect_same(runnel::select(on_send(c, make(2)), otherwise()), 0U);
  T kept = make(3);
  expect_same(c.try_send(std::move(kept)), chan_status::would_block);
  expect_same(number<T>(kept), 3);
  expect_same(runnel::select(otherwise(), on_send(c, std::move(kept))), 0U);
  expect_same(number<T>(kept), 3);
  expect_same(c.size(), 2U);

  if constexpr (std::is_move_assignable_v<T>) {
    T out = make(4);
    expect_same(c.try_recv(out), chan_status::ok);
    expect_same(number<T>(out), 1);
  } else {
    expect_same(number_in<T>(c.recv()), 1);
  }
  if constexpr (std::is_default_constructible_v<T> && std::is_move_assignable_v<T>) {
    T out = make(4);
    expect_same(runnel::select(on_recv(c, out), otherwise()), 0U);
    expect_same(number<T>(out), 2);
  } else {
    std::optional<T> out;
    expect_same(runnel::select(on_recv(c, out), otherwise()), 0U);
    expect_same(number_in<T>(out), 2);
  }
  if constexpr (std::is_copy_constructible_v<T>) {
    const T constant = make(3);
    expect_same(c.try_send(constant), chan_status::ok);
  } else {
    expect_same(c.try_send(std::move(kept)), chan_status::ok);
  }
  c.send(make(4));
  c.close();
  int expected = 3;
  for (T&& v : c) expect_same(number<T>(v), expected++);
  expect_same(expected, 5);
}

template <class T>
void go_every_way() {
  for (const std::size_t capacity : {std::size_t{0}, std::size_t{1}, std::size_t{8}}) {
    const chan<T> c(capacity);
    crew sender;
    sender.go([&] { send_in_every_way<T>(c); });
    receive_in_every_way<T>(c);
  }
  for (const std::size_t capacity : {std::size_t{0}, std::size_t{2}}) {
    const chan<T> c(capacity);
    crew sender;
    sender.go([&] {
      for (int i = 1; i < 5; ++i) c.send(sample<T>::make(i));
      c.close();
    });
    int expected = 1;
    for (T v : c) expect_same(number<T>(v), expected++);
    expect_same(expected, 5);
  }
  try_in_every_way<T>();
  chan<T> full(4);  // what is never received is destroyed with the channel
  full.send(sample<T>::make(1));
}

template <class... T>
void go_every_way_of_each() {
  (go_every_way<T>(), ...);
}

}  // namespace

RUNNEL_TEST_BOTH(chan_elements, small_trivial_classes) {
  go_every_way_of_each<moved_only, copied_by_assignment_only, never_assigned, constant_inside,
                       copied_from_variables_only, made_from_anything, no_address>();
}
RUNNEL_TEST_BOTH(chan_elements, classes_with_code) {
  go_every_way_of_each<moved_only_with_code, move_might_throw, copied_with_code>();
}
RUNNEL_TEST_BOTH(chan_elements, wide_ones) {
  go_every_way_of_each<over_aligned, large, std::array<int, 3>>();
}
RUNNEL_TEST_BOTH(chan_elements, scalars) { go_every_way_of_each<int, double, char, color, int*>(); }
RUNNEL_TEST_BOTH(chan_elements, of_the_standard_library) {
  go_every_way_of_each<std::unique_ptr<int>, std::string, std::any, std::optional<int>,
                       std::reference_wrapper<int>, std::function<int()>>();
}
RUNNEL_TEST_BOTH(chan_elements, channels) { go_every_way<chan<int>>(); }

// What is sent is made of what was passed, by the user's code too, and only if it is sent.
RUNNEL_TEST_BOTH(chan_elements, a_conversion_is_made_only_if_chosen) {
  static std::atomic<int> conversions;
  struct converted {
    converted(int v) : value(v) { ++conversions; }
    int value;
  };
  conversions = 0;
  const chan<converted> c(1);
  EXPECT_EQ(runnel::select(on_send(c, 1), otherwise()), 0U);
  EXPECT_EQ(conversions, 1);
  EXPECT_EQ(runnel::select(on_send(c, 2), otherwise()), 1U);
  EXPECT_EQ(conversions, 1);
  EXPECT_EQ(c.recv()->value, 1);
}

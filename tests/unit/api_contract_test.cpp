// The contract of the core headers, declaration by declaration as the API is promised: go.hpp,
// chan.hpp, select.hpp, runtime.hpp, diag.hpp. Most of it is checked by the compiler alone; what
// the operations do is tested elsewhere. Nothing here may be changed to fit the library.
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <runnel/chan.hpp>
#include <runnel/context.hpp>
#include <runnel/diag.hpp>
#include <runnel/go.hpp>
#include <runnel/runtime.hpp>
#include <runnel/select.hpp>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include "support/test.hpp"

using namespace std::chrono_literals;
using runnel::chan;
using runnel::chan_status;
using runnel::recv_chan;
using runnel::select_case;
using runnel::send_chan;

namespace {

template <class T>
using moved_only = std::unique_ptr<T>;

struct no_default {
  explicit no_default(int v) : value(v) {}
  int value;
};

int add(int a, int b) { return a + b; }

// ---- go.hpp

static_assert(std::is_void_v<decltype(runnel::go([] {}))>);
static_assert(std::is_void_v<decltype(runnel::go(add, 1, 2))>);
static_assert(std::is_void_v<decltype(runnel::go([](moved_only<int>) {}, moved_only<int>()))>);
static_assert(std::is_void_v<decltype(runnel::go(runnel::go_options{}, [] {}))>);
static_assert(std::is_void_v<decltype(runnel::go({.name = "name"}, [] {}))>);
static_assert(
    std::is_void_v<decltype(runnel::go({.name = "name", .stack_size = 1 << 20}, add, 1, 2))>);
static_assert(std::is_aggregate_v<runnel::go_options>);
static_assert(std::is_same_v<decltype(runnel::go_options::name), std::string_view>);
static_assert(std::is_same_v<decltype(runnel::go_options::stack_size), std::size_t>);
static_assert(runnel::go_options{}.name.empty() && runnel::go_options{}.stack_size == 0);

template <class R>
using returning = R (*)();
static_assert(std::is_void_v<decltype(runnel::run(returning<void>()))>);
static_assert(std::is_same_v<decltype(runnel::run(returning<int>())), int>);
static_assert(std::is_same_v<decltype(runnel::run(returning<int&>())), int&>);
static_assert(std::is_same_v<decltype(runnel::run(returning<const int&>())), const int&>);
static_assert(std::is_same_v<decltype(runnel::run(returning<moved_only<int>>())), moved_only<int>>);
static_assert(std::is_same_v<decltype(runnel::run(returning<no_default>())), no_default>);

static_assert(std::is_same_v<decltype(&runnel::yield), void (*)()>);
static_assert(std::is_same_v<decltype(&runnel::goexit), void (*)()>);
static_assert(std::is_void_v<decltype(runnel::blocking(returning<void>()))>);
static_assert(std::is_same_v<decltype(runnel::blocking(returning<int>())), int>);
static_assert(std::is_same_v<decltype(runnel::blocking(returning<int&>())), int&>);
static_assert(std::is_same_v<decltype(runnel::blocking(returning<int&&>())), int&&>);

static_assert(std::is_same_v<decltype(&runnel::this_goroutine::id), std::uint64_t (*)()>);
static_assert(std::is_same_v<decltype(&runnel::this_goroutine::name), std::string_view (*)()>);
static_assert(std::is_same_v<decltype(&runnel::this_goroutine::lock_os_thread), void (*)()>);
static_assert(std::is_same_v<decltype(&runnel::this_goroutine::unlock_os_thread), void (*)()>);

using local = runnel::goroutine_local<std::string>;
static_assert(std::is_same_v<decltype(std::declval<local&>().get()), std::string&>);
static_assert(std::is_same_v<decltype(*std::declval<local&>()), std::string&>);
static_assert(std::is_same_v<decltype(std::declval<local&>()->size()), std::size_t>);

static_assert(std::is_base_of_v<std::logic_error, runnel::panic>);
static_assert(std::is_constructible_v<runnel::panic, const char*>);
static_assert(std::is_constructible_v<runnel::panic, const std::string&>);

static_assert(std::is_void_v<decltype(runnel::on_panic([](std::exception_ptr) {}))>);
static_assert(std::is_void_v<decltype(runnel::on_panic(nullptr))>);

// ---- chan.hpp

static_assert(std::is_enum_v<chan_status> && !std::is_convertible_v<chan_status, int>);
static_assert(chan_status::ok != chan_status::would_block &&
              chan_status::ok != chan_status::closed &&
              chan_status::would_block != chan_status::closed);

template <class C>
concept can_close = requires(const C& c) {
  { c.close() } -> std::same_as<void>;
};
template <class C, class T>
concept can_send = requires(const C& c, T v, const T& constant) {
  { c.send(std::move(v)) } -> std::same_as<void>;
  { c.try_send(std::move(v)) } -> std::same_as<chan_status>;
  requires !std::copy_constructible<T> || requires {
    { c.send(constant) } -> std::same_as<void>;
    { c.try_send(constant) } -> std::same_as<chan_status>;
  };
};
template <class C, class T>
concept can_recv = requires(const C& c, T& out) {
  { c.recv() } -> std::same_as<std::optional<T>>;
  { c.try_recv(out) } -> std::same_as<chan_status>;
  { c.begin() } -> std::same_as<typename C::iterator>;
  { c.end() } -> std::same_as<typename C::sentinel>;
  { *c.begin() } -> std::convertible_to<T>;
  requires std::ranges::input_range<const C>;
  requires std::same_as<std::ranges::range_value_t<C>, T>;
};
template <class C>
concept is_handle = std::copyable<C> && std::equality_comparable<C> && requires(const C& c) {
  { c.size() } -> std::same_as<std::size_t>;
  { c.capacity() } -> std::same_as<std::size_t>;
  { std::hash<C>()(c) } -> std::same_as<std::size_t>;
  requires std::is_constructible_v<bool, const C&> && !std::is_convertible_v<const C&, bool>;
};

template <class T>
concept carried =
    is_handle<chan<T>> && is_handle<send_chan<T>> && is_handle<recv_chan<T>> &&
    can_send<chan<T>, T> && can_recv<chan<T>, T> && can_close<chan<T>> &&
    can_send<send_chan<T>, T> && can_close<send_chan<T>> && !can_recv<send_chan<T>, T> &&
    can_recv<recv_chan<T>, T> && !can_send<recv_chan<T>, T> && !can_close<recv_chan<T>>;
static_assert(carried<int> && carried<std::string> && carried<no_default>);
static_assert(carried<moved_only<int>> && carried<chan<int>> && carried<std::optional<int>>);

template <class C>
concept can_send_void = requires(const C& c) {
  { c.send() } -> std::same_as<void>;
  { c.try_send() } -> std::same_as<chan_status>;
};
template <class C>
concept can_recv_void = requires(const C& c) {
  { c.recv() } -> std::same_as<bool>;
  { c.try_recv() } -> std::same_as<chan_status>;
  { *c.begin() } -> std::same_as<std::monostate>;
  requires std::ranges::input_range<const C>;
};
static_assert(is_handle<chan<void>> && can_send_void<chan<void>> && can_recv_void<chan<void>> &&
              can_close<chan<void>>);
static_assert(is_handle<send_chan<void>> && can_send_void<send_chan<void>> &&
              !can_recv_void<send_chan<void>> && can_close<send_chan<void>>);
static_assert(is_handle<recv_chan<void>> && !can_send_void<recv_chan<void>> &&
              can_recv_void<recv_chan<void>> && !can_close<recv_chan<void>>);

template <class T>
constexpr bool constructs_and_converts() {
  return std::is_default_constructible_v<chan<T>> &&
         std::is_constructible_v<chan<T>, std::size_t> &&
         !std::is_convertible_v<std::size_t, chan<T>> &&
         std::is_convertible_v<std::nullptr_t, chan<T>> &&
         std::is_convertible_v<chan<T>, send_chan<T>> &&
         std::is_convertible_v<chan<T>, recv_chan<T>> &&
         !std::is_convertible_v<send_chan<T>, chan<T>> &&
         !std::is_convertible_v<recv_chan<T>, chan<T>> &&
         !std::is_constructible_v<recv_chan<T>, send_chan<T>> &&
         !std::is_constructible_v<send_chan<T>, recv_chan<T>>;
}
static_assert(constructs_and_converts<int>() && constructs_and_converts<void>() &&
              constructs_and_converts<no_default>());

// ---- select.hpp

template <class C>
concept a_case = requires(C c) {
  { runnel::select(std::move(c)) } -> std::same_as<std::size_t>;
  { runnel::select(std::move(c), std::move(c)) } -> std::same_as<std::size_t>;
  requires std::is_convertible_v<C, select_case>;
};
template <class... Arguments>
concept receives = requires(Arguments&&... arguments) {
  { runnel::on_recv(std::forward<Arguments>(arguments)...) } -> a_case;
};
template <class... Arguments>
concept sends = requires(Arguments&&... arguments) {
  { runnel::on_send(std::forward<Arguments>(arguments)...) } -> a_case;
};

using no_arguments = void (*)();
template <class C, class T>
concept received_from = receives<C> && receives<C, T&> && receives < C,
        std::optional<T>
& > &&receives<C, void (*)(T)>&& receives<C, void (*)(std::optional<T>)>&&
        receives<C, no_arguments>;
static_assert(received_from<chan<int>&, int> && received_from<chan<int>, int> &&
              received_from<const recv_chan<int>&, int>);
static_assert(received_from<const chan<moved_only<int>>&, moved_only<int>>);
static_assert(!receives<send_chan<int>&>);
static_assert(receives<chan<void>&> && receives<recv_chan<void>&, no_arguments>);

template <class C, class V>
concept sent_to = sends<C, V> && sends<C, V, no_arguments>;
static_assert(sent_to<chan<int>&, int> && sent_to<chan<int>, int&> &&
              sent_to<const send_chan<int>&, const int&>);
static_assert(sent_to<chan<moved_only<int>>&, moved_only<int>>);
static_assert(sent_to<chan<std::string>&, const char*>);
static_assert(!sends<recv_chan<int>&, int>);
static_assert(sends<chan<void>&> && sends<send_chan<void>&, no_arguments>);

template <class... Arguments>
concept times_out = requires(Arguments&&... arguments) {
  { runnel::on_timeout(std::forward<Arguments>(arguments)...) } -> a_case;
};
static_assert(times_out<std::chrono::seconds> && times_out<std::chrono::duration<double>> &&
              times_out<std::chrono::nanoseconds, no_arguments>);
template <class... Arguments>
concept has_deadline = requires(Arguments&&... arguments) {
  { runnel::on_deadline(std::forward<Arguments>(arguments)...) } -> a_case;
};
using time_point = std::chrono::steady_clock::time_point;
static_assert(has_deadline<time_point> && has_deadline<time_point, no_arguments>);
template <class... Arguments>
concept ends_with = requires(Arguments&&... arguments) {
  { runnel::on_done(std::forward<Arguments>(arguments)...) } -> a_case;
};
static_assert(ends_with<runnel::context&> && ends_with<const runnel::context&, no_arguments>);
static_assert(requires(no_arguments f) {
  { runnel::select(runnel::otherwise()) } -> std::same_as<std::size_t>;
  { runnel::select(runnel::otherwise(f)) } -> std::same_as<std::size_t>;
  requires std::is_convertible_v<decltype(runnel::otherwise()), select_case>;
});
static_assert(std::is_same_v<decltype(runnel::select()), std::size_t>);
static_assert(requires(std::vector<select_case> cases, std::span<select_case> view) {
  { runnel::select(view) } -> std::same_as<std::size_t>;
  { runnel::select(cases) } -> std::same_as<std::size_t>;
});
static_assert(std::movable<select_case> && !std::copyable<select_case>);

// ---- runtime.hpp, diag.hpp

static_assert(std::is_same_v<decltype(runnel::max_procs()), int>);
static_assert(std::is_same_v<decltype(runnel::max_procs(1)), int>);
static_assert(std::is_same_v<decltype(&runnel::num_cpu), int (*)()>);
static_assert(std::is_same_v<decltype(&runnel::num_goroutine), std::size_t (*)()>);
static_assert(std::is_same_v<decltype(&runnel::stats), runnel::runtime_stats (*)()>);
static_assert(requires(const runnel::runtime_stats& s) {
  { s.spawned + s.parked + s.steals + s.wakeups + s.handoffs } -> std::unsigned_integral;
  { s.threads + s.timers + s.stack_bytes_reserved } -> std::unsigned_integral;
});

static_assert(std::is_same_v<decltype(&runnel::dump_goroutines), void (*)(std::ostream&)>);
static_assert(std::is_default_constructible_v<runnel::leak_check>);
static_assert(std::is_constructible_v<runnel::leak_check, std::chrono::seconds>);
static_assert(!std::is_copy_constructible_v<runnel::leak_check>);
static_assert(std::is_same_v<decltype(std::declval<runnel::leak_check&>().leaked()), std::size_t>);

}  // namespace

// What is written in the contract's own words, run once.
RUNNEL_TEST_BOTH(api_contract, listings) {
  const chan<void> done;
  runnel::go(
      {.name = "named"},
      [done](int n) {
        const runnel::defer d{[&] { done.close(); }};
        EXPECT_EQ(n, 1);
        EXPECT_EQ(runnel::this_goroutine::name(), "named");
      },
      1);
  EXPECT_FALSE(done.recv());
  EXPECT_EQ(runnel::run([] { return add(1, 2); }), 3);

  const chan<int> c(1);
  EXPECT_FALSE(chan<int>(nullptr));
  EXPECT_NE(c, nullptr);
  EXPECT_EQ(std::unordered_set<chan<int>>({c, c}).size(), 1U);
  std::unordered_set<recv_chan<int>> ends = {c};
  EXPECT_TRUE(ends.contains(c));

  std::vector<select_case> cases;
  int out = 0;
  cases.push_back(runnel::on_recv(c, out));
  cases.push_back(runnel::on_send(c, 5));
  EXPECT_EQ(runnel::select(cases), 1U);
  EXPECT_EQ(runnel::select(cases), 0U);
  EXPECT_EQ(out, 5);
  EXPECT_EQ(runnel::select(runnel::on_recv(c), runnel::on_timeout(1ms)), 1U);

  std::ostringstream dump;
  runnel::dump_goroutines(dump);
  EXPECT_NE(dump.str(), "");
  EXPECT_THROW(throw runnel::panic("its text"), std::logic_error);
  auto [ctx, cancel] = runnel::with_cancel(runnel::background());
  cancel();
  EXPECT_EQ(runnel::select(runnel::on_done(ctx), runnel::on_recv(c)), 0U);
}

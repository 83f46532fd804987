// What a select is to its engine: an array of records on the caller's stack.
//
// A case, as select() takes it, is any object with
//     void prepare(select_record& r) noexcept;     what to wait for; called once the case has its
//                                                  final address, which r may point into
//     void finish(const select_record& r);         the case was chosen and its operation is done:
//     the
//                                                  rest, such as the handler; no lock is held
//     auto owned() &&;                             the same case, owning all it refers to
// and nothing is asked of it if it is not chosen. finish may throw, park and select again. Cases
// that also have look and run_inline are first tried without the engine; see select_cases. Those
// with before_wait and after_wait have something to do around the wait; see case_around_wait.
//
// A case on something that is not a channel: derive the object from selectable, give it a
// selectable_ops (detail/selectable.hpp), and make the case by
//     return detail::object_case(object, ops, argument, std::forward<F>(f));
// where `argument` is handed to the ops. The engine then calls, all inside the object's lock:
// try_now, first alone and then with every other case's lock held; enqueue when nothing was ready;
// dequeue when another case won (not for the winner), and then gave_up outside it. A waker of the
// object pops the waiter through wait_queue::pop, which claims the select, leaves the lock, and
// then
//     sets w.ok = true   if it has done the operation on the waiter's behalf (handed the mutex
//     over), sets w.ok = false  if there is only something to try again for,
// and calls ready(w.who). After a false one the select looks at all its cases again. Of the object
// of the winning case nothing is touched after the wake; it may be gone. Objects of the other cases
// must live until the select returns.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <runnel/detail/chan_core.hpp>
#include <runnel/detail/selectable.hpp>
#include <type_traits>
#include <utility>

namespace runnel::detail {

enum class select_kind : std::uint8_t {
  recv,
  send,
  object,
  after,  // time: nanoseconds from now
  at,     // time: steady_clock nanoseconds
  otherwise,
};

enum class select_end : std::uint8_t {
  done,
  closed,  // recv: the channel is closed and drained
  failed,  // send: the element could not be made
};

struct select_record {
  selectable* object;  // recv, send: the chan_core. Null: never ready
  void* slot;  // recv: where the element is built; send: send_source::value; object: argument
  union {
    make_element make;          // send
    const selectable_ops* ops;  // object
    std::int64_t time;          // after, at
  };
  select_kind kind;
  select_end end;  // written by the engine for the chosen case

  void wait_for(selectable* what, const selectable_ops* how, void* argument = nullptr) noexcept {
    object = what;
    slot = argument;
    ops = how;
    kind = select_kind::object;
  }
};

/// Bytes the engine needs per case besides the record; uninitialised.
inline constexpr std::size_t select_space =
    sizeof(chan_waiter) + 2 * sizeof(void*) + 2 * sizeof(std::uint32_t);

/// Waits until a case can go on, does its operation and returns its index. `ordered`: of several
/// ready ones the first instead of a random one. `first`: the one that an inlined look has chosen
/// among those that seemed ready, to be tried first; no_case: nobody has looked; none_ready:
/// nothing seemed ready. `space`: n * select_space bytes, aligned as a chan_waiter. Throws
/// panic("send on closed channel"), std::bad_alloc.
RUNNEL_API std::size_t select_run(select_record* cases, std::size_t n, void* space, bool ordered,
                                  std::size_t first);
inline constexpr std::size_t no_case = static_cast<std::size_t>(-1);
inline constexpr std::size_t none_ready = static_cast<std::size_t>(-2);

/// Uniform in [0, n).
RUNNEL_API std::uint32_t select_random(std::uint32_t n) noexcept;

/// Go: select {}.
[[noreturn]] RUNNEL_API void select_nothing() noexcept;

template <class C>
concept select_case_like = requires(C& c, select_record& r) {
  c.prepare(r);
  c.finish(r);
};

/// What a look without a lock tells of a case. quick: run_inline might do it.
struct first_look {
  bool ready;
  bool quick;
};

/// Cases with nothing to call.
struct no_handler {
  void operator()() const noexcept {}
};

/// A duration as whole nanoseconds, rounded up, within what 64 bits hold.
template <class Rep, class Period>
constexpr std::int64_t saturated_nanoseconds(const std::chrono::duration<Rep, Period>& d) {
  using d_type = std::chrono::duration<Rep, Period>;
  if constexpr (std::is_convertible_v<d_type, std::chrono::nanoseconds> &&
                std::ratio_equal_v<Period, std::nano>) {
    return std::chrono::nanoseconds(d).count();
  }
  // Compared as long double: the common type of two integral durations may overflow, and a floating
  // one may be infinite or not a number (which waits no time at all).
  using wide = std::chrono::duration<long double, std::nano>;
  const wide asked = std::chrono::duration_cast<wide>(d);
  constexpr auto limit = static_cast<long double>(std::chrono::nanoseconds::max().count());
  if (asked.count() >= limit) return std::chrono::nanoseconds::max().count();
  if (!(asked.count() > -limit)) return 0;
  return std::chrono::ceil<std::chrono::nanoseconds>(d).count();
}

/// on_timeout and on_deadline.
template <class F>
class time_case {
 public:
  time_case(select_kind kind, std::int64_t time, F f)
      : kind_(kind), time_(time), f_(std::forward<F>(f)) {}
  void prepare(select_record& r) noexcept {
    r.object = nullptr;
    r.time = time_;
    r.kind = kind_;
  }
  void finish(const select_record&) { f_(); }
  auto owned() && { return time_case<std::decay_t<F>>(kind_, time_, std::forward<F>(f_)); }

  /// A deadline is left to the engine, which reads the clock.
  bool needs_engine() const noexcept { return kind_ == select_kind::at; }
  first_look look() const noexcept { return {time_ <= 0, true}; }
  bool run_inline() {
    f_();
    return true;
  }

 private:
  select_kind kind_;
  std::int64_t time_;
  F f_;
};

template <class F>
class otherwise_case {
 public:
  explicit otherwise_case(F f) : f_(std::forward<F>(f)) {}
  void prepare(select_record& r) noexcept {
    r.object = nullptr;
    r.kind = select_kind::otherwise;
  }
  void finish(const select_record&) { f_(); }
  auto owned() && { return otherwise_case<std::decay_t<F>>(std::forward<F>(f_)); }

 private:
  F f_;
};

template <class C>
inline constexpr bool is_otherwise = false;
template <class F>
inline constexpr bool is_otherwise<otherwise_case<F>> = true;

template <class F>
class select_object_case {
 public:
  select_object_case(selectable& object, const selectable_ops& ops, void* argument, F f)
      : object_(&object), ops_(&ops), argument_(argument), f_(std::forward<F>(f)) {}
  void prepare(select_record& r) noexcept { r.wait_for(object_, ops_, argument_); }
  void finish(const select_record&) { f_(); }
  auto owned() && {
    return select_object_case<std::decay_t<F>>(*object_, *ops_, argument_, std::forward<F>(f_));
  }

 private:
  selectable* object_;
  const selectable_ops* ops_;
  void* argument_;
  F f_;
};

/// A case on `object`; f() is called once it was chosen. An lvalue f is kept by reference.
template <class F = no_handler>
auto object_case(selectable& object, const selectable_ops& ops, void* argument, F&& f = {}) {
  return select_object_case<F>(object, ops, argument, std::forward<F>(f));
}

}  // namespace runnel::detail

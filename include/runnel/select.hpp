// Select: waits on several channels, time-outs and other things at once and does exactly one of
// them.
//
//   runnel::select(                                         // select {
//       runnel::on_recv(jobs, [&](job j) { run(j); }),      // case j := <-jobs: run(j)
//       runnel::on_send(results, r),                        // case results <- r:
//       runnel::on_timeout(1s, [] { give_up(); }),          // case <-time.After(time.Second): ...
//       runnel::otherwise([] {}));                          // default: }
//
// Rules
//  - Of several ready cases one is chosen uniformly at random; the others have no effect. otherwise
//    is chosen only if at one moment none was ready.
//  - A handler runs after the select has committed, outside every lock, in the calling goroutine.
//    It may throw, block and select again.
//  - A case on a nil channel is never ready. A send case on a closed channel throws
//    panic("send on closed channel"). The same channel may be in several cases, sending and
//    receiving; a select never meets itself.
//  - An lvalue channel, handler or output is referred to, not copied; the channel's reference count
//    is left alone.
//  - Nothing is allocated by a select of any number of cases given as arguments, nor by a span of
//    up to 16. (A timer, or the time-out, of one that waits is put in a heap, which may have to
//    grow.)
// Synchronizes: the chosen case as its send, receive, lock, ... does; otherwise and time-outs do
// not. Complexity: linear in the number of cases; a select that has to wait sorts them by address.
#pragma once

#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <memory>
#include <runnel/chan.hpp>
#include <runnel/detail/select_chan.hpp>
#include <runnel/detail/select_core.hpp>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>

namespace runnel {

/// Receives from c and drops the value; chosen also when c is closed. Go: case <-c:
template <detail::chan_that_receives C>
auto on_recv(C&& c) {
  using T = detail::carried<C>;
  constexpr bool owned = !std::is_lvalue_reference_v<C>;
  if constexpr (std::is_void_v<T>) {
    return detail::recv_case_void<owned, detail::no_handler>(
        detail::chan_ref<owned>(std::forward<C>(c)), {});
  } else {
    return detail::recv_case<T, owned, detail::recv_ignored<T>>(
        detail::chan_ref<owned>(std::forward<C>(c)), {});
  }
}

/// Receives from c into what `to` is; the second text is for when c is closed and drained:
///
///   T& out                  assigned; T{}           Go: case out = <-c:
///   std::optional<T>& out   assigned; empty         Go: case out, ok = <-c:
///   f(T)                    called; with T{}
///   f(std::optional<T>)     called; with none
///   f()                     called; the value is dropped
///
/// What f takes is told by the type of its first parameter, through std::function, std::ref and
/// std::bind, too; a callable without one, since generic or overloaded, gets a T. For chan<void>:
/// f(). What moving a T throws comes out of select.
template <detail::chan_that_receives C, class To>
auto on_recv(C&& c, To&& to) {
  using T = detail::carried<C>;
  constexpr bool owned = !std::is_lvalue_reference_v<C>;
  if constexpr (std::is_void_v<T>) {
    static_assert(std::is_invocable_v<To&>, "the handler of a case on chan<void> takes nothing");
    return detail::recv_case_void<owned, To>(detail::chan_ref<owned>(std::forward<C>(c)),
                                             std::forward<To>(to));
  } else if constexpr (std::is_same_v<To, T&>) {
    return detail::recv_case<T, owned, detail::recv_into<T>>(
        detail::chan_ref<owned>(std::forward<C>(c)), {std::addressof(to)});
  } else if constexpr (std::is_same_v<To, std::optional<T>&>) {
    return detail::recv_case<T, owned, detail::recv_into_optional<T>>(
        detail::chan_ref<owned>(std::forward<C>(c)), {std::addressof(to)});
  } else {
    return detail::recv_case<T, owned, detail::recv_call<T, To>>(
        detail::chan_ref<owned>(std::forward<C>(c)), {std::forward<To>(to)});
  }
}

/// Sends v, then calls f(). v is copied or moved from, as it was passed, only if this case is
/// chosen; otherwise the caller's object is untouched. v must stay as it is until select returns.
/// What copying or moving v throws comes out of select; nothing was sent then.
/// Go: case c <- v:
template <detail::chan_that_sends C, class V, class F>
requires(!std::is_void_v<detail::carried<C>>) auto on_send(C&& c, V&& v, F&& f) {
  using T = detail::carried<C>;
  constexpr bool owned = !std::is_lvalue_reference_v<C>;
  static_assert(std::is_convertible_v<V&&, T>, "the channel does not carry values of this type");
  return detail::send_case<T, owned, detail::sent_value<T, V&&>, F>(
      detail::chan_ref<owned>(std::forward<C>(c)), std::forward<V>(v), std::forward<F>(f));
}
template <detail::chan_that_sends C, class V>
requires(!std::is_void_v<detail::carried<C>>) auto on_send(C&& c, V&& v) {
  return on_send(std::forward<C>(c), std::forward<V>(v), detail::no_handler{});
}

/// The same for chan<void>: on_send(c) and on_send(c, f).
template <detail::chan_that_sends C, class F = detail::no_handler>
requires(std::is_void_v<detail::carried<C>>) auto on_send(C&& c, F&& f = {}) {
  constexpr bool owned = !std::is_lvalue_reference_v<C>;
  return detail::send_case_void<owned, F>(detail::chan_ref<owned>(std::forward<C>(c)),
                                          std::forward<F>(f));
}

/// Ready once d has passed since the select began (at once if d <= 0). Creates no channel and no
/// heap object. d is rounded up to nanoseconds. Go: case <-time.After(d):
template <class Rep, class Period, class F = detail::no_handler>
auto on_timeout(const std::chrono::duration<Rep, Period>& d, F&& f = {}) {
  return detail::time_case<F>(detail::select_kind::after, detail::saturated_nanoseconds(d),
                              std::forward<F>(f));
}

/// Ready from the time t on.
template <class Duration, class F = detail::no_handler>
auto on_deadline(const std::chrono::time_point<std::chrono::steady_clock, Duration>& t,
                 F&& f = {}) {
  return detail::time_case<F>(detail::select_kind::at,
                              detail::saturated_nanoseconds(t.time_since_epoch()),
                              std::forward<F>(f));
}

/// Chosen if no other case is ready: the select never blocks. At most one in a select.
/// Go: default:
template <class F = detail::no_handler>
auto otherwise(F&& f = {}) {
  return detail::otherwise_case<F>(std::forward<F>(f));
}

namespace detail {

/// A case with something to do around the wait: before_wait, once all cases are prepared, and
/// after_wait, when the wait is over, also by an exception, and no handler has been called yet.
template <class C>
concept case_around_wait = requires(C& c) {
  c.before_wait();
  c.after_wait();
};

}  // namespace detail

/// Any one case, for selects whose number of cases is known only at run time. Made implicitly from
/// what on_recv, on_send, ... return; owns the channel, the value and the handler (but not what an
/// output refers to). Move-only. May be used for any number of selects: a value to be sent is
/// copied each time it is sent; if T cannot be copied, it is moved from the first time.
class select_case {
  template <class C>
  using owned_t = decltype(std::declval<C>().owned());

 public:
  template <detail::select_case_like C>
  // NOLINTNEXTLINE(bugprone-forwarding-reference-overload): does not see the requires-clause
  requires(!std::is_lvalue_reference_v<C> && !std::is_same_v<C, select_case>) select_case(C&& c) {
    using owned = owned_t<C>;
    if constexpr (fits<owned>) {
      ::new (static_cast<void*>(space_)) owned(std::forward<C>(c).owned());
    } else {
      ::new (static_cast<void*>(space_)) owned*(new owned(std::forward<C>(c).owned()));
    }
    how_ = &how_to<owned>;
  }
  select_case(select_case&& other) noexcept : how_(other.how_) {
    if (how_ != nullptr) how_->relocate(space_, other.space_);
    other.how_ = nullptr;
  }
  select_case& operator=(select_case&& other) noexcept {
    if (this != &other) {
      if (how_ != nullptr) how_->destroy(space_);
      how_ = std::exchange(other.how_, nullptr);
      if (how_ != nullptr) how_->relocate(space_, other.space_);
    }
    return *this;
  }
  ~select_case() {
    if (how_ != nullptr) how_->destroy(space_);
  }

  // For select.
  void prepare(detail::select_record& r) noexcept { how_->prepare(space_, r); }
  void finish(const detail::select_record& r) { how_->finish(space_, r); }
  void before_wait() {
    if (how_->before_wait != nullptr) how_->before_wait(space_);
  }
  void after_wait() {
    if (how_->after_wait != nullptr) how_->after_wait(space_);
  }

 private:
  struct functions {
    void (*prepare)(void* space, detail::select_record& r) noexcept;
    void (*finish)(void* space, const detail::select_record& r);
    void (*before_wait)(void* space);  // null: nothing to do, as with after_wait
    void (*after_wait)(void* space);
    void (*relocate)(void* to, void* from) noexcept;
    void (*destroy)(void* space) noexcept;
  };
  static constexpr std::size_t space = 72;

  template <class Owned>
  static constexpr bool fits =
      sizeof(Owned) <= space &&
      alignof(Owned) <= alignof(std::max_align_t) && std::is_nothrow_move_constructible_v<Owned>;
  template <class Owned>
  static Owned& get(void* p) noexcept {
    if constexpr (fits<Owned>) {
      return *static_cast<Owned*>(p);
    } else {
      return **static_cast<Owned**>(p);
    }
  }
  template <class Owned>
  static void relocate(void* to, void* from) noexcept {
    if constexpr (fits<Owned>) {
      ::new (to) Owned(std::move(get<Owned>(from)));
      get<Owned>(from).~Owned();
    } else {
      ::new (to) Owned*(&get<Owned>(from));
    }
  }
  template <class Owned>
  static void destroy(void* p) noexcept {
    if constexpr (fits<Owned>) {
      get<Owned>(p).~Owned();
    } else {
      delete &get<Owned>(p);
    }
  }
  template <class Owned>
  static constexpr functions how_to = [] {
    functions how{[](void* p, detail::select_record& r) noexcept { get<Owned>(p).prepare(r); },
                  [](void* p, const detail::select_record& r) { get<Owned>(p).finish(r); },
                  nullptr,
                  nullptr,
                  &relocate<Owned>,
                  &destroy<Owned>};
    if constexpr (detail::case_around_wait<Owned>) {
      how.before_wait = [](void* p) { get<Owned>(p).before_wait(); };
      how.after_wait = [](void* p) { get<Owned>(p).after_wait(); };
    }
    return how;
  }();

  alignas(std::max_align_t) std::byte space_[space];
  const functions* how_;
};

namespace detail {

/// Does that for those of the cases that have it.
template <class... Cases>
class around_wait {
 public:
  explicit around_wait(Cases&... cases) : cases_(cases...) {
    for_each([](auto& c) { c.before_wait(); });
  }
  ~around_wait() {
    for_each([](auto& c) { c.after_wait(); });
  }
  around_wait(const around_wait&) = delete;
  around_wait& operator=(const around_wait&) = delete;

 private:
  template <class F>
  void for_each(F f) {
    const auto one = [&]<class C>(C& c) {
      if constexpr (case_around_wait<C>) f(c);
    };
    std::apply([&](Cases&... cases) { (one(cases), ...); }, cases_);
  }
  std::tuple<Cases&...> cases_;
};

template <bool Ordered, class... Cases>
std::size_t select_by_engine(std::size_t first, Cases&... cases) {
  constexpr std::size_t n = sizeof...(Cases);
  std::array<select_record, n> records;
  alignas(chan_waiter) std::byte space[n * select_space];
  std::size_t i = 0;
  (cases.prepare(records[i++]), ...);
  std::size_t chosen = 0;
  if constexpr ((case_around_wait<Cases> || ...)) {
    const around_wait surroundings(cases...);
    chosen = select_run(records.data(), n, space, Ordered, first);
  } else {
    chosen = select_run(records.data(), n, space, Ordered, first);
  }
  i = 0;
  ((chosen == i++ ? cases.finish(records[chosen]) : void()), ...);
  return chosen;
}

/// One of the set bits, of which there are `count`: the lowest one, or one of them at random.
template <bool Ordered>
RUNNEL_INLINE unsigned choose_bit(std::uint32_t bits, std::uint32_t count) noexcept {
  if constexpr (!Ordered) {
    if (count > 1) {
      for (std::uint32_t skip = select_random(count); skip != 0; --skip) bits &= bits - 1;
    }
  }
  return static_cast<unsigned>(std::countr_zero(bits));
}

template <class C>
concept case_with_inline_path = requires(C& c) {
  c.look();
  c.run_inline();
};
/// Beyond this number the code of the inlined look would outweigh what it saves.
inline constexpr std::size_t most_inlined_cases = 6;

template <bool Ordered, class... Cases>
std::size_t select_cases(Cases&... cases) {
  constexpr std::size_t n = sizeof...(Cases);
  if constexpr (inline_paths && n <= most_inlined_cases &&
                ((is_otherwise<Cases> || case_with_inline_path<Cases>)&&...)) {
    std::uint32_t ready = 0;
    std::uint32_t quick = 0;
    std::uint32_t count = 0;
    unsigned at = 0;
    bool known = true;
    const auto look = [&]<class C>(const C& c) __attribute__((always_inline)) {
      if constexpr (requires { c.needs_engine(); }) known = known && !c.needs_engine();
      if constexpr (!is_otherwise<C>) {
        const first_look seen = c.look();
        ready |= static_cast<std::uint32_t>(seen.ready) << at;
        quick |= static_cast<std::uint32_t>(seen.quick) << at;
        count += seen.ready;
      }
      ++at;
    };
    (look(cases), ...);
    if (!known) return select_by_engine<Ordered>(no_case, cases...);
    if (ready == 0) return select_by_engine<Ordered>(none_ready, cases...);
    const unsigned chosen = choose_bit<Ordered>(ready, count);
    if ((quick >> chosen & 1) == 0) return select_by_engine<Ordered>(chosen, cases...);
    at = 0;
    bool done = false;
    const auto run = [&]<class C>(C & c) __attribute__((always_inline)) {
      if constexpr (!is_otherwise<C>) {
        if (chosen == at) done = c.run_inline();
      }
      ++at;
    };
    (run(cases), ...);
    if (done) return chosen;
    return select_by_engine<Ordered>(chosen, cases...);
  } else {
    return select_by_engine<Ordered>(no_case, cases...);
  }
}

/// One case and otherwise: no engine. Chosen is what the non-blocking operation says.
template <class Case, class Otherwise>
bool select_or_else(Case& c, Otherwise& other) {
  if (c.try_run()) return true;
  other.finish({});
  return false;
}

template <bool Ordered>
[[noreturn]] std::size_t select_from() {
  select_nothing();
}
template <bool Ordered, class A>
std::size_t select_from(A& a) {
  if constexpr (requires { a.run(); }) {
    a.run();
    return 0;
  } else {
    return select_cases<Ordered>(a);
  }
}
template <bool Ordered, class A, class B>
std::size_t select_from(A& a, B& b) {
  static_assert(!(is_otherwise<A> && is_otherwise<B>), "a select has at most one otherwise");
  if constexpr (is_otherwise<B> && requires { a.try_run(); }) {
    return select_or_else(a, b) ? 0 : 1;
  } else if constexpr (is_otherwise<A> && requires { b.try_run(); }) {
    return select_or_else(b, a) ? 1 : 0;
  } else {
    return select_cases<Ordered>(a, b);
  }
}
template <bool Ordered, class A, class B, class C, class... More>
std::size_t select_from(A& a, B& b, C& c, More&... more) {
  static_assert(
      is_otherwise<A> + is_otherwise<B> + is_otherwise<C> + (0 + ... + is_otherwise<More>) <= 1,
      "a select has at most one otherwise");
  return select_cases<Ordered>(a, b, c, more...);
}

}  // namespace detail

/// Waits until one of the cases can go on, does it, calls its handler and returns its index in the
/// order written. Blocks unless there is an otherwise; select() blocks for ever.
/// Throws panic("send on closed channel"), whatever the handler throws, and std::bad_alloc if the
/// channel of a timer is among the cases (time.hpp). Go: select {...}
template <detail::select_case_like... Cases>
std::size_t select(Cases... cases) {
  return detail::select_from<false>(cases...);
}

/// As select, but takes the first ready case in the order written, instead of a random one. If it
/// has to wait, whichever becomes ready first is taken.
template <detail::select_case_like... Cases>
std::size_t select_ordered(Cases... cases) {
  return detail::select_from<true>(cases...);
}

/// The same for any number of cases. Allocates above 16. Throws also std::bad_alloc and, for more
/// than one otherwise, panic("reflect.Select: multiple default cases"). Go: reflect.Select
RUNNEL_API std::size_t select(std::span<select_case> cases);
RUNNEL_API std::size_t select_ordered(std::span<select_case> cases);

}  // namespace runnel

// The cases on channels.
//
// A case made from an lvalue channel, value or handler refers to it; one made from an rvalue
// channel or handler owns it. An rvalue value is referred to, because it is moved from only if the
// case is chosen; select_case (select_any.hpp) moves it into itself.
#pragma once

#include <memory>
#include <optional>
#include <runnel/chan.hpp>
#include <runnel/detail/select_core.hpp>
#include <runnel/detail/select_handler.hpp>
#include <type_traits>
#include <utility>

namespace runnel::detail {

/// What channel handles have to do with each other: the T they carry and what they can do.
template <class C>
struct chan_traits {
  static constexpr bool receives = false, sends = false;
};
template <class T>
struct chan_traits<chan<T>> {
  using type = T;
  static constexpr bool receives = true, sends = true;
};
template <class T>
struct chan_traits<recv_chan<T>> {
  using type = T;
  static constexpr bool receives = true, sends = false;
};
template <class T>
struct chan_traits<send_chan<T>> {
  using type = T;
  static constexpr bool receives = false, sends = true;
};

template <class C>
concept chan_that_receives = chan_traits<std::remove_cvref_t<C>>::receives;
template <class C>
concept chan_that_sends = chan_traits<std::remove_cvref_t<C>>::sends;
template <class C>
using carried = typename chan_traits<std::remove_cvref_t<C>>::type;

/// The channel of a case: its reference count is left alone where the caller's handle outlives it.
template <bool Owned>
class chan_ref {
 public:
  template <class C>
  explicit chan_ref(const C& c) noexcept : core_(chan_access::core(c)) {}
  explicit chan_ref(chan_core* core) noexcept : core_(core) {}
  chan_core* get() const noexcept { return core_; }

 private:
  chan_core* core_;
};
template <>
class chan_ref<true> {
 public:
  explicit chan_ref(chan_handle c) noexcept : handle_(std::move(c)) {}
  explicit chan_ref(chan_core* core) noexcept : handle_(chan_access::adopt<chan_handle>(core)) {
    if (core != nullptr) core->add_reference();
  }
  chan_core* get() const noexcept { return chan_access::core(handle_); }

 private:
  chan_handle handle_;
};

// ---- receiving

template <class T>
struct recv_ignored {
  void operator()(std::optional<T>&&) const noexcept {}
  recv_ignored owned() && { return {}; }
};

template <class T>
struct recv_into {
  static_assert(std::is_default_constructible_v<T>,
                "a closed channel yields T{}: take a std::optional<T> where T has no default");
  void operator()(std::optional<T>&& v) const {
    if (v.has_value()) {
      *out = std::move(*v);
    } else {
      *out = T{};
    }
  }
  recv_into owned() && { return *this; }
  T* out;
};

template <class T>
struct recv_into_optional {
  void operator()(std::optional<T>&& v) const {
    out->reset();
    if (v.has_value()) out->emplace(std::move(*v));
  }
  recv_into_optional owned() && { return *this; }
  std::optional<T>* out;
};

template <class T, class F>
struct recv_call {
  static constexpr handler_takes form = handler_form<T, F>();
  static_assert(handles_form<T, F, form>(),
                "the handler of on_recv takes a T, a std::optional<T> or nothing");
  static_assert(form != handler_takes::value || std::is_default_constructible_v<T>,
                "a closed channel yields T{}: take a std::optional<T> where T has no default");
  void operator()(std::optional<T>&& v) {
    if constexpr (form == handler_takes::nothing) {
      call_handler(f);
    } else if constexpr (form == handler_takes::optional) {
      call_handler(f, std::move(v));
    } else if (v.has_value()) {
      call_handler(f, std::move(*v));
    } else {
      call_handler(f, T{});
    }
  }
  auto owned() && { return recv_call<T, std::decay_t<F>>{std::forward<F>(f)}; }
  F f;
};

// The inlined first look (see select_cases): may the operation be possible, and would a look at the
// buffer do for it. Then it is tried, and done where the lock is biased to this thread.
RUNNEL_INLINE first_look look_at_receive(const chan_core* c) noexcept {
  if (c == nullptr) return {false, false};
  return {!c->looks_unreceivable(), c->looks_takable()};
}
RUNNEL_INLINE first_look look_at_send(const chan_core* c) noexcept {
  if (c == nullptr) return {false, false};
  return {!c->looks_unsendable(), c->looks_puttable()};
}
/// Whether the inlined operation was done; if not, its lock has been left.
RUNNEL_INLINE bool done_inline(chan_core* c, chan_entry entry) noexcept {
  if (entry == chan_entry::inside) c->leave_inline();
  return entry == chan_entry::done;
}

template <class T, bool Owned, class Action>
class recv_case {
 public:
  recv_case(chan_ref<Owned> c, Action action) : chan_(std::move(c)), action_(std::move(action)) {}
  recv_case(recv_case&& other) noexcept(std::is_nothrow_move_constructible_v<Action>)
      : chan_(std::move(other.chan_)), action_(std::move(other.action_)) {}
  ~recv_case() = default;

  void prepare(select_record& r) noexcept {
    r.object = chan_.get();
    r.slot = std::addressof(storage_.value);
    r.kind = select_kind::recv;
  }
  void finish(const select_record& r) {
    if (r.end == select_end::done) {
      action_(unwrap<T>(storage_.value));
    } else {
      action_(std::nullopt);
    }
  }
  auto owned() && {
    using owned_action = decltype(std::move(action_).owned());
    return recv_case<T, true, owned_action>(chan_ref<true>(chan_.get()),
                                            std::move(action_).owned());
  }

  RUNNEL_INLINE first_look look() const noexcept { return look_at_receive(chan_.get()); }
  RUNNEL_INLINE bool run_inline() {
    if constexpr (boxed<T>) {
      T* box = nullptr;
      if (!done_inline(chan_.get(),
                       chan_core::take_inline<T*>(chan_.get(), [&](T* e) { box = e; }))) {
        return false;
      }
      action_(unwrap<T>(box));
    } else {
      element_storage<T> e;
      const auto take = [&](T& from) { ::new (std::addressof(e.value)) T(std::move(from)); };
      if (!done_inline(chan_.get(), chan_core::take_inline<T>(chan_.get(), take))) return false;
      action_(unwrap<T>(e.value));
    }
    return true;
  }

  // The only case, and the only one besides otherwise.
  void run() { action_(chan_recv<T>(chan_.get())); }
  RUNNEL_INLINE bool try_run() {
    std::optional<T> v;
    if (chan_try_recv<T>(chan_.get(), v) == chan_status::would_block) return false;
    action_(std::move(v));
    return true;
  }

 private:
  chan_ref<Owned> chan_;
  [[no_unique_address]] Action action_;
  element_storage<element<T>> storage_;
};

// ---- sending

/// Small enough to be copied (or moved, if that is how it was passed) whether it is sent or not,
/// and nobody can tell: no code of the user's runs, and the source stays as it was.
template <class T, class V, class U = std::remove_cvref_t<V>>
inline constexpr bool copied_early = std::is_trivially_copyable_v<T> &&
                                     sizeof(T) <= 4 * sizeof(void*) &&
                                     (std::is_same_v<U, T>
                                          ? std::is_trivially_constructible_v<T, V>
                                          : std::is_arithmetic_v<U> && std::is_arithmetic_v<T>);

/// The value of a send case. How: kept in the case; moved from where it is; or made when chosen.
enum class send_how : std::uint8_t { kept, moved, made };

template <class T, class V>
constexpr send_how how_to_send() {
  if constexpr (copied_early<T, V>) {
    return send_how::kept;
  } else if constexpr (boxed<T> || !std::is_same_v<V, T&&>) {
    return send_how::made;
  } else {
    return send_how::moved;
  }
}

/// V: T const& or T&&, or a reference to something a T is made from.
template <class T, class V, send_how = how_to_send<T, V>()>
class sent_value;

template <class T, class V>
class sent_value<T, V, send_how::kept> {
 public:
  static constexpr bool in_place = true;
  explicit sent_value(V v) noexcept : value_(static_cast<T>(static_cast<V>(v))) {}
  send_source source() noexcept {
    if constexpr (boxed<T>) {
      return lazy_.emplace(std::move(value_)).source();
    } else {
      return {std::addressof(value_)};
    }
  }
  void finish(select_end end) {
    if constexpr (boxed<T>) {
      if (end == select_end::failed) lazy_->rethrow();
    }
  }
  T&& take() noexcept { return std::move(value_); }

 private:
  struct nothing {};
  T value_;
  [[no_unique_address]] std::conditional_t<boxed<T>, std::optional<lazy_element<T, T&&>>, nothing>
      lazy_;
};

template <class T, class V>
class sent_value<T, V, send_how::moved> {
 public:
  static constexpr bool in_place = true;
  explicit sent_value(T&& v) noexcept : value_(std::addressof(v)) {}
  send_source source() noexcept { return {value_}; }
  void finish(select_end) noexcept {}
  T&& take() noexcept { return std::move(*value_); }

 private:
  T* value_;
};

template <class T, class V>
class sent_value<T, V, send_how::made> {
 public:
  static constexpr bool in_place = false;
  explicit sent_value(V v) noexcept : lazy_(static_cast<V>(v)) {}
  send_source source() noexcept { return lazy_.source(); }
  void finish(select_end end) {
    if (end == select_end::failed) lazy_.rethrow();
    lazy_.race_note_read();
  }
  V take() noexcept { return lazy_.get(); }

 private:
  lazy_element<T, V> lazy_;
};

/// A value of its own for as many sends as the case is chosen for: copied each time where T can be
/// copied, otherwise moved the first time.
template <class T>
class owned_value {
  using reference = std::conditional_t<std::is_copy_constructible_v<T>, const T&, T&&>;

 public:
  static constexpr bool in_place = false;
  template <class V>
  // NOLINTNEXTLINE(bugprone-forwarding-reference-overload): does not see the requires-clause
  requires(!std::is_same_v<std::remove_cvref_t<V>, owned_value>) explicit owned_value(V&& v)
      : value_(std::forward<V>(v)) {}
  owned_value(owned_value&& other) noexcept(std::is_nothrow_move_constructible_v<T>)
      : value_(std::move(other.value_)) {}
  send_source source() noexcept { return inner_.emplace(static_cast<reference>(value_)).source(); }
  void finish(select_end end) { inner_->finish(end); }

 private:
  T value_;
  std::optional<sent_value<T, reference>> inner_;
};

template <class T, bool Owned, class Value, class F>
class send_case {
  /// The source is the element itself: send and try_send can take it from there.
  static constexpr bool in_place = !boxed<T> && Value::in_place;

 public:
  template <class V>
  send_case(chan_ref<Owned> c, V&& v, F f)
      : chan_(std::move(c)), value_(std::forward<V>(v)), f_(std::forward<F>(f)) {}
  void prepare(select_record& r) noexcept {
    race_note_send(chan_.get());
    const send_source source = value_.source();
    r.object = chan_.get();
    r.slot = source.value;
    r.make = source.make;
    r.kind = select_kind::send;
  }
  void finish(const select_record& r) {
    value_.finish(r.end);
    f_();
  }
  auto owned() && {
    return send_case<T, true, owned_value<T>, std::decay_t<F>>(chan_ref<true>(chan_.get()),
                                                               value_.take(), std::forward<F>(f_));
  }

  RUNNEL_INLINE first_look look() const noexcept { return look_at_send(chan_.get()); }
  RUNNEL_INLINE bool run_inline() {
    if constexpr (in_place) {
      T& v = *static_cast<T*>(value_.source().value);
      if (!done_inline(chan_.get(), chan_core::put_inline<T>(chan_.get(), v))) return false;
      f_();
      return true;
    } else {
      return false;
    }
  }

  // The only case besides otherwise.
  RUNNEL_INLINE bool try_run() {
    race_note_send(chan_.get());
    const send_source source = value_.source();
    chan_outcome outcome;
    if constexpr (inline_paths && in_place) {
      const chan_status status =
          chan_try_send<T, T&&>(chan_.get(), std::move(*static_cast<T*>(source.value)));
      outcome = status == chan_status::ok ? chan_outcome::done : chan_outcome::would_block;
    } else {
      outcome = chan_core::try_send(chan_.get(), source);
    }
    if (outcome == chan_outcome::would_block) return false;
    value_.finish(outcome == chan_outcome::done ? select_end::done : select_end::failed);
    f_();
    return true;
  }
  // The only case.
  void run() requires(in_place) {
    chan_send<T>(chan_.get(), *static_cast<T*>(value_.source().value));
    f_();
  }

 private:
  chan_ref<Owned> chan_;
  Value value_;
  [[no_unique_address]] F f_;
};

// ---- channels of nothing

struct void_receive {
  static constexpr select_kind kind = select_kind::recv;
  static void note(chan_core*) noexcept {}
  RUNNEL_INLINE static first_look look(chan_core* c) noexcept { return look_at_receive(c); }
  RUNNEL_INLINE static chan_entry enter(chan_core* c) noexcept {
    return chan_core::take_inline_void(c);
  }
  static void run(chan_core* c) { chan_recv_void(c); }
  RUNNEL_INLINE static chan_status try_run(chan_core* c) { return chan_try_recv_void(c); }
};

struct void_send {
  static constexpr select_kind kind = select_kind::send;
  static void note(chan_core* c) noexcept { race_note_send(c); }
  RUNNEL_INLINE static first_look look(chan_core* c) noexcept { return look_at_send(c); }
  RUNNEL_INLINE static chan_entry enter(chan_core* c) noexcept {
    return chan_core::put_inline_void(c);
  }
  static void run(chan_core* c) { chan_send_void(c); }
  RUNNEL_INLINE static chan_status try_run(chan_core* c) { return chan_try_send_void(c); }
};

template <class Operation, bool Owned, class F>
class void_case {
 public:
  void_case(chan_ref<Owned> c, F f) : chan_(std::move(c)), f_(std::forward<F>(f)) {}
  void prepare(select_record& r) noexcept {
    Operation::note(chan_.get());
    r.object = chan_.get();
    r.slot = &nothing_;
    r.make = nullptr;
    r.kind = Operation::kind;
  }
  void finish(const select_record&) { f_(); }
  auto owned() && {
    return void_case<Operation, true, std::decay_t<F>>(chan_ref<true>(chan_.get()),
                                                       std::forward<F>(f_));
  }
  RUNNEL_INLINE first_look look() const noexcept { return Operation::look(chan_.get()); }
  RUNNEL_INLINE bool run_inline() {
    if (!done_inline(chan_.get(), Operation::enter(chan_.get()))) return false;
    f_();
    return true;
  }
  void run() {
    Operation::run(chan_.get());
    f_();
  }
  RUNNEL_INLINE bool try_run() {
    if (Operation::try_run(chan_.get()) == chan_status::would_block) return false;
    f_();
    return true;
  }

 private:
  chan_ref<Owned> chan_;
  char nothing_;
  [[no_unique_address]] F f_;
};

template <bool Owned, class F>
using recv_case_void = void_case<void_receive, Owned, F>;
template <bool Owned, class F>
using send_case_void = void_case<void_send, Owned, F>;

}  // namespace runnel::detail

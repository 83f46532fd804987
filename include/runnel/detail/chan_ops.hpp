// The operations on a channel of T: the inlined, uncontended path and the way to the engine.
//
// Small trivially copyable elements have one object for the inlined half, which so stays in a
// register, and another one for the out-of-line half, whose address is taken. For the same reason
// recv is always inlined: returned from a real call, a std::optional<int> goes through memory,
// written as two pieces and read as one, which stalls for 5 ns (GCC 12).
#pragma once

#include <exception>
#include <memory>
#include <optional>
#include <runnel/detail/chan_core.hpp>
#include <utility>

namespace runnel::detail {

// In a race-detecting program (and only there) a send reads and a close writes one byte of the
// channel, as in Go; always inlined, hence instrumented as part of the caller.
RUNNEL_INLINE void race_note_send([[maybe_unused]] chan_core* c) noexcept {
#if RUNNEL_RACE || RUNNEL_TSAN
  if (c != nullptr) static_cast<void>(static_cast<char>(c->race_byte()));
#endif
}
RUNNEL_INLINE void race_note_close([[maybe_unused]] chan_core* c) noexcept {
#if RUNNEL_RACE || RUNNEL_TSAN
  if (c != nullptr && !c->race_is_closed()) c->race_byte() = 1;
#endif
}

#if RUNNEL_RACE || RUNNEL_TSAN
/// While one is alive nothing this goroutine does is seen by the detector. An element is made while
/// one is: perhaps by a receiver, for a sender that stands still; in any case after the sender
/// has released its clock. race_note_read shows the access in the sender's own name.
class race_unseen {
 public:
  RUNNEL_API race_unseen() noexcept;
  RUNNEL_API ~race_unseen();
  race_unseen(const race_unseen&) = delete;
  race_unseen& operator=(const race_unseen&) = delete;
};
#endif

/// A value that becomes an element only at the moment it is sent. V, a reference, is how it was
/// passed: T const&, T&&, or a reference to something a T is made from.
template <class T, class V>
class lazy_element {
 public:
  explicit lazy_element(V value) noexcept : value_(std::addressof(value)) {}

  V get() const noexcept { return static_cast<V>(*value_); }

  send_source source() noexcept { return {this, &make}; }

  /// Throws what making the element threw. For the sender, after `failed`.
  [[noreturn]] void rethrow() { std::rethrow_exception(std::exchange(error_, nullptr)); }

  /// For the sender, after its element was made.
  void race_note_read() noexcept {
#if RUNNEL_RACE || RUNNEL_TSAN
    const volatile char* bytes = reinterpret_cast<const volatile char*>(value_);
    for (std::size_t i = 0; i < sizeof(*value_); ++i)
      static_cast<void>(static_cast<char>(bytes[i]));
#endif
  }

 private:
  static bool make(void* to, void* lazy) noexcept;
  void build(void* to) {
    if constexpr (boxed<T>) {
      ::new (to) T*(new T(get()));
    } else {
      ::new (to) T(get());
    }
  }

  std::remove_reference_t<V>* value_;
  std::exception_ptr error_;
};

template <class T, class V>
bool lazy_element<T, V>::make(void* to, void* lazy_element_of_sender) noexcept {
  auto& lazy = *static_cast<lazy_element*>(lazy_element_of_sender);
#if RUNNEL_RACE || RUNNEL_TSAN
  const race_unseen unseen;
#endif
  try {
    lazy.build(to);
    return true;
  } catch (...) {
    lazy.error_ = std::current_exception();
    return false;
  }
}

template <class E>
RUNNEL_INLINE void send_element(chan_core* c, E& e) {
  const chan_entry entry = chan_core::put_inline(c, e);
  if (__builtin_expect(entry == chan_entry::done, 1)) return;
  if constexpr (small_element<E>) {
    E copy(std::move(e));
    chan_core::send(c, std::addressof(copy), entry == chan_entry::inside);
  } else {
    chan_core::send(c, std::addressof(e), entry == chan_entry::inside);
  }
}

template <class T>
RUNNEL_INLINE void chan_send(chan_core* c, T& v) {
  race_note_send(c);
  if constexpr (boxed<T>) {
    auto box = std::make_unique<T>(std::move(v));
    T* e = box.get();
    send_element(c, e);
    box.release();
  } else {
    send_element(c, v);
  }
}
RUNNEL_INLINE void chan_send_void(chan_core* c) {
  race_note_send(c);
  const chan_entry entry = chan_core::put_inline_void(c);
  if (__builtin_expect(entry == chan_entry::done, 1)) return;
  char nothing;  // chan_core tells a waiter things by nulling its slot
  chan_core::send(c, &nothing, entry == chan_entry::inside);
}

template <class T>
RUNNEL_NOINLINE std::optional<T> recv_out_of_line(chan_core* c, bool inside) {
  element_storage<element<T>> storage;
  if (!chan_core::recv(c, std::addressof(storage.value), inside)) return std::nullopt;
  return unwrap<T>(storage.value);
}

// GCC at -O3 does not see that `quick` is read only where take_inline has made it.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
template <class T>
RUNNEL_INLINE std::optional<T> chan_recv(chan_core* c) {
  using E = element<T>;
  if constexpr (small_element<E>) {
    element_storage<E> quick;
    const chan_entry entry = chan_core::take_inline<E>(
        c, [&](E& e) { ::new (std::addressof(quick.value)) E(std::move(e)); });
    if (__builtin_expect(entry == chan_entry::done, 1)) return unwrap<T>(quick.value);
    element_storage<E> slow;
    if (!chan_core::recv(c, std::addressof(slow.value), entry == chan_entry::inside))
      return std::nullopt;
    return unwrap<T>(slow.value);
  } else {
    std::optional<T> result;
    const chan_entry entry =
        chan_core::take_inline<T>(c, [&](T& e) { result.emplace(std::move(e)); });
    if (__builtin_expect(entry == chan_entry::done, 1)) return result;
    return recv_out_of_line<T>(c, entry == chan_entry::inside);
  }
}
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
RUNNEL_INLINE bool chan_recv_void(chan_core* c) {
  const chan_entry entry = chan_core::take_inline_void(c);
  if (__builtin_expect(entry == chan_entry::done, 1)) return true;
  char nothing;
  return chan_core::recv(c, &nothing, entry == chan_entry::inside);
}

/// V: T const& or T&&.
template <class T, class V>
inline constexpr bool sent_in_place =
    !boxed<T> && (std::is_same_v<V, T&&> || std::is_trivially_copyable_v<T>);

template <class T, class V>
RUNNEL_NOINLINE chan_status try_send_out_of_line(chan_core* c, V v) {
  chan_outcome outcome;
  if constexpr (sent_in_place<T, V>) {
    outcome = chan_core::try_send(c, {const_cast<T*>(std::addressof(v))});
  } else {
    lazy_element<T, V> lazy(static_cast<V>(v));
    outcome = chan_core::try_send(c, lazy.source());
    if (outcome == chan_outcome::failed) lazy.rethrow();
  }
  return outcome == chan_outcome::done ? chan_status::ok : chan_status::would_block;
}

template <class T, class V>
RUNNEL_INLINE chan_status chan_try_send(chan_core* c, V v) {
  race_note_send(c);
  if constexpr (inline_paths && sent_in_place<T, V>) {
    if (c == nullptr || c->looks_unsendable()) return chan_status::would_block;
    const chan_entry entry = chan_core::put_inline<T>(c, const_cast<T&>(v));
    if (__builtin_expect(entry == chan_entry::done, 1)) return chan_status::ok;
    if (entry == chan_entry::inside) c->leave_inline();
  }
  return try_send_out_of_line<T, V>(c, static_cast<V>(v));
}
RUNNEL_INLINE chan_status chan_try_send_void(chan_core* c) {
  race_note_send(c);
  if constexpr (inline_paths) {
    if (c == nullptr || c->looks_unsendable()) return chan_status::would_block;
    const chan_entry entry = chan_core::put_inline_void(c);
    if (__builtin_expect(entry == chan_entry::done, 1)) return chan_status::ok;
    if (entry == chan_entry::inside) c->leave_inline();
  }
  char nothing;
  return chan_core::try_send(c, {&nothing}) == chan_outcome::done ? chan_status::ok
                                                                  : chan_status::would_block;
}

RUNNEL_INLINE chan_status status_of(chan_outcome received) noexcept {
  return received == chan_outcome::done     ? chan_status::ok
         : received == chan_outcome::closed ? chan_status::closed
                                            : chan_status::would_block;
}

/// As chan_core::try_recv, for whoever wants the T itself.
template <class T>
RUNNEL_NOINLINE chan_status try_recv_out_of_line(chan_core* c, std::optional<T>& out) {
  element_storage<element<T>> storage;
  const chan_outcome outcome = chan_core::try_recv(c, std::addressof(storage.value));
  if (outcome == chan_outcome::done) {
    if (std::optional<T> v = unwrap<T>(storage.value)) out.emplace(std::move(*v));
  }
  return status_of(outcome);
}

/// `out` must be empty.
template <class T>
RUNNEL_INLINE chan_status chan_try_recv(chan_core* c, std::optional<T>& out) {
  if constexpr (inline_paths) {
    if (c == nullptr || c->looks_unreceivable()) return chan_status::would_block;
    if (c->is_drained()) return chan_status::closed;
    if constexpr (!boxed<T>) {
      const chan_entry entry =
          chan_core::take_inline<T>(c, [&](T& e) { out.emplace(std::move(e)); });
      if (__builtin_expect(entry == chan_entry::done, 1)) return chan_status::ok;
      if (entry == chan_entry::inside) c->leave_inline();
    }
  }
  return try_recv_out_of_line<T>(c, out);
}
RUNNEL_INLINE chan_status chan_try_recv_void(chan_core* c) {
  if constexpr (inline_paths) {
    if (c == nullptr || c->looks_unreceivable()) return chan_status::would_block;
    if (c->is_drained()) return chan_status::closed;
    const chan_entry entry = chan_core::take_inline_void(c);
    if (__builtin_expect(entry == chan_entry::done, 1)) return chan_status::ok;
    if (entry == chan_entry::inside) c->leave_inline();
  }
  char nothing;
  return status_of(chan_core::try_recv(c, &nothing));
}

RUNNEL_INLINE void chan_close(chan_core* c) {
  race_note_close(c);
  chan_core::close(c);
}

}  // namespace runnel::detail

// Channels: typed queues through which goroutines and threads hand values to each other.
//
//   runnel::chan<int> numbers(10);                  // Go: numbers := make(chan int, 10)
//   runnel::go([numbers] {
//     for (int i = 0; i < 3; ++i) numbers.send(i);
//     numbers.close();
//   });
//   for (int n : numbers) std::cout << n << '\n';   // 0 1 2
//
// A chan<T> is a handle, like Go's channel value: copies refer to the same channel. The last handle
// frees the channel and destroys what it still buffers. A handle may be used by many threads at
// once as long as none assigns to it; give each its own copy to be on the safe side.
//
// T: any movable object type; it need be neither copyable nor default-constructible. If T's move
// constructor is noexcept, values are moved directly, some of them inside the channel's lock: such
// a constructor, and the destructor, must not block and not use this library. If it may throw, each
// value travels in a box on the heap, and an exception reaches the sender or receiver whose move
// threw it; the channel stays consistent.
#pragma once

#include <concepts>
#include <cstddef>
#include <functional>
#include <iterator>
#include <optional>
#include <runnel/detail/chan_ops.hpp>
#include <runnel/detail/fatal.hpp>
#include <type_traits>
#include <utility>
#include <variant>

namespace runnel {

template <class T>
class chan;
template <class T>
class send_chan;
template <class T>
class recv_chan;

namespace detail {

/// A counted reference to a channel, or nil.
class chan_handle {
 public:
  chan_handle(const chan_handle& other) noexcept : core_(other.core_) {
    if (core_ != nullptr) core_->add_reference();
  }
  chan_handle(chan_handle&& other) noexcept : core_(std::exchange(other.core_, nullptr)) {}
  chan_handle& operator=(const chan_handle& other) noexcept {
    chan_handle(other).swap(*this);
    return *this;
  }
  chan_handle& operator=(chan_handle&& other) noexcept {
    chan_handle(std::move(other)).swap(*this);
    return *this;
  }
  ~chan_handle() {
    if (core_ != nullptr) core_->drop_reference();
  }

  /// Number of values buffered now. Never blocks; orders nothing. Go: len(ch).
  std::size_t size() const noexcept { return core_ == nullptr ? 0 : core_->size(); }
  /// How many values fit in. Go: cap(ch).
  std::size_t capacity() const noexcept { return core_ == nullptr ? 0 : core_->capacity(); }
  /// False for nil.
  explicit operator bool() const noexcept { return core_ != nullptr; }

 protected:
  friend struct chan_access;
  /// Takes over one reference.
  explicit chan_handle(chan_core* core) noexcept : core_(core) {}
  void swap(chan_handle& other) noexcept { std::swap(core_, other.core_); }

  chan_core* core_;
};

/// What the rest of the library may do with a handle.
struct chan_access {
  static chan_core* core(const chan_handle& h) noexcept { return h.core_; }
  /// The channel with one more reference.
  static chan_core* share(const chan_handle& h) noexcept {
    if (h.core_ != nullptr) h.core_->add_reference();
    return h.core_;
  }
  /// The channel with h's reference.
  static chan_core* release(chan_handle& h) noexcept { return std::exchange(h.core_, nullptr); }
  /// A handle that takes over one reference.
  template <class Chan>
  static Chan adopt(chan_core* core) noexcept {
    return Chan(core);
  }
};

/// The iterator of a channel: each step receives. The element may be moved from.
template <class T>
class chan_iterator {
 public:
  using value_type = T;
  using difference_type = std::ptrdiff_t;
  using iterator_concept = std::input_iterator_tag;

  // Not inlined, so that a loop holds one copy of the receive.
  RUNNEL_NOINLINE explicit chan_iterator(chan_handle handle) : handle_(std::move(handle)) {
    ++*this;
  }
  chan_iterator(chan_iterator&&) noexcept(std::is_nothrow_move_constructible_v<T>) = default;
  chan_iterator& operator=(chan_iterator&&) noexcept(
      std::is_nothrow_move_constructible_v<T>&& std::is_nothrow_move_assignable_v<T>) = default;

  T&& operator*() const noexcept { return std::move(*value_); }
  RUNNEL_INLINE chan_iterator& operator++() {
    value_.reset();
    if (std::optional<T> next = chan_recv<T>(chan_access::core(handle_))) {
      value_.emplace(std::move(*next));
    }
    return *this;
  }
  void operator++(int) { ++*this; }
  friend bool operator==(const chan_iterator& it, std::default_sentinel_t) noexcept {
    return !it.value_.has_value();
  }

 private:
  chan_handle handle_;
  mutable std::optional<T> value_;
};

template <>
class chan_iterator<void> {
 public:
  using value_type = std::monostate;
  using difference_type = std::ptrdiff_t;
  using iterator_concept = std::input_iterator_tag;

  explicit chan_iterator(chan_handle handle) : handle_(std::move(handle)) { ++*this; }
  chan_iterator(chan_iterator&&) = default;
  chan_iterator& operator=(chan_iterator&&) = default;

  std::monostate operator*() const noexcept { return {}; }
  chan_iterator& operator++() {
    more_ = chan_recv_void(chan_access::core(handle_));
    return *this;
  }
  void operator++(int) { ++*this; }
  friend bool operator==(const chan_iterator& it, std::default_sentinel_t) noexcept {
    return !it.more_;
  }

 private:
  chan_handle handle_;
  bool more_ = false;
};

/// The sending half of a channel's interface.
template <class T, class Base>
class sending : public Base {
 public:
  /// Sends v. Blocks until a receiver takes it or, in a buffered channel, until there is room; on
  /// nil for ever. Senders that wait are served first come, first served.
  /// Throws panic("send on closed channel"), also if the channel is closed while it waits; v is
  /// destroyed then.
  /// Synchronizes: with the completion of the receive that gets v. The k-th receive from a channel
  /// of capacity C synchronizes with the completion of the (k+C)-th send.
  /// Complexity: constant. Go: ch <- v.
  RUNNEL_INLINE void send(T v) const { chan_send<T>(this->core_, v); }

  /// Sends v if that needs no waiting: ok; else would_block (always on nil), and v is untouched.
  /// Throws panic("send on closed channel"), and what copying v throws; then nothing was sent.
  /// Synchronizes: as send, on ok. Go: select { case ch <- v: default: }.
  chan_status try_send(const T& v) const requires std::is_copy_constructible_v<T> {
    return chan_try_send<T, const T&>(this->core_, v);
  }
  chan_status try_send(T&& v) const { return chan_try_send<T, T&&>(this->core_, std::move(v)); }

  /// Closes the channel: no more sends. What is buffered can still be received; then receives
  /// return at once, empty. Waiting receivers and senders wake up. Never blocks. Throws
  /// panic("close of closed channel"), panic("close of nil channel"). Synchronizes: with every
  /// receive that returns because the channel is closed. Complexity: linear in the number of those
  /// waiting. Go: close(ch).
  void close() const { chan_close(this->core_); }

 protected:
  using Base::Base;
};

template <class Base>
class sending<void, Base> : public Base {
 public:
  /// See sending<T>::send; there is no value.
  RUNNEL_INLINE void send() const { chan_send_void(this->core_); }
  /// See sending<T>::try_send.
  chan_status try_send() const { return chan_try_send_void(this->core_); }
  /// See sending<T>::close.
  void close() const { chan_close(this->core_); }

 protected:
  using Base::Base;
};

/// The receiving half of a channel's interface.
template <class T, class Base>
class receiving : public Base {
 public:
  using value_type = T;
  using iterator = chan_iterator<T>;
  using sentinel = std::default_sentinel_t;

  /// Receives the next value. Blocks until there is one or the channel is closed; on nil for ever.
  /// Receivers that wait are served first come, first served. Empty once closed and drained.
  /// Throws only what moving a T throws (the value is lost then); std::bad_alloc where the channel
  /// is a timer's (time.hpp).
  /// Synchronizes: with the send of the value, or with the close; see also send.
  /// Complexity: constant. Go: v, ok := <-ch.
  RUNNEL_INLINE std::optional<T> recv() const { return chan_recv<T>(this->core_); }

  /// Receives into out if that needs no waiting: ok; else would_block (always on nil) or closed,
  /// and out is untouched. T must be move-assignable. Synchronizes: as recv, on ok and closed. Go:
  /// select { case v, ok = <-ch: default: }.
  chan_status try_recv(T& out) const {
    std::optional<T> v;
    const chan_status status = chan_try_recv<T>(this->core_, v);
    if (status == chan_status::ok) out = std::move(*v);
    return status;
  }

  /// For `for (T v : ch)`: receives until the channel is closed and drained. begin() blocks for the
  /// first value. The loop variable may be T, T&& or const T&. An input range.
  iterator begin() const { return iterator(*this); }
  sentinel end() const noexcept { return {}; }

 protected:
  using Base::Base;
};

template <class Base>
class receiving<void, Base> : public Base {
 public:
  using value_type = std::monostate;
  using iterator = chan_iterator<void>;
  using sentinel = std::default_sentinel_t;

  /// See receiving<T>::recv. False once closed and drained.
  RUNNEL_INLINE bool recv() const { return chan_recv_void(this->core_); }
  /// See receiving<T>::try_recv.
  chan_status try_recv() const { return chan_try_recv_void(this->core_); }
  /// Iterating yields std::monostate.
  iterator begin() const { return iterator(*this); }
  sentinel end() const noexcept { return {}; }

 protected:
  using Base::Base;
};

/// nullptr itself, not the literal 0, which is a capacity.
template <class N>
concept nil_literal = std::is_same_v<N, std::nullptr_t>;

}  // namespace detail

/// A channel one can send to and receive from. Go: chan T.
/// See detail::sending and detail::receiving above for its operations, detail::chan_handle for
/// size, capacity and operator bool.
template <class T>
class chan : public detail::sending<T, detail::receiving<T, detail::chan_handle>> {
  using base = detail::sending<T, detail::receiving<T, detail::chan_handle>>;

 public:
  /// An unbuffered channel: a send waits for its receive. Throws std::bad_alloc. Go: make(chan T).
  chan() : base(detail::chan_core::make(detail::ops_for<T>, 0)) {}
  /// A channel that buffers up to `capacity` values (0: unbuffered). Throws std::bad_alloc,
  /// panic("makechan: size out of range"). Go: make(chan T, capacity).
  explicit chan(std::size_t capacity)
      : base(detail::chan_core::make(detail::ops_for<T>, capacity)) {}
  /// nil: sends and receives block for ever, a select case on it never fires.
  template <detail::nil_literal N>
  chan(N) noexcept : base(nullptr) {}

  /// The same channel?
  friend bool operator==(const chan& a, const chan& b) noexcept { return a.core_ == b.core_; }

 private:
  friend struct detail::chan_access;
  // A template, because a literal 0 would convert to the pointer as well as to the capacity.
  template <std::same_as<detail::chan_core*> Core>
  explicit chan(Core core) noexcept : base(core) {}
};

/// The end of a channel that one can only send to: send, try_send, close, size, capacity.
/// Default: nil. Go: chan<- T.
template <class T>
class send_chan : public detail::sending<T, detail::chan_handle> {
  using base = detail::sending<T, detail::chan_handle>;

 public:
  send_chan() noexcept : base(nullptr) {}
  template <detail::nil_literal N>
  send_chan(N) noexcept : base(nullptr) {}
  send_chan(const chan<T>& c) noexcept : base(detail::chan_access::share(c)) {}
  send_chan(chan<T>&& c) noexcept : base(detail::chan_access::release(c)) {}

  friend bool operator==(const send_chan& a, const send_chan& b) noexcept {
    return a.core_ == b.core_;
  }

 private:
  friend struct detail::chan_access;
  explicit send_chan(detail::chan_core* core) noexcept : base(core) {}
};

/// The end of a channel that one can only receive from: recv, try_recv, range-for, size, capacity.
/// Default: nil. Go: <-chan T.
template <class T>
class recv_chan : public detail::receiving<T, detail::chan_handle> {
  using base = detail::receiving<T, detail::chan_handle>;

 public:
  recv_chan() noexcept : base(nullptr) {}
  template <detail::nil_literal N>
  recv_chan(N) noexcept : base(nullptr) {}
  recv_chan(const chan<T>& c) noexcept : base(detail::chan_access::share(c)) {}
  recv_chan(chan<T>&& c) noexcept : base(detail::chan_access::release(c)) {}

  friend bool operator==(const recv_chan& a, const recv_chan& b) noexcept {
    return a.core_ == b.core_;
  }

 private:
  friend struct detail::chan_access;
  explicit recv_chan(detail::chan_core* core) noexcept : base(core) {}
};

namespace detail {
struct chan_hash {
  std::size_t operator()(const chan_handle& h) const noexcept {
    return std::hash<const void*>{}(chan_access::core(h));
  }
};
}  // namespace detail

}  // namespace runnel

template <class T>
struct std::hash<runnel::chan<T>> : runnel::detail::chan_hash {};
template <class T>
struct std::hash<runnel::send_chan<T>> : runnel::detail::chan_hash {};
template <class T>
struct std::hash<runnel::recv_chan<T>> : runnel::detail::chan_hash {};

// What a channel carries for a T: the T itself, or a box on the heap.
//
// The engine moves elements inside the channel's lock, from any thread, and has nobody to tell of
// an exception; so it only ever handles elements whose move cannot throw. A T whose move may throw
// is boxed: the sender moves it into the box before the channel is touched, the receiver moves it
// out after the channel was left, and each sees the exception of its own move.
//
// In a race-detecting program every T is boxed. The library is not instrumented, so a T it moved
// would be read and written unseen; the box is filled and emptied by (instrumented) code of this
// header on the sender's and the receiver's side, which is where Go's detector sees the accesses.
//
// A nothrow move constructor and the destructor of a moved-from T do run inside the lock: they must
// not block and not use the library. Rejected: boxing all but trivially copyable types, which would
// spare users that rule for 25 ns and a heap allocation a message.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <runnel/detail/config.hpp>
#include <type_traits>
#include <utility>

namespace runnel::detail {

template <class T>
inline constexpr bool boxed = race_enabled || !std::is_nothrow_move_constructible_v<T>;

/// What stands in a buffer slot for a T.
template <class T>
using element = std::conditional_t<boxed<T>, T*, T>;

/// Passed and kept in registers by the inlined paths. Such a type need not be copyable: one that is
/// only movable is trivially copyable, too. So it is moved, which leaves the source as it was.
template <class E>
inline constexpr bool small_element = std::is_trivially_copyable_v<E> &&
                                      sizeof(E) <= 2 * sizeof(void*);

/// How the type-erased engine handles elements. A null function stands for the trivial thing.
struct element_ops {
  std::size_t size;                                 // 0: chan<void>
  std::size_t align;                                // of the element
  void (*move)(void* to, void* from) noexcept;      // constructs; null: copy the bytes
  void (*relocate)(void* to, void* from) noexcept;  // move, then destroy from; null: copy the bytes
  void (*destroy)(void* element) noexcept;          // a value nobody received; null: nothing
  // size() and capacity() say 0 although there is a buffer: how Go's timer channels look.
  bool looks_unbuffered;
  // A channel that belongs to something: bytes behind the ring for that (chan_core::extra), and
  // what is called once the last handle is gone. True: the channel can go now. False: it is kept
  // until somebody calls chan_core::free; it may be asked again meanwhile.
  std::size_t extra = 0;
  bool (*retire)(void* extra) noexcept = nullptr;
  // The channel is dormant and its lock held: builds at `to` what is due, if something is.
  bool (*take_due)(void* extra, void* to) noexcept = nullptr;
  // Called, outside the lock, by a receiver that found nothing: sees to it that what is due will be
  // sent. Throws std::bad_alloc. Who finds the channel dormant afterwards, as others have made it
  // so, calls it again.
  void (*get_sender)(void* extra) = nullptr;
};

template <class E>
void element_move(void* to, void* from) noexcept {
  ::new (to) E(std::move(*static_cast<E*>(from)));
}
template <class E>
void element_relocate(void* to, void* from) noexcept {
  E* source = static_cast<E*>(from);
  ::new (to) E(std::move(*source));
  source->~E();
}
template <class T>
void element_destroy(void* p) noexcept {
  using E = element<T>;
  E* e = static_cast<E*>(p);
  if constexpr (boxed<T>) {
    delete *e;
  } else {
    e->~E();
  }
}

template <class T, bool LooksUnbuffered = false>
inline constexpr element_ops ops_for = [] {
  static_assert(std::is_object_v<T> && !std::is_array_v<T> && !std::is_const_v<T> &&
                    std::is_move_constructible_v<T> && std::is_nothrow_destructible_v<T>,
                "a channel carries movable object types");
  using E = element<T>;
  element_ops ops{sizeof(E), alignof(E), nullptr, nullptr, nullptr, LooksUnbuffered};
  if constexpr (!std::is_trivially_copyable_v<E>) {
    ops.move = &element_move<E>;
    ops.relocate = &element_relocate<E>;
  }
  if constexpr (boxed<T> || !std::is_trivially_destructible_v<T>) ops.destroy = &element_destroy<T>;
  return ops;
}();
template <>
inline constexpr element_ops ops_for<void, false>{0, 1, nullptr, nullptr, nullptr, false};

/// Storage for one element that is not there yet. Whoever uses it knows whether it is.
template <class E>
union element_storage {
  element_storage() noexcept {}
  ~element_storage() {}
  element_storage(const element_storage&) = delete;
  element_storage& operator=(const element_storage&) = delete;
  E value;
};

/// Ends an element that was received but not yet turned into a T (a handler threw before it).
template <class T>
void discard(element<T>& e) noexcept {
  element_destroy<T>(&e);
}

/// The T of a received element, whose storage is over afterwards. Throws what moving a T throws.
template <class T>
RUNNEL_INLINE std::optional<T> unwrap(element<T>& e) {
  if constexpr (boxed<T>) {
    const std::unique_ptr<T> box(e);
    return std::optional<T>(std::in_place, std::move(*box));
  } else {
    struct guard {
      T& e;
      ~guard() { e.~T(); }
    } end{e};
    return std::optional<T>(std::in_place, std::move(e));
  }
}

}  // namespace runnel::detail

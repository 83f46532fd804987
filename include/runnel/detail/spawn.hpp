// How a typed `go` reaches the scheduler: the callable is built on the new goroutine's own stack,
// or in the seed that it is until it has one, so that spawning allocates nothing.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <runnel/detail/config.hpp>
#include <string_view>
#include <type_traits>
#include <utility>

namespace runnel::detail {

struct goroutine;

/// Runs, then destroys, the closure at `closure`. `in_seed`: this is to be moved out first, and the
/// seed given back by spawn_give_back_seed.
using goroutine_entry = void (*)(void* closure, bool in_seed);

/// What fits into a goroutine that has no stack yet (src/runtime/seed_depot.hpp).
inline constexpr std::size_t seed_closure_size = 48;
template <class Closure>
inline constexpr bool fits_seed =
    sizeof(Closure) <= seed_closure_size &&
    alignof(Closure) <= 16 && std::is_nothrow_move_constructible_v<Closure>;

/// A goroutine that has an empty place for its closure, but is not started yet.
struct new_goroutine {
  goroutine* g;
  void* closure;
};

/// Takes a goroutine from the free list, or makes one; a seed only if `seed`. Throws
/// std::bad_alloc.
RUNNEL_API new_goroutine spawn_prepare(std::size_t size, std::size_t align, std::size_t stack_size,
                                       bool seed);
/// Gives back one that was never started.
RUNNEL_API void spawn_abandon(goroutine* g) noexcept;
/// Starts it. `name` is copied (cut to what fits); `site` is an address in the spawning function.
RUNNEL_API void spawn_start(goroutine* g, goroutine_entry entry, std::string_view name,
                            const void* site) noexcept;

/// The new goroutine has emptied the place for its closure in a seed.
RUNNEL_API void spawn_give_back_seed(void* closure) noexcept;

/// The address of the code that called the function it is inlined into; what "created by" shows.
RUNNEL_INLINE const void* spawn_site() noexcept {
#if defined(__x86_64__)
  const void* here;
  asm volatile("leaq 0(%%rip), %0" : "=r"(here));
  return here;
#else
  const void* here;
  asm volatile("adr %0, ." : "=r"(here));
  return here;
#endif
}

/// Kept apart: where it sees both the move and the call, GCC 12 warns of members of an optional
/// that may be used uninitialized.
template <class Closure>
RUNNEL_NOINLINE void call_moved(Closure& c) {
  std::move(c)();
}

/// Starts a goroutine that runs `f()`; what go, run, async and every stage are made of.
/// The calling thread or goroutine goes on at once.
template <class F>
RUNNEL_INLINE void spawn(F&& f, std::string_view name = {}, std::size_t stack_size = 0) {
  using closure = std::decay_t<F>;
  new_goroutine n = spawn_prepare(sizeof(closure), alignof(closure), stack_size,
                                  fits_seed<closure> && name.empty());
  struct guard {
    goroutine* g;
    ~guard() {
      if (g != nullptr) spawn_abandon(g);
    }
  } undo{n.g};
  ::new (n.closure) closure(std::forward<F>(f));
  undo.g = nullptr;
  spawn_start(
      n.g,
      // The closure is destroyed on every way out: return, goexit. Not on an uncaught exception,
      // which ends the program with the stack still as it was at the throw.
      [](void* p, bool in_seed) {
        closure* c = static_cast<closure*>(p);
        if constexpr (fits_seed<closure>) {
          if (in_seed) {
            closure own(std::move(*c));
            c->~closure();
            spawn_give_back_seed(p);
            call_moved(own);
            return;
          }
        }
        struct destroy {
          closure* c;
          ~destroy() { c->~closure(); }
        } d{c};
        std::move (*c)();
      },
      name, spawn_site());
}

}  // namespace runnel::detail

// How a typed `go` reaches the scheduler: the callable is built on the new goroutine's own stack,
// so that spawning allocates nothing.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <runnel/detail/config.hpp>
#include <string_view>
#include <utility>

namespace runnel::detail {

struct goroutine;

/// Runs, then destroys, the closure at `closure`.
using goroutine_entry = void (*)(void* closure);

/// A goroutine that has a stack and an empty place for its closure, but is not started yet.
struct new_goroutine {
  goroutine* g;
  void* closure;
};

/// Takes a goroutine from the free list, or makes one. Throws std::bad_alloc.
RUNNEL_API new_goroutine spawn_prepare(std::size_t size, std::size_t align, std::size_t stack_size);
/// Gives back one that was never started.
RUNNEL_API void spawn_abandon(goroutine* g) noexcept;
/// Starts it. `name` is copied (cut to what fits); `site` is an address in the spawning function.
RUNNEL_API void spawn_start(goroutine* g, goroutine_entry entry, std::string_view name,
                            const void* site) noexcept;

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

/// Starts a goroutine that runs `f()`; what go, run, async and every stage are made of.
/// The calling thread or goroutine goes on at once.
template <class F>
RUNNEL_INLINE void spawn(F&& f, std::string_view name = {}, std::size_t stack_size = 0) {
  using closure = std::decay_t<F>;
  new_goroutine n = spawn_prepare(sizeof(closure), alignof(closure), stack_size);
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
      [](void* p) {
        closure* c = static_cast<closure*>(p);
        // Destroyed on every way out: return, goexit. Not on an uncaught exception, which ends the
        // program with the stack still as it was at the throw.
        struct destroy {
          closure* c;
          ~destroy() { c->~closure(); }
        } d{c};
        std::move (*c)();
      },
      name, spawn_site());
}

}  // namespace runnel::detail

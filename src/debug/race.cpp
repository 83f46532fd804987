// The edges of Go's memory model, announced to ThreadSanitizer. Only the race build has them.
//
// Protocol: the address is a name for an ordering, never read or written here, so it may be that of
// live data: a buffer slot, an object's own word. ThreadSanitizer keeps one clock per byte address
// and forgets it when the memory is freed.
//
// A replacing release matters: with a merging one, each send into a buffer slot would also carry
// the clocks of earlier senders to the receiver, an edge that Go's model does not have and that
// hides races. __tsan_release merges. Rejected: a store-release through __tsan_atomic8_store, which
// replaces too but writes the byte and counts as an access to it. __tsan_java_release_store does
// just what is wanted and takes any address (GCC 12, Clang 14 and later).
#include <cstdint>
#include <runnel/detail/config.hpp>
#include <runnel/detail/park.hpp>

#if RUNNEL_TSAN
#error \
    "the library announces its own edges and must not be instrumented: define RUNNEL_RACE=1 instead"
#endif

#if RUNNEL_RACE

extern "C" {
// Weak: a program that links the race library without -fsanitize=thread still runs.
void __tsan_acquire(void* address) __attribute__((weak));
void __tsan_release(void* address) __attribute__((weak));
void __tsan_java_release_store(std::uintptr_t address) __attribute__((weak));
}

namespace runnel::detail {

void race_acquire(const void* address) noexcept {
  if (&__tsan_acquire != nullptr) __tsan_acquire(const_cast<void*>(address));
}

void race_release(const void* address) noexcept {
  if (&__tsan_java_release_store != nullptr) {
    __tsan_java_release_store(reinterpret_cast<std::uintptr_t>(address));
  }
}

void race_release_merge(const void* address) noexcept {
  if (&__tsan_release != nullptr) __tsan_release(const_cast<void*>(address));
}

}  // namespace runnel::detail

#endif

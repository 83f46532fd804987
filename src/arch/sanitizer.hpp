// What the sanitizers must be told when one stack gives way to another.
//
// AddressSanitizer: the library is not built for it; a program that is has the interface in its
// process, so weak references find it at load time and every build of the library serves an
// instrumented program. Without it, asan_active() is one load and a branch not taken.
// ThreadSanitizer: only in the race build (RUNNEL_RACE), because the edges of the memory model
// must be announced too; in other builds everything here named tsan_ is empty.
//
// Order around a switch, all on the stack that is being left except finish:
//   asan_start_switch(&save, low, size of the stack switched to); tsan_switch(its fiber);
//   switch; on the new stack, first of all: asan_finish_switch(that stack's own save, ...).
// No instrumented function may be called, or return, between tsan_switch and the switch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <runnel/detail/config.hpp>

extern "C" {
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): the sanitizers' names
void __sanitizer_start_switch_fiber(void** fake_stack_save, const void* bottom, std::size_t size)
    __attribute__((weak));
void __sanitizer_finish_switch_fiber(void* fake_stack_save, const void** bottom_old,
                                     std::size_t* size_old) __attribute__((weak));
void __asan_unpoison_memory_region(const volatile void* address, std::size_t size)
    __attribute__((weak));

#if RUNNEL_RACE
// Weak too: a program that links the race library without -fsanitize=thread still runs.
void* __tsan_get_current_fiber() __attribute__((weak));
void* __tsan_create_fiber(unsigned flags) __attribute__((weak));
void __tsan_destroy_fiber(void* fiber) __attribute__((weak));
void __tsan_switch_to_fiber(void* fiber, unsigned flags) __attribute__((weak));
void __tsan_set_fiber_name(void* fiber, const char* name) __attribute__((weak));
void __tsan_ignore_thread_begin() __attribute__((weak));
void __tsan_ignore_thread_end() __attribute__((weak));
// Meant for a garbage-collected heap: free forgets the synchronisation words of a range, alloc what
// was accessed there. Nothing in the C++ part of the interface does either without an munmap.
void __tsan_java_free(std::uintptr_t address, std::uintptr_t size) __attribute__((weak));
void __tsan_java_alloc(std::uintptr_t address, std::uintptr_t size) __attribute__((weak));
#endif
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)
}

namespace runnel::arch {

/// True in a program built with -fsanitize=address.
RUNNEL_INLINE bool asan_active() noexcept { return &__sanitizer_start_switch_fiber != nullptr; }

/// Announces that the next instruction to touch a stack runs on [low, low + size). `save` keeps the
/// fake stack of the one being left; null when that one will never run again. asan_active() only.
RUNNEL_INLINE void asan_start_switch(void** save, std::uintptr_t low, std::size_t size) noexcept {
  __sanitizer_start_switch_fiber(save, reinterpret_cast<const void*>(low), size);
}

/// Ends the switch on the new stack. `saved` is what asan_start_switch stored when this stack was
/// left; null on a stack that runs for the first time. The bounds of the stack switched from go
/// to low and size where they are not null: how a thread learns of its own. asan_active() only.
RUNNEL_INLINE void asan_finish_switch(void* saved, std::uintptr_t* low = nullptr,
                                      std::size_t* size = nullptr) noexcept {
  const void* bottom = nullptr;
  std::size_t length = 0;
  __sanitizer_finish_switch_fiber(saved, &bottom, &length);
  if (low != nullptr) *low = reinterpret_cast<std::uintptr_t>(bottom);
  if (size != nullptr) *size = length;
}

/// Clears red zones that frames ended by goexit or abandoned for good left on a stack about to be
/// used again. Nothing without AddressSanitizer.
RUNNEL_INLINE void asan_unpoison(std::uintptr_t low, std::size_t size) noexcept {
  if (&__asan_unpoison_memory_region != nullptr) {
    __asan_unpoison_memory_region(reinterpret_cast<const volatile void*>(low), size);
  }
}

#if RUNNEL_RACE

/// What ThreadSanitizer takes for a thread: one per goroutine, made afresh for each, because a
/// recycled one would order its successive users and so hide races between them. Null without
/// ThreadSanitizer; the other functions take null.
/// The new one starts ordered after the caller, as a goroutine is after its go statement.
inline void* tsan_new() noexcept {
  return &__tsan_create_fiber != nullptr ? __tsan_create_fiber(0) : nullptr;
}

/// Not the current one.
inline void tsan_delete(void* fiber) noexcept {
  if (fiber != nullptr) __tsan_destroy_fiber(fiber);
}

/// The one running now; on an OS thread's own stack, that thread's.
inline void* tsan_current() noexcept {
  return &__tsan_get_current_fiber != nullptr ? __tsan_get_current_fiber() : nullptr;
}

/// From here on this thread is `fiber`. Orders nothing (no_sync): who runs after whom on one
/// thread is the scheduler's choice, not the program's.
inline void tsan_switch(void* fiber) noexcept {
  constexpr unsigned no_sync = 1;
  if (fiber != nullptr) __tsan_switch_to_fiber(fiber, no_sync);
}

/// What a report calls it; copied.
inline void tsan_name(void* fiber, const char* name) noexcept {
  if (fiber != nullptr) __tsan_set_fiber_name(fiber, name);
}

/// Between the two, nothing this thread reads or writes counts: for reports, which look at what
/// others are doing. (The library is not instrumented, but memcpy and its kin are watched.)
inline void tsan_ignore_begin() noexcept {
  if (&__tsan_ignore_thread_begin != nullptr) __tsan_ignore_thread_begin();
}
inline void tsan_ignore_end() noexcept {
  if (&__tsan_ignore_thread_end != nullptr) __tsan_ignore_thread_end();
}

/// Makes [low, low + size), multiples of 16, new memory: to be called for a stack before its next
/// goroutine, whose locals would otherwise seem to race with those of the previous one. Ordering
/// the two instead would hide real races between them.
inline void tsan_forget(std::uintptr_t low, std::size_t size) noexcept {
  if (&__tsan_java_alloc == nullptr) return;
  __tsan_java_free(low, size);
  __tsan_java_alloc(low, size);
}

/// Runs the handlers of signals that have come: ThreadSanitizer keeps an asynchronous one until the
/// thread leaves a function that it intercepts, and the system calls of the runtime are none.
inline void tsan_take_signals() noexcept {
  void* memory = std::malloc(1);
  asm volatile("" : "+r"(memory));  // else the compiler would leave both calls out
  std::free(memory);
}

#else

inline void* tsan_new() noexcept { return nullptr; }
inline void tsan_delete(void*) noexcept {}
inline void* tsan_current() noexcept { return nullptr; }
inline void tsan_switch(void*) noexcept {}
inline void tsan_name(void*, const char*) noexcept {}
inline void tsan_ignore_begin() noexcept {}
inline void tsan_ignore_end() noexcept {}
inline void tsan_forget(std::uintptr_t, std::size_t) noexcept {}
inline void tsan_take_signals() noexcept {}

#endif

}  // namespace runnel::arch

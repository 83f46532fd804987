// What the runtime knows of each OS thread, and the one thread_local that leads to it.
//
// Invariants
//  - runnel_current_thread is null until a thread first needs the runtime; then it points to a
//    detail::thread for the rest of the thread's life. Objects are recycled, never freed, so that
//    any thread may read holding_ of any other at any time.
//  - A goroutine may resume on another thread, so no code may keep this pointer, or anything
//    derived from it, across a park. The accessor is an inline-assembly load marked volatile: the
//    compiler can neither cache its result nor the address it came from (the cure for
//    llvm#98479 and its kin), and it costs one or two instructions where a noinline call costs 2
//    ns.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <runnel/detail/config.hpp>

namespace runnel::detail {

/// Something that can be made ready: a goroutine or a plain thread. A timer may also name a `call`
/// (timer_node.hpp), which never reaches ready().
struct parker {
  enum class kind : std::uint8_t { goroutine, thread, call };
  explicit parker(kind k) noexcept : what(k) {}
  const kind what;
};

struct thread;

/// What a thread measures of a mutex that several threads take in turn; see sync/lock_pace.hpp.
struct lock_pace {
  const void* quick = nullptr;      // `of`, unless there is an errand: which one to lock inline
  const void* of = nullptr;         // which mutex; one at a time
  std::uint32_t left = 0;           // own takes until the window ends
  std::uint32_t takes = 0;          // the mutex's count when the window began
  std::uint64_t since = 0;          // when it began, in ticks
  std::uint32_t strangers = 0;      // takes of other mutexes since `of` was chosen
  std::uint8_t windows = 0;         // that have told anything of it; stays at the greatest value
  std::uint8_t calls = 0;           // for help that it may make until it has shared the mutex again
  std::uint8_t shared_windows = 0;  // that told of being apart, up to enough_windows
  std::uint16_t since_alone = 0;    // shared windows since the last one without others
  bool disturbed = false;           // the window's time is not that of its takes alone
  // 1/1024 of a tick for each take, in windows without and with others. 0: not known.
  std::uint64_t alone = 0;
  std::uint64_t apart = 0;
  // What the thread is to do first when next it locks this mutex: let those run who wait for its
  // processor, or see to it that others help them.
  const void* errand_at = nullptr;
  bool let_pass = false;
  // Times running that those who waited for its processor kept it for long, and until when.
  std::uint32_t long_turns = 0;
  std::chrono::steady_clock::time_point last_long_turn{};
};

/// What a thread measures of its waits for locks at which it may join others; see
/// src/runtime/join.cpp.
struct lock_crowd {
  std::uint64_t since = 0;    // when the window began, in ticks
  std::uint64_t waited = 0;   // of it
  std::uint32_t waits = 0;    // in it
  std::uint32_t crowded = 0;  // windows running in which it waited for much of the time
};

inline constexpr std::size_t holding_slots = 8;

/// The part of a thread's record that inlined paths touch; runtime/machine.hpp derives the rest.
struct thread : parker {
  thread() noexcept : parker(kind::thread) {}

  /// Who runs here now: a goroutine on a machine, this object itself on a plain thread.
  /// Written by this thread only.
  parker* running = this;

  /// Locks of this thread held through their bias; see object_lock.hpp. Written by this thread
  /// only.
  std::array<std::atomic<const void*>, holding_slots> holding{};

  /// What is being read from here by plain stores; see read_bias.hpp. Set by this thread only;
  /// cleared by the reader who set it, wherever that one runs by then.
  std::atomic<const void*> reading{nullptr};
  /// Readers of this thread that found a bias closed since some were last counted. Its own.
  std::uint32_t uncounted_reads = 0;

  lock_pace pace;    // its own
  lock_crowd crowd;  // its own

  /// Of this record: they are numbered as they are made, and used again. Constant.
  std::uint32_t number = 0;
};

}  // namespace runnel::detail

extern "C" {
// __thread, not thread_local: constant-initialised, so no wrapper function stands before it.
RUNNEL_API extern __thread runnel::detail::thread* runnel_current_thread
    __attribute__((tls_model("initial-exec")));
}

namespace runnel::detail {

/// This thread's record made on demand; never null. Throws std::bad_alloc.
RUNNEL_API thread* attach_thread();

/// This thread's record, or null if it has never met the runtime.
RUNNEL_INLINE thread* current_thread() noexcept {
#if defined(__x86_64__)
  thread* t;
  asm volatile("movq runnel_current_thread@gottpoff(%%rip), %0\n\tmovq %%fs:(%0), %0" : "=r"(t));
  return t;
#elif defined(__aarch64__)
  thread* t;
  std::uintptr_t offset;
  asm volatile(
      "adrp %1, :gottprel:runnel_current_thread\n\t"
      "ldr %1, [%1, #:gottprel_lo12:runnel_current_thread]\n\t"
      "mrs %0, tpidr_el0\n\t"
      "ldr %0, [%0, %1]"
      : "=&r"(t), "=&r"(offset));
  return t;
#else
#error "runnel supports x86-64 and AArch64"
#endif
}

/// Who is running now; never null. Valid until the next park only in the sense that a goroutine
/// stays itself while its thread may change.
RUNNEL_INLINE parker* self() {
  thread* me = current_thread();
  if (__builtin_expect(me == nullptr, 0)) me = attach_thread();
  return me->running;
}

}  // namespace runnel::detail

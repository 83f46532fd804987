// G: a goroutine's control block. It lies at the top of the goroutine's own stack, so that a parked
// shallow goroutine costs one page, and it outlives each run: a finished goroutine's block goes to
// a free list together with its stack. One that has not run yet may be a seed (seed_depot.hpp).
//
// Who may write what
//  - context, eh, saved_errno: the goroutine itself while it switches away; read by whoever resumes
//    it after having seen on_cpu == null (acquire).
//  - on_cpu: set by the machine that resumes it, cleared by the switch away from it
//  (arch/switch.hpp).
//    A runnable goroutine may still be on its old machine for a moment; who takes it from a queue
//    waits for null before resuming it.
//  - next: whoever owns it just then (a free list, the global queue).
//  - reason, wait_since, alive: for reports only, nothing is decided by them.
//  - locked_to: itself; of a seed its constructor.
//  - the rest: the spawner, before the goroutine is first queued, or whoever plants it, before it
//  is
//    first entered.
#pragma once

#include <atomic>
#include <cstdint>
#include <runnel/detail/cache_line.hpp>
#include <runnel/detail/spawn.hpp>
#include <runnel/detail/thread.hpp>
#include <runnel/detail/wait_reason.hpp>
#include <string_view>

#include "arch/context.hpp"
#include "arch/eh_globals.hpp"

namespace runnel::runtime {
struct machine;
}

namespace runnel::detail {

struct local_slot;  // goroutine_local's values, see goroutine_local.cpp

enum class closure_place : std::uint8_t { own_stack, heap, seed };

struct alignas(cache_line) goroutine : parker {
  goroutine() noexcept : parker(kind::goroutine) {}

  std::atomic<wait_reason> reason{wait_reason::none};
  std::atomic<bool> alive{false};
  closure_place closure_is = closure_place::own_stack;
  int saved_errno = 0;
  arch::context context;
  std::atomic<runtime::machine*> on_cpu{nullptr};
  goroutine* next = nullptr;

  // The second cache line: all the rest that every spawn writes.
  std::atomic<std::int64_t> wait_since{0};
  arch::eh_globals eh;
  std::uint64_t id = 0;
  std::uint64_t parent_id = 0;
  const void* site = nullptr;
  goroutine_entry entry = nullptr;
  void* closure = nullptr;

  runtime::machine* locked_to = nullptr;
  std::uintptr_t stack_low = 0;  // of the slot, its guard included
  std::uintptr_t stack_high = 0;
  const char* name_text = nullptr;
  std::uint32_t name_size = 0;
  std::uint32_t lock_depth = 0;  // lock_os_thread calls
  local_slot* locals = nullptr;
  void* race_state = nullptr;  // ThreadSanitizer's view of it
  void* asan_stack = nullptr;  // AddressSanitizer's fake stack while switched away
  std::uint32_t stack_class = 0;

  std::string_view name() const noexcept { return {name_text, name_size}; }
};

}  // namespace runnel::detail

namespace runnel::runtime {
using detail::goroutine;
}

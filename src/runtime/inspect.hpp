// The read-only view that diagnostics have of the runtime. Nothing in src/debug reads any other
// header of src/runtime.
//
// The view is taken without stopping anything: a goroutine that runs on meanwhile may be seen in
// either state, and only one that is parked has a context worth unwinding. Fatal reports first call
// freeze(), after which no goroutine of another machine that enters the scheduler leaves it again.
#pragma once

#include <cstdint>
#include <runnel/detail/wait_reason.hpp>
#include <string_view>

#include "arch/context.hpp"

namespace runnel::runtime {

enum class goroutine_state : std::uint8_t { runnable, running, waiting };

struct goroutine_view {
  std::uint64_t id;
  std::uint64_t parent_id;  // 0: started by a plain thread
  std::string_view name;    // empty: none
  goroutine_state state;
  detail::wait_reason reason;  // when waiting (or in blocking())
  std::int64_t waiting_ns;     // since about when; 0 unless waiting
  const void* site;            // an address in the function that started it; null: unknown
  arch::context context;       // where it will go on; meaningful unless running
  bool is_current;             // the caller's own
  bool locked;                 // to its OS thread
  std::uintptr_t stack_low, stack_high;
  std::int32_t machine_tid;  // of the OS thread it runs on; 0 unless running
};

struct thread_view {
  std::int32_t tid;
  bool is_main;
  bool is_current;
  detail::wait_reason reason;  // none: running, outside of runnel
  std::int64_t waiting_ns;
};

/// Calls visit(argument, view) for each goroutine alive, in any order.
/// One that takes its first turn meanwhile may be visited twice.
void for_each_goroutine(void (*visit)(void* argument, const goroutine_view& view), void* argument);
/// Calls visit for each plain thread that is blocked in runnel.
void for_each_blocked_thread(void (*visit)(void* argument, const thread_view& view),
                             void* argument);

/// The caller: false when it is a plain thread (then `t` is filled), true for a goroutine (`g`).
bool current(goroutine_view& g, thread_view& t);

/// Stops other machines at their next entry to the scheduler, for a report that ends the program.
/// True for the first caller; a second one gets false and should just wait to be ended.
bool freeze() noexcept;

/// Ids at which leak_check's scopes begin: the next goroutine's id is greater.
std::uint64_t last_goroutine_id() noexcept;

}  // namespace runnel::runtime

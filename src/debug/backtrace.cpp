#include "debug/backtrace.hpp"

#include <runnel/detail/config.hpp>

#include "arch/unwind.hpp"
#include "debug/fault_guard.hpp"

namespace runnel::debug {
namespace {

void append(backtrace& trace, std::uintptr_t pc) noexcept {
  if (trace.total < backtrace::half) {
    trace.top[trace.total] = pc;
  } else {
    trace.bottom[(trace.total - backtrace::half) % backtrace::half] = pc;
  }
  ++trace.total;
}

struct bounded_walk {
  backtrace& trace;
  const arch::context& from;
  std::uintptr_t high;
  std::uintptr_t last;  // frames must go upwards
};

bool append_bounded(void* argument, const arch::frame& f) {
  bounded_walk& w = *static_cast<bounded_walk*>(argument);
  if (f.sp < w.last || f.sp > w.high) return false;
  w.last = f.sp;
  append(w.trace, f.pc);
  return true;
}

struct own_walk {
  backtrace& trace;
  bool first;
};

}  // namespace

RUNNEL_NOINLINE void capture_here(backtrace& trace) noexcept {
  trace.total = 0;
  own_walk walk{trace, true};
  arch::unwind_here(
      [](void* argument, const arch::frame& f) {
        own_walk& w = *static_cast<own_walk*>(argument);
        if (f.interrupted) w.trace.total = 0;  // so far it was a signal handler
        if (!w.first) append(w.trace, f.pc);
        w.first = false;
        return true;
      },
      &walk);
  asm volatile("");  // no tail call: the first frame left out is this one
}

void capture(const arch::context& from, std::uintptr_t low, std::uintptr_t high,
             backtrace& trace) noexcept {
  trace.total = 0;
  if (from.sp < low || from.sp > high) return;
  bounded_walk walk{trace, from, high, from.sp};
  // What was captured before a fault stays.
  run_guarded(
      [](void* argument) {
        bounded_walk& w = *static_cast<bounded_walk*>(argument);
        arch::unwind(w.from, &append_bounded, &w);
      },
      &walk);
}

}  // namespace runnel::debug

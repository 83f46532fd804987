#include "arch/unwind.hpp"

#include <unwind.h>

#include <runnel/detail/config.hpp>

extern "C" _Unwind_Reason_Code runnel_unwind_context(const runnel::arch::context* from,
                                                     _Unwind_Trace_Fn visit, void* argument);

namespace runnel::arch {
namespace {

struct walk {
  frame_visitor visit;
  void* argument;
  int skip;  // frames of ours at the start
};

_Unwind_Reason_Code step(_Unwind_Context* context, void* argument) {
  walk& w = *static_cast<walk*>(argument);
  if (w.skip > 0) {
    --w.skip;
    return _URC_NO_REASON;
  }
  int before_instruction = 0;
  std::uintptr_t pc = _Unwind_GetIPInfo(context, &before_instruction);
  if (pc == 0) return _URC_END_OF_STACK;
  // A return address may already belong to the next line, even to the next function.
  const bool interrupted = before_instruction != 0;
  if (!interrupted) --pc;
  const frame f{pc, _Unwind_GetCFA(context), interrupted};
  return w.visit(w.argument, f) ? _URC_NO_REASON : _URC_END_OF_STACK;
}

struct list {
  std::uintptr_t* pcs;
  std::size_t size, max;
};

bool append(void* argument, const frame& f) {
  list& l = *static_cast<list*>(argument);
  if (l.size == l.max) return false;
  l.pcs[l.size++] = f.pc;
  return l.size < l.max;
}

}  // namespace

void unwind(const context& from, frame_visitor visit, void* argument) noexcept {
  walk w{visit, argument, 1};
  runnel_unwind_context(&from, &step, &w);
}

RUNNEL_NOINLINE void unwind_here(frame_visitor visit, void* argument) noexcept {
  walk w{visit, argument, 1};
  _Unwind_Backtrace(&step, &w);
  asm volatile("");  // no tail call: the frame skipped must be there
}

std::size_t unwind(const context& from, std::uintptr_t* pcs, std::size_t max) noexcept {
  list l{pcs, 0, max};
  unwind(from, &append, &l);
  return l.size;
}

RUNNEL_NOINLINE std::size_t unwind_here(std::uintptr_t* pcs, std::size_t max) noexcept {
  list l{pcs, 0, max};
  walk w{&append, &l, 1};
  _Unwind_Backtrace(&step, &w);
  asm volatile("");
  return l.size;
}

}  // namespace runnel::arch

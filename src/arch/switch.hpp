// The context switch, in inline assembly so that the compiler knows it clobbers everything and
// spills just what is live around it: 4 stores and 4 loads, then an indirect jump. A call to an
// assembly routine that saves all callee-saved registers costs about three times as much.
//
// switch_context(from, to, release, carry) saves the caller in *from, goes on at *to, and in
// between, on the new stack, stores null to *release. That store is what publishes "nobody stands
// on that stack any more, its context is complete"; another machine that saw it (acquire) may
// resume `from`.
//
// It returns the `carry` of whoever resumed `from`, in a register. So nothing of the caller has to
// live across the switch, and a function that ends with it need not save the two registers that the
// context saves anyway.
//
// MXCSR and the x87 control word are not saved: as in Go, changing them is for the whole thread's
// life or not at all. `jmp`, not `ret`: a return predictor primed by one stack is wrong on another.
#pragma once

#include <atomic>
#include <runnel/detail/config.hpp>

#include "arch/context.hpp"

extern "C" {
/// Where a new goroutine begins: calls runnel_goroutine_main(extra). Marks the end of the stack.
void runnel_goroutine_entry();
}

namespace runnel::arch {

#if defined(__x86_64__)

RUNNEL_INLINE void* switch_context(context* from, const context* to, void* release,
                                   void* carry) noexcept {
  asm volatile(
      "movq %%rsp, 0(%%rdi)\n\t"
      "leaq 1f(%%rip), %%rax\n\t"
      "movq %%rax, 8(%%rdi)\n\t"
      "movq %%rbp, 16(%%rdi)\n\t"
      "movq %%rbx, 24(%%rdi)\n\t"
      "movq 8(%%rsi), %%rax\n\t"
      "movq 0(%%rsi), %%rsp\n\t"
      "movq 16(%%rsi), %%rbp\n\t"
      "movq 24(%%rsi), %%rbx\n\t"
      "movq $0, (%%rdx)\n\t"
      "jmpq *%%rax\n"
      "1:\n\t"
      : "+D"(from), "+S"(to), "+d"(release), "+c"(carry)
      :
      : "rax", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0", "xmm1", "xmm2", "xmm3",
        "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
        "xmm15",
#if defined(__AVX512F__)
        "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25",
        "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6",
        "k7",
#endif
        "cc", "memory");
  return carry;
}

/// Goes on at *to for good; the caller's context is not saved.
[[noreturn]] RUNNEL_INLINE void jump_context(const context* to, void* release,
                                             void* carry) noexcept {
  asm volatile(
      "movq 8(%%rsi), %%rax\n\t"
      "movq 0(%%rsi), %%rsp\n\t"
      "movq 16(%%rsi), %%rbp\n\t"
      "movq 24(%%rsi), %%rbx\n\t"
      "movq $0, (%%rdx)\n\t"
      "jmpq *%%rax\n\t"
      :
      : "S"(to), "d"(release), "c"(carry)
      : "memory");
  __builtin_unreachable();
}

#elif defined(__aarch64__)

RUNNEL_INLINE void* switch_context(context* from, const context* to, void* release,
                                   void* carry) noexcept {
  register context* x0 asm("x0") = from;
  register const context* x1 asm("x1") = to;
  register void* x2 asm("x2") = release;
  register void* x3 asm("x3") = carry;
  asm volatile(
      "mov x9, sp\n\t"
      "adr x10, 1f\n\t"
      "stp x9, x10, [x0]\n\t"
      "stp x29, x19, [x0, #16]\n\t"
      "ldp x9, x10, [x1]\n\t"
      "ldp x29, x19, [x1, #16]\n\t"
      "mov sp, x9\n\t"
      "stlr xzr, [x2]\n\t"
      "br x10\n"
      "1:\n\t"
      : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
      :
      : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17",
        "x18", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x30", "v0", "v1",
        "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15",
        "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28",
        "v29", "v30", "v31",
#if defined(__ARM_FEATURE_SVE)
        "p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9", "p10", "p11", "p12", "p13",
        "p14", "p15",
#endif
        "cc", "memory");
  return x3;
}

[[noreturn]] RUNNEL_INLINE void jump_context(const context* to, void* release,
                                             void* carry) noexcept {
  register const context* x1 asm("x1") = to;
  register void* x2 asm("x2") = release;
  register void* x3 asm("x3") = carry;
  asm volatile(
      "ldp x9, x10, [x1]\n\t"
      "ldp x29, x19, [x1, #16]\n\t"
      "mov sp, x9\n\t"
      "stlr xzr, [x2]\n\t"
      "br x10\n\t"
      :
      : "r"(x1), "r"(x2), "r"(x3)
      : "memory");
  __builtin_unreachable();
}

#endif

}  // namespace runnel::arch

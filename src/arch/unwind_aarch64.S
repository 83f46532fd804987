// As unwind_x86_64.S, for AArch64: at the call, x19 points to the context. DW_OP_breg19 is 0x83;
// the return address is column 30.
#if defined(__aarch64__)
        .text
        .globl  runnel_unwind_context
        .hidden runnel_unwind_context
        .type   runnel_unwind_context, %function
runnel_unwind_context:
        .cfi_startproc
        .cfi_signal_frame
        hint    #34                             // bti c
        stp     x19, x30, [sp, #-16]!
        .cfi_adjust_cfa_offset 16
        .cfi_rel_offset x19, 0
        .cfi_rel_offset x30, 8
        mov     x19, x0
        mov     x0, x1
        mov     x1, x2
        .cfi_remember_state
        .cfi_escape 0x0f, 3, 0x83, 0, 0x06      // CFA = *(x19 + 0): context.sp
        .cfi_escape 0x10, 30, 2, 0x83, 8        // return address at x19 + 8: context.pc
        .cfi_escape 0x10, 29, 2, 0x83, 16       // x29 at x19 + 16: context.fp
        .cfi_escape 0x10, 19, 2, 0x83, 24       // x19 at x19 + 24: context.extra
        bl      _Unwind_Backtrace
        .cfi_restore_state
        ldp     x19, x30, [sp], #16
        .cfi_adjust_cfa_offset -16
        .cfi_restore x19
        .cfi_restore x30
        ret
        .cfi_endproc
        .size   runnel_unwind_context, .-runnel_unwind_context
        .section .note.GNU-stack,"",%progbits
#endif

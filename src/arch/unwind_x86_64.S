// runnel_unwind_context(const context* from, _Unwind_Trace_Fn visit, void* argument): walks the
// frames of a parked context.
//
// At the call, rbx points to the context, and the unwind information describes the "caller" through
// it: its stack pointer (the CFA) is the value of context.sp; its pc, rbp and rbx were saved where
// the context keeps them. Written by hand as DWARF bytes because the assembler has no directive for
// expressions: DW_CFA_def_cfa_expression is 0x0f, DW_CFA_expression 0x10, DW_OP_breg3 (rbx) 0x73.
// The frame is marked as a signal frame since context.pc is not the return address of a call: it is
// looked up as it stands, which matters for a goroutine that has not begun (pc: a function's start).
#if defined(__x86_64__)
        .text
        .globl  runnel_unwind_context
        .hidden runnel_unwind_context
        .type   runnel_unwind_context, @function
runnel_unwind_context:
        .cfi_startproc
        .cfi_signal_frame
        endbr64
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset rbx, 0
        movq    %rdi, %rbx
        movq    %rsi, %rdi
        movq    %rdx, %rsi
        .cfi_remember_state
        .cfi_escape 0x0f, 3, 0x73, 0, 0x06      // CFA = *(rbx + 0): context.sp
        .cfi_escape 0x10, 16, 2, 0x73, 8        // return address at rbx + 8: context.pc
        .cfi_escape 0x10, 6, 2, 0x73, 16        // rbp at rbx + 16: context.fp
        .cfi_escape 0x10, 3, 2, 0x73, 24        // rbx at rbx + 24: context.extra
        call    _Unwind_Backtrace@PLT
        .cfi_restore_state
        popq    %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore rbx
        ret
        .cfi_endproc
        .size   runnel_unwind_context, .-runnel_unwind_context
        .section .note.GNU-stack,"",@progbits
#endif

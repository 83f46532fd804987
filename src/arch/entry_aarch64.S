// As entry_x86_64.S, for AArch64: calls runnel_goroutine_main(x19).
#if defined(__aarch64__)
        .text
        .globl  runnel_goroutine_entry
        .hidden runnel_goroutine_entry
        .type   runnel_goroutine_entry, %function
runnel_goroutine_entry:
        .cfi_startproc
        .cfi_undefined x30
        mov     x0, x19
        mov     x29, xzr
        mov     x30, xzr
        bl      runnel_goroutine_main
        brk     #1
        .cfi_endproc
        .size   runnel_goroutine_entry, .-runnel_goroutine_entry
        .section .note.GNU-stack,"",%progbits
#endif

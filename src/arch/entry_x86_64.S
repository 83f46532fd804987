// The first frame of every goroutine: calls runnel_goroutine_main(rbx), which never returns. The
// return address is marked undefined, which is how unwinders, debuggers and the C++ runtime's search
// for a handler learn that the stack ends here.
#if defined(__x86_64__)
        .text
        .globl  runnel_goroutine_entry
        .hidden runnel_goroutine_entry
        .type   runnel_goroutine_entry, @function
runnel_goroutine_entry:
        .cfi_startproc
        .cfi_undefined rip
        movq    %rbx, %rdi
        xorl    %ebp, %ebp
        call    runnel_goroutine_main
        ud2
        .cfi_endproc
        .size   runnel_goroutine_entry, .-runnel_goroutine_entry
        .section .note.GNU-stack,"",@progbits
#endif

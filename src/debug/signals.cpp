#include "debug/signals.hpp"

#include <dlfcn.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "arch/sanitizer.hpp"
#include "arch/stack.hpp"
#include "debug/fault_guard.hpp"
#include "debug/last_words.hpp"
#include "debug/leak_sanitizer.hpp"
#include "runtime/hooks.hpp"
#include "runtime/inspect.hpp"

// Present in every program built with -fsanitize=thread, whichever build of the library it links.
// NOLINTNEXTLINE(bugprone-reserved-identifier,readability-identifier-naming): not our name
extern "C" void __tsan_acquire(void* address) __attribute__((weak));

namespace runnel::debug {
namespace {

// Room for a signal frame with every vector register (some 3 KiB with AVX-512, 11 with AMX) and for
// the walk over the overflown stack.
constexpr std::size_t signal_stack_size = 64UL * 1024;

// What was there before us; written before our handler is installed.
struct sigaction previous_segv;
struct sigaction previous_bus;

std::uintptr_t stack_pointer(const void* context) noexcept {
  const auto& registers = static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  return static_cast<std::uintptr_t>(registers.gregs[REG_RSP]);
#elif defined(__aarch64__)
  return registers.sp;
#endif
}

// A fault is an overflow if the goroutine's stack pointer has come down to the guard, and either
// the guard was touched or the stack pointer is beyond it (a frame larger than the guard).
bool is_overflow(const runtime::goroutine_view& g, std::uintptr_t address,
                 std::uintptr_t sp) noexcept {
  constexpr std::uintptr_t slack = 2 * arch::page_size;    // red zone, and a call's own push
  constexpr std::uintptr_t largest_frame = 1024UL * 1024;  // lower is some other stack
  const std::uintptr_t end = g.stack_low + arch::guard_size;
  if (sp + largest_frame < g.stack_low || sp >= end + slack) return false;
  return sp < end || (address >= g.stack_low && address < end);
}

// Goes on as if our handler had never been there.
void pass_on(int signal, siginfo_t* info, void* context) noexcept {
  const struct sigaction& previous = signal == SIGSEGV ? previous_segv : previous_bus;
  if ((previous.sa_flags & SA_SIGINFO) != 0) {
    previous.sa_sigaction(signal, info, context);
  } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
    previous.sa_handler(signal);
  } else {
    // The faulting instruction is run again, and ends the program where it stands. A signal that
    // was sent has no such instruction, so it is sent once more.
    system_sigaction(signal, &previous, nullptr);
    if (info->si_code <= 0 && previous.sa_handler == SIG_DFL) ::raise(signal);
  }
}

void on_fault(int signal, siginfo_t* info, void* context) {
  leave_guarded();
  const int saved_errno = errno;
  if (info->si_code > 0) {
    runtime::goroutine_view g{};
    runtime::thread_view t{};
    if (runtime::current(g, t) &&
        is_overflow(g, reinterpret_cast<std::uintptr_t>(info->si_addr), stack_pointer(context))) {
      report_stack_overflow(g.stack_high - g.stack_low - arch::guard_size);
    }
  }
  errno = saved_errno;
  pass_on(signal, info, context);
}

void install_fault_handler() noexcept {
  // The old actions first: our handler may run the moment it is installed.
  system_sigaction(SIGSEGV, nullptr, &previous_segv);
  system_sigaction(SIGBUS, nullptr, &previous_bus);
  struct sigaction action {};
  action.sa_sigaction = &on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  system_sigaction(SIGSEGV, &action, nullptr);
  system_sigaction(SIGBUS, &action, nullptr);
}

void on_quit(int) {
  const int saved_errno = errno;
  runtime::request_dump();
  errno = saved_errno;
}

void install_quit_handler() noexcept {
  struct sigaction action {};
  if (system_sigaction(SIGQUIT, nullptr, &action) != 0 || (action.sa_flags & SA_SIGINFO) != 0 ||
      action.sa_handler != SIG_DFL) {
    return;
  }
  action = {};
  action.sa_handler = &on_quit;
  action.sa_flags = SA_RESTART | SA_ONSTACK | static_cast<int>(SA_RESETHAND);
  sigemptyset(&action.sa_mask);
  // Past a sanitizer, which would keep the signal from a thread that sleeps in the runtime.
  system_sigaction(SIGQUIT, &action, nullptr);
}

}  // namespace

int system_sigaction(int signal, const struct sigaction* action, struct sigaction* old) noexcept {
  using function = int (*)(int, const struct sigaction*, struct sigaction*);
  static const function real = [] {
    void* library =
        runtime::under_sanitizer() ? ::dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD) : nullptr;
    void* f = library != nullptr ? ::dlsym(library, "sigaction") : nullptr;
    return f != nullptr ? reinterpret_cast<function>(f) : &::sigaction;
  }();
  return real(signal, action, old);
}

}  // namespace runnel::debug

namespace runnel::runtime {

bool under_sanitizer() noexcept { return arch::asan_active() || &__tsan_acquire != nullptr; }

void install_report_handlers() {
  debug::install_terminate_handler();
  debug::install_quit_handler();
  debug::show_stacks_to_leak_sanitizer();
  debug::install_fault_handler();
}

void install_thread_signal_stack() {
  stack_t old{};
  if (::sigaltstack(nullptr, &old) != 0 || (old.ss_flags & SS_DISABLE) == 0) return;
  void* memory = ::mmap(nullptr, debug::signal_stack_size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  // Without one an overflow ends the program all the same, only without a report.
  if (memory == MAP_FAILED) return;
  stack_t stack{};
  stack.ss_sp = memory;
  stack.ss_size = debug::signal_stack_size;
  ::sigaltstack(&stack, nullptr);
}

void remove_thread_signal_stack() {
  stack_t old{};
  // One of another size is another's.
  if (::sigaltstack(nullptr, &old) != 0 || (old.ss_flags & SS_DISABLE) != 0 ||
      old.ss_size != debug::signal_stack_size) {
    return;
  }
  stack_t none{};
  none.ss_flags = SS_DISABLE;
  if (::sigaltstack(&none, nullptr) == 0) ::munmap(old.ss_sp, debug::signal_stack_size);
}

}  // namespace runnel::runtime

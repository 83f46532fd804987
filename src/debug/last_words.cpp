// Who writes. The thread that fails may hold any lock, malloc's among them (a stack often overflows
// in there), and may stand on what little is left of a stack. So the report is written by a
// bystander, the runtime's sysmon thread; the one that fails only walks its own stack, and waits.
// If the bystander does not begin, or does not end, the failing thread itself writes what can be
// written without allocating. Either way the program ends.
//
//   asked -> writing   by compare-and-swap, whoever is to write: sysmon, or the thread that asked
#include "debug/last_words.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <cstddef>
#include <cstdio>
#include <ctime>
#include <new>
#include <runnel/detail/config.hpp>
#include <runnel/detail/fatal.hpp>
#include <thread>

#include "arch/sanitizer.hpp"
#include "debug/fault_guard.hpp"
#include "debug/report.hpp"
#include "runtime/hooks.hpp"
#include "runtime/inspect.hpp"

namespace runnel::debug {
namespace {

enum class stage : std::uint8_t { none, asked, writing };

constexpr int exit_status = 2;
constexpr int begin_patience_ms = 1000;
constexpr int end_patience_ms = 20'000;

std::atomic<pid_t> first{0};  // the thread whose report it is
std::atomic<stage> progress{stage::none};
// Written by the first thread before it asks.
ending words;
snapshot caller;
// The writer's. Static: it must be there when memory is exhausted; not made before it is needed: it
// would be half a megabyte of every program's file.
alignas(census) std::byte room_for_everyone[sizeof(census)];

// Not _exit: ThreadSanitizer's adds what it has to say of threads that were not joined.
[[noreturn]] void leave() noexcept {
  for (;;) ::syscall(SYS_exit_group, exit_status);
}

void flush_stdout() noexcept {
  // Its owner may be the thread that failed.
  if (::ftrylockfile(stdout) != 0) return;
  std::fflush(stdout);
  ::funlockfile(stdout);
}

/// False if a fault, or exhausted memory, cut it short.
template <class What>
bool write_guarded(report_writer& report, const What& what) noexcept {
  struct writing {
    report_writer& report;
    const What& what;
    bool done = false;
  } w{report, what};
  const auto body = [](void* argument) {
    writing& the = *static_cast<writing*>(argument);
    try {
      the.report.write(the.what);
      the.done = true;
    } catch (...) {
    }
  };
  return run_guarded(body, &w) && w.done;
}

// The stacks are taken between the parts, for guards do not nest. Neither the writer is ever
// destroyed, which a fault leaves half changed, nor what it reads.
bool write_whole(sink& out, effort how, bool all) noexcept {
  alignas(report_writer) static std::byte writers[2][sizeof(report_writer)];
  report_writer& report = *::new (writers[how == effort::full ? 0 : 1]) report_writer(out, how);
  if (words.caller && !write_guarded(report, caller)) return false;
  if (!all) return true;
  selection which;
  if (words.caller) which.except = &caller;
  census& everyone = *::new (room_for_everyone) census;
  take_census(everyone, which);
  do {
    if (!write_guarded(report, everyone)) return false;
  } while (take_next_part(everyone));
  return true;
}

void write_report(effort how) noexcept {
  flush_stdout();
  sink out(&sink::write_stderr, nullptr);
  for (std::string_view piece : words.headline) out.put(piece);
  out.put("\n\n").flush();
  const bool all = words.everyone || traceback_all();
  if (!write_whole(out, how, all) && how == effort::full) {
    out.put("\n[the report failed; once more without symbols]\n");
    write_whole(out, effort::quick, all);
  }
}

[[noreturn]] void write_and_exit_here(effort how) noexcept {
  arch::tsan_ignore_begin();
  write_report(how);
  arch::tsan_ignore_end();
  leave();
}

void sleep_ms() noexcept {
  const timespec t{0, 1'000'000};
  ::nanosleep(&t, nullptr);
}

[[noreturn]] void write_and_exit(effort how) noexcept {
  if (how == effort::full) {
    // libdw wants hundreds of kilobytes of stack, more than a goroutine or sysmon has.
    try {
      std::thread([] { write_and_exit_here(effort::full); }).join();
    } catch (...) {
      // No thread to be had: then without symbols.
    }
  }
  write_and_exit_here(effort::quick);
}

/// True for one caller.
bool claim() noexcept {
  stage expected = stage::asked;
  return progress.compare_exchange_strong(expected, stage::writing, std::memory_order_acq_rel);
}

/// Returns for the thread whose report it is to be.
void be_first() noexcept {
  pid_t nobody = 0;
  const pid_t me = ::gettid();
  if (first.compare_exchange_strong(nobody, me, std::memory_order_acq_rel) && runtime::freeze()) {
    return;
  }
  // A failure while reporting one: there is nothing more to say.
  if (nobody == me) leave();
  for (;;) ::pause();
}

}  // namespace

RUNNEL_NOINLINE void end_program(const ending& e) noexcept {
  be_first();
  words = e;
  if (e.caller) take_current(caller);
  const effort own = e.cramped ? effort::quick : effort::full;
  progress.store(stage::asked, std::memory_order_release);
  if (!runtime::request_dump()) write_and_exit(own);
  for (int i = 0; i < begin_patience_ms && progress.load(std::memory_order_acquire) == stage::asked;
       ++i) {
    sleep_ms();
  }
  if (claim()) write_and_exit(own);
  for (int i = 0; i < end_patience_ms; ++i) sleep_ms();
  write_and_exit(effort::quick);
}

void exit_silently() noexcept {
  flush_stdout();
  leave();
}

void report_stack_overflow(std::size_t limit) noexcept {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, limit).ptr;
  ending e;
  e.headline = {"fatal error: stack overflow\ngoroutine stack exceeds ",
                {digits, static_cast<std::size_t>(end - digits)},
                "-byte limit (see go_options::stack_size)"};
  e.cramped = true;
  end_program(e);
}

}  // namespace runnel::debug

namespace runnel::runtime {

void dump_and_exit() {
  if (debug::claim()) debug::write_and_exit(debug::effort::full);
  debug::be_first();
  debug::words.headline = {"SIGQUIT: quit"};
  debug::words.caller = false;
  debug::words.everyone = true;
  debug::write_and_exit(debug::effort::full);
}

void report_deadlock() {
  debug::ending e;
  e.headline = {"fatal error: all goroutines are asleep - deadlock!"};
  e.caller = false;
  e.everyone = true;
  debug::end_program(e);
}

}  // namespace runnel::runtime

namespace runnel::detail {

void throw_panic(const char* text) { throw panic(text); }

void fatal(const char* text) noexcept {
  debug::ending e;
  e.headline = {"fatal error: ", text};
  debug::end_program(e);
}

}  // namespace runnel::detail

// Protocol: one request at a time, in static storage because the answer may come late.
//   idle -> asked      the requester; tid and id were written before
//   asked -> walking   the handler, in the thread asked; it alone may write trace now
//   walking -> done    the handler
//   asked -> idle      the requester gave up; a handler that comes later does nothing
//   done -> idle       the requester has copied the trace
#include "debug/sample.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <ctime>

#include "debug/fault_guard.hpp"
#include "debug/signals.hpp"
#include "runtime/hooks.hpp"
#include "runtime/inspect.hpp"

namespace runnel::debug {
namespace {

enum class stage : std::uint8_t { idle, asked, walking, done };

std::atomic<stage> state{stage::idle};
std::atomic<pid_t> asked_tid{0};
std::atomic<std::uint64_t> asked_id{0};
backtrace answer;  // see the protocol
bool answer_fits = false;

// Walks from a frame of its own, whose unwind information leads through the signal frame into
// whatever was interrupted: a context switch, too, where the walk may go astray, hence the guard.
void walk(void*) {
  runtime::goroutine_view g{};
  runtime::thread_view t{};
  const std::uint64_t id = asked_id.load(std::memory_order_relaxed);
  answer_fits = id == 0 || (runtime::current(g, t) && g.id == id);
  if (answer_fits) capture_here(answer);
}

void on_request(int) {
  const int saved_errno = errno;
  stage expected = stage::asked;
  if (asked_tid.load(std::memory_order_relaxed) == ::gettid() &&
      state.compare_exchange_strong(expected, stage::walking, std::memory_order_acq_rel)) {
    answer_fits = false;
    answer.total = 0;
    run_guarded(&walk, nullptr);
    state.store(stage::done, std::memory_order_release);
  }
  errno = saved_errno;
}

using sigaction_function = int (*)(int, const struct sigaction*, struct sigaction*) noexcept;

// Takes a real-time signal that nobody uses; 0: there is none.
int take_signal(sigaction_function set) noexcept {
  for (int s = SIGRTMAX - 1; s > SIGRTMIN; --s) {
    struct sigaction action {};
    if (set(s, nullptr, &action) != 0 || (action.sa_flags & SA_SIGINFO) != 0 ||
        action.sa_handler != SIG_DFL) {
      continue;
    }
    action.sa_handler = &on_request;
    action.sa_flags = SA_RESTART | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    if (set(s, &action, nullptr) != 0) continue;
    // qemu-user takes a handler for signals that it cannot send. This one finds nothing asked.
    if (::syscall(SYS_tgkill, ::getpid(), ::gettid(), s) == 0) return s;
    action.sa_handler = SIG_DFL;
    set(s, &action, nullptr);
  }
  return 0;
}

// Chosen when first needed, and kept: an answer may come late. A thread asleep in the library may
// be interrupted past ThreadSanitizer, which would wait for a system call of its own: it is in no
// function of ThreadSanitizer's. One that runs may be.
int signal_for_goroutines() noexcept {
  static const int chosen = take_signal(&::sigaction);
  return chosen;
}
int signal_for_threads() noexcept {
  static const int chosen = [] {
    const int other = signal_for_goroutines();  // first, so that the two differ
    return runtime::under_sanitizer() ? take_signal(&system_sigaction) : other;
  }();
  return chosen;
}

void nap(long ns) noexcept {
  const timespec t{0, ns};
  ::nanosleep(&t, nullptr);
}

bool ask(pid_t tid, std::uint64_t id, std::int64_t patience_ns, backtrace& trace) noexcept {
  const int signal = id != 0 ? signal_for_goroutines() : signal_for_threads();
  if (signal == 0) return false;
  asked_tid.store(tid, std::memory_order_relaxed);
  asked_id.store(id, std::memory_order_relaxed);
  state.store(stage::asked, std::memory_order_release);
  constexpr long step = 20'000;
  bool sent = ::syscall(SYS_tgkill, ::getpid(), tid, signal) == 0;
  for (std::int64_t waited = 0; sent && waited < patience_ns; waited += step) {
    if (state.load(std::memory_order_acquire) == stage::done) break;
    nap(step);
  }
  stage expected = stage::asked;
  if (state.compare_exchange_strong(expected, stage::idle, std::memory_order_acq_rel)) return false;
  // It has begun, and a walk does not take long.
  while (state.load(std::memory_order_acquire) != stage::done) nap(step);
  const bool fits = answer_fits && answer.total > 0;
  if (fits) trace = answer;
  state.store(stage::idle, std::memory_order_release);
  return fits;
}

}  // namespace

bool sample(pid_t tid, std::uint64_t id, std::int64_t patience_ns, backtrace& trace) noexcept {
  static std::atomic<bool> busy{false};
  if (tid == 0 || tid == ::gettid() || busy.exchange(true, std::memory_order_acquire)) return false;
  const bool got = ask(tid, id, patience_ns, trace);
  busy.store(false, std::memory_order_release);
  return got;
}

}  // namespace runnel::debug

// fork MODE: children of a process whose runtime is at work.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <runnel/chan.hpp>
#include <runnel/context.hpp>
#include <runnel/go.hpp>
#include <runnel/runtime.hpp>
#include <runnel/select.hpp>
#include <runnel/time.hpp>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using runnel::chan;

namespace {

// AddressSanitizer and ThreadSanitizer (of GCC 12) leave the locks of their malloc to a child as
// they are: nobody may allocate while another forks, as a processor does for the first timer armed
// on it.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
auto for_a_moment() { return runnel::otherwise(); }
#else
auto for_a_moment() { return runnel::on_timeout(50us); }
#endif

// Goroutines that send, receive, sleep and spin all the time, until stopped.
class crowd {
 public:
  crowd() {
    for (int i = 0; i < 8; ++i) {
      runnel::go([this, i] {
        while (!stop_) {
          runnel::select(runnel::on_send(c_, i), runnel::on_recv(c_), for_a_moment());
          if (i % 2 == 0) runnel::yield();
          ++turns_;
        }
        --alive_;
      });
    }
    while (turns_ < 1000) runnel::sleep_for(1ms);
  }
  crowd(const crowd&) = delete;
  crowd& operator=(const crowd&) = delete;
  ~crowd() {
    stop_ = true;
    while (alive_ > 0) runnel::sleep_for(1ms);
  }

 private:
  chan<int> c_;
  std::atomic<bool> stop_{false};
  std::atomic<int> alive_{8};
  std::atomic<long> turns_{0};
};

int status_of(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// What a child does with a runtime of its own.
[[noreturn]] void child_uses_the_runtime() {
  if (runnel::num_goroutine() != 0) ::_exit(10);
  const chan<int> c;
  for (int i = 0; i < 100; ++i) runnel::go([c, i] { c.send(i); });
  int sum = 0;
  for (int i = 0; i < 100; ++i) sum += *c.recv();
  runnel::sleep_for(1ms);
  if (runnel::select(runnel::on_recv(c), runnel::on_timeout(1ms)) != 1) ::_exit(11);
  if (runnel::run([] { return 5; }) != 5) ::_exit(12);
  ::_exit(sum == 4950 ? 0 : 13);
}

int child_execs() {
  const crowd c;
  for (int i = 0; i < 20; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::execl("/bin/true", "true", nullptr);
      ::_exit(20);
    }
    if (status_of(child) != 0) return 1;
  }
  std::puts("OK");
  return 0;
}

// ThreadSanitizer takes a quarter of a second for each fork.
#if defined(__SANITIZE_THREAD__)
constexpr int children = 20;
#else
constexpr int children = 100;
#endif

int child_uses_it() {
  const crowd c;
  for (int i = 0; i < children; ++i) {
    const pid_t child = ::fork();
    if (child == 0) child_uses_the_runtime();
    if (const int status = status_of(child); status != 0) {
      std::printf("child: %d\n", status);
      return 1;
    }
  }
  std::puts("OK");
  return 0;
}

int fork_from_a_goroutine() {
  const crowd c;
  const int result = runnel::run([] {
    for (int i = 0; i < 20; ++i) {
      const pid_t child = ::fork();
      if (child == 0) {
        ::execl("/bin/true", "true", nullptr);
        ::_exit(20);
      }
      if (const int status = runnel::blocking([&] { return status_of(child); })) return status;
    }
    return 0;
  });
  std::puts(result == 0 ? "OK" : "failed");
  return result;
}

int fork_before_first_use() {
  const pid_t child = ::fork();
  if (child == 0) child_uses_the_runtime();
  if (status_of(child) != 0) return 1;
  if (runnel::run([] { return 1; }) != 1) return 2;
  std::puts("OK");
  return 0;
}

// Timers and time-outs that the forking thread has set are not the child's: there they can be
// stopped, set anew and ended like any that is not armed.
int child_ends_old_timers() {
  runnel::timer waited_for(1h);
  runnel::timer unasked(1ms);
  runnel::ticker ticker(1h);
  runnel::timer function = runnel::after_func(1h, [] {});
  const auto [ctx, cancel] = runnel::with_timeout(runnel::background(), 1h);
  runnel::select(runnel::on_recv(waited_for.c()), runnel::on_recv(ticker.c()),
                 runnel::on_timeout(1ms));
  const pid_t child = ::fork();
  if (child == 0) {
    if (runnel::stats().timers != 1) ::_exit(12);  // `unasked`
    runnel::sleep_for(1ms);                        // another entry in the place of the old ones
    if (function.stop() || waited_for.stop()) ::_exit(10);
    ticker.reset(1ms);
    ticker.c().recv();
    ticker.reset(1h);
    if (waited_for.reset(1ms)) ::_exit(11);
    waited_for.c().recv();
    unasked.c().recv();
    cancel();
    ctx.done().recv();
    { const runnel::timer ended = std::move(waited_for); }
    ::_exit(0);
  }
  if (const int status = status_of(child); status != 0) {
    std::printf("child: %d\n", status);
    return 1;
  }
  std::puts("OK");
  return function.stop() && waited_for.stop() ? 0 : 1;
}

// A child that returns from main without having touched the library.
int child_returns() {
  const crowd c;
  std::fflush(stdout);
  const pid_t child = ::fork();
  if (child == 0) std::exit(0);
  if (status_of(child) != 0) return 1;
  std::puts("OK");
  return 0;
}

int child_deadlock_is_reported() {
  const crowd c;
  const pid_t child = ::fork();
  if (child == 0) {
    chan<int>().recv();
    ::_exit(0);
  }
  std::printf("%d\n", status_of(child));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::map<std::string, int (*)()> modes{
      {"child_execs", child_execs},
      {"child_uses_it", child_uses_it},
      {"fork_from_a_goroutine", fork_from_a_goroutine},
      {"fork_before_first_use", fork_before_first_use},
      {"child_ends_old_timers", child_ends_old_timers},
      {"child_returns", child_returns},
      {"child_deadlock_is_reported", child_deadlock_is_reported},
  };
  const auto mode = modes.find(argc > 1 ? argv[1] : "");
  if (mode == modes.end()) return 64;
  return mode->second();
}

// crash MODE: stack overflows, which are reported, and other faults, which are the program's own
// and must stay what they are.
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <runnel/chan.hpp>
#include <runnel/go.hpp>
#include <runnel/sync.hpp>
#include <runnel/time.hpp>
#include <string>

using namespace std::chrono_literals;

// Recurses until the stack is used up; named in the reports.
[[gnu::noinline]] int dive(int depth) {
  volatile char frame[512];
  frame[0] = static_cast<char>(depth);
  return depth < 0 ? 0 : dive(depth + 1) + frame[0];
}

[[gnu::noinline]] int dive_in_large_steps(int depth) {
  volatile char frame[12'000];  // less than a guard, so that no step can jump over it
  frame[0] = static_cast<char>(depth);
  frame[sizeof frame - 1] = frame[0];
  return depth < 0 ? 0 : dive_in_large_steps(depth + 1) + frame[0];
}

namespace {

void wait_for_the_end() { runnel::sleep_for(1h); }

void overflow() {
  runnel::go([] { std::printf("%d\n", dive(0)); });
  wait_for_the_end();
}
void overflow_named() {
  runnel::go({.name = "digger"}, [] { std::printf("%d\n", dive(0)); });
  wait_for_the_end();
}
void overflow_of_a_large_stack() {
  runnel::go({.stack_size = 4 << 20}, [] { std::printf("%d\n", dive(0)); });
  wait_for_the_end();
}
void overflow_in_large_steps() {
  runnel::go([] { std::printf("%d\n", dive_in_large_steps(0)); });
  wait_for_the_end();
}
void overflow_after_parks() {
  runnel::go([] {
    for (int i = 0; i < 100; ++i) runnel::yield();
    runnel::sleep_for(1ms);
    std::printf("%d\n", dive(0));
  });
  wait_for_the_end();
}
// Stacks are used again; a guard must still be there the hundredth time.
void overflow_of_a_recycled_stack() {
  for (int i = 0; i < 100; ++i) runnel::run([] {});
  runnel::run([] { std::printf("%d\n", dive(0)); });
}
// The fault is what is tested, which the undefined behaviour sanitizer would forestall.
__attribute__((no_sanitize("undefined"))) void write_to_null() {
  volatile int* volatile p = nullptr;
  *p = 1;
}
void null_in_goroutine() {
  runnel::go([] { write_to_null(); });
  wait_for_the_end();
}
void null_in_main() {
  runnel::run([] {});
  write_to_null();
}
void abort_in_goroutine() {
  runnel::go([] { std::abort(); });
  wait_for_the_end();
}
// As a program would that writes to `head`.
void broken_pipe_in_goroutine() {
  std::signal(SIGPIPE, SIG_DFL);
  int ends[2];
  if (::pipe(ends) != 0) std::abort();
  ::close(ends[0]);
  runnel::go([to = ends[1]] { (void)!::write(to, "x", 1); });
  wait_for_the_end();
}
void own_handler() {
  std::signal(SIGSEGV, [](int) { std::_Exit(33); });
  runnel::go([] { write_to_null(); });
  wait_for_the_end();
}
void own_handler_installed_later() {
  runnel::run([] {});
  own_handler();
}
void unlock_unlocked() {
  runnel::go([] {
    runnel::mutex m;
    m.unlock();
  });
  wait_for_the_end();
}
void unlock_unlocked_on_main() {
  runnel::mutex m;
  m.unlock();
}

}  // namespace

int main(int argc, char** argv) {
  const std::map<std::string, void (*)()> modes{
      {"overflow", overflow},
      {"overflow_named", overflow_named},
      {"overflow_of_a_large_stack", overflow_of_a_large_stack},
      {"overflow_in_large_steps", overflow_in_large_steps},
      {"overflow_after_parks", overflow_after_parks},
      {"overflow_of_a_recycled_stack", overflow_of_a_recycled_stack},
      {"null_in_goroutine", null_in_goroutine},
      {"null_in_main", null_in_main},
      {"abort_in_goroutine", abort_in_goroutine},
      {"broken_pipe_in_goroutine", broken_pipe_in_goroutine},
      {"own_handler", own_handler},
      {"own_handler_installed_later", own_handler_installed_later},
      {"unlock_unlocked", unlock_unlocked},
      {"unlock_unlocked_on_main", unlock_unlocked_on_main},
  };
  const auto mode = modes.find(argc > 1 ? argv[1] : "");
  if (mode == modes.end()) return 64;
  mode->second();
  std::puts("not reached");
}

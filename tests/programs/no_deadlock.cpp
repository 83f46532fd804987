// no_deadlock MODE: everything in runnel sleeps for a while, but somebody will wake it: a timer, a
// plain thread, a blocked system call, a signal. There must be no report; prints OK.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <runnel/chan.hpp>
#include <runnel/go.hpp>
#include <runnel/select.hpp>
#include <runnel/time.hpp>
#include <string>
#include <thread>

using namespace std::chrono_literals;
using runnel::chan;

namespace {

constexpr auto long_enough = 400ms;

void sleeping_goroutine() {
  const chan<int> c;
  runnel::go([c] {
    runnel::sleep_for(long_enough);
    c.send(1);
  });
  c.recv();
}

void sleeping_main() {
  runnel::go([] { runnel::sleep_for(100ms); });
  runnel::sleep_for(long_enough);
}

void select_with_a_timeout() { runnel::select(runnel::on_timeout(long_enough)); }

void timer_channel() { runnel::after(long_enough).recv(); }

void after_func_only() {
  const chan<int> c;
  runnel::after_func(long_enough, [c] { c.send(1); });
  c.recv();
}

void plain_thread_outside() {
  const chan<int> c;
  std::thread thread([c] {
    std::this_thread::sleep_for(long_enough);
    c.send(1);
  });
  c.recv();
  thread.join();
}

// The plain thread has used the library before and is now busy elsewhere.
void plain_thread_that_was_inside() {
  const chan<int> c;
  std::thread thread([c] {
    c.recv();
    std::this_thread::sleep_for(long_enough);
    c.send(1);
  });
  c.send(1);
  c.recv();
  thread.join();
}

void main_outside() {
  const chan<int> c;
  runnel::go([c] { c.recv(); });
  std::this_thread::sleep_for(long_enough);  // main is a plain thread and could wake it
  c.send(1);
}

void announced_system_call() {
  int fds[2];
  if (::pipe(fds) != 0) std::abort();
  const chan<int> c;
  runnel::go([c, fd = fds[0]] {
    char byte = 0;
    if (runnel::blocking([&] { return ::read(fd, &byte, 1); }) == 1) c.send(1);
  });
  runnel::go([fd = fds[1]] {
    runnel::blocking([] { std::this_thread::sleep_for(long_enough); });
    if (::write(fd, "x", 1) != 1) std::abort();
  });
  c.recv();
}

void hidden_system_call() {
  const chan<int> c;
  runnel::go([c] {
    ::usleep(400'000);
    c.send(1);
  });
  c.recv();
}

void hidden_system_calls_everywhere() {
  const chan<int> c;
  for (int i = 0; i < 20; ++i) {
    runnel::go([c] {
      ::usleep(400'000);
      c.send(1);
    });
  }
  for (int i = 0; i < 20; ++i) c.recv();
}

void busy_goroutine() {
  const chan<int> c;
  runnel::go([c] {
    const auto end = std::chrono::steady_clock::now() + long_enough;
    while (std::chrono::steady_clock::now() < end) {
    }
    c.send(1);
  });
  c.recv();
}

void locked_goroutine_sleeps() {
  runnel::run([] {
    runnel::this_goroutine::lock_os_thread();
    runnel::sleep_for(long_enough);
  });
}

}  // namespace

int main(int argc, char** argv) {
  const std::map<std::string, void (*)()> modes{
      {"sleeping_goroutine", sleeping_goroutine},
      {"sleeping_main", sleeping_main},
      {"select_with_a_timeout", select_with_a_timeout},
      {"timer_channel", timer_channel},
      {"after_func_only", after_func_only},
      {"plain_thread_outside", plain_thread_outside},
      {"plain_thread_that_was_inside", plain_thread_that_was_inside},
      {"main_outside", main_outside},
      {"announced_system_call", announced_system_call},
      {"hidden_system_call", hidden_system_call},
      {"hidden_system_calls_everywhere", hidden_system_calls_everywhere},
      {"busy_goroutine", busy_goroutine},
      {"locked_goroutine_sleeps", locked_goroutine_sleeps},
  };
  if (argc < 2) {
    for (const auto& mode : modes) std::puts(mode.first.c_str());
    return 0;
  }
  const auto mode = modes.find(argv[1]);
  if (mode == modes.end()) return 64;
  mode->second();
  std::puts("OK");
}

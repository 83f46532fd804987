// diag_reports MODE: reports beyond the plain cases of panic, deadlock, crash and dump; what must
// be reported is in the .expected files.
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <map>
#include <runnel/chan.hpp>
#include <runnel/diag.hpp>
#include <runnel/go.hpp>
#include <runnel/time.hpp>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using runnel::chan;

// At namespace scope and not inlined, so that the stacks in the reports name them.
[[gnu::noinline]] void receive_here(const chan<int>& c) {
  c.recv();
  asm volatile("");  // no tail call
}
[[gnu::noinline]] void start_child(const chan<int>& c) {
  runnel::go([c] { receive_here(c); });
  asm volatile("");
}
[[gnu::noinline]] void throw_at_depth(int n) {
  if (n == 0) throw std::runtime_error("deep");
  throw_at_depth(n - 1);
  asm volatile("");
}
[[gnu::noinline]] void grow(std::size_t n) {
  if (n == SIZE_MAX) return;
  std::vector<std::string> kept;
  for (std::size_t i = 0; i < 8; ++i) kept.emplace_back((n * 37 + i * 131) % 3000, 'x');
  grow(n + kept.size());
  asm volatile("");
}

namespace {

void wait_for_the_end() { runnel::sleep_for(1h); }

void terminate_called() { std::terminate(); }
void terminate_in_goroutine() {
  runnel::go({.name = "doomed"}, [] { std::terminate(); });
  wait_for_the_end();
}
void joinable_thread_destroyed() {
  const std::thread t([] { std::this_thread::sleep_for(1h); });
}
void in_plain_thread() {
  std::thread([] { throw_at_depth(2); }).join();
}
void text_of_two_lines() { throw std::runtime_error("first\nsecond"); }
void text_is_empty() { throw std::runtime_error(""); }
void type_in_a_namespace() {
  struct local_error : std::runtime_error {
    using std::runtime_error::runtime_error;
  };
  throw local_error("gone");
}
void derived_from_panic() {
  struct my_panic : runnel::panic {
    using runnel::panic::panic;
  };
  throw my_panic("refined");
}
void handler_throws() {
  runnel::on_panic([](const std::exception_ptr&) { throw std::logic_error("of the handler"); });
  throw_at_depth(0);
}
void handler_withdrawn() {
  runnel::on_panic([](const std::exception_ptr&) { std::puts("must not run"); });
  runnel::on_panic(nullptr);
  throw_at_depth(0);
}
void handler_that_parks() {
  runnel::on_panic([n = 2](const std::exception_ptr&) mutable {
    runnel::sleep_for(5ms);
    std::printf("handled %d", ++n);
  });
  runnel::go([] { throw_at_depth(0); });
  wait_for_the_end();
}
void stdout_is_flushed() {
  std::printf("said before");
  runnel::go([] { throw_at_depth(0); });
  wait_for_the_end();
}
void panic_while_main_sleeps() {
  runnel::go([] {
    for (std::string text; text.find("main thread [sleep") == std::string::npos;) {
      std::ostringstream out;
      runnel::dump_goroutines(out);
      text = out.str();
    }
    throw_at_depth(0);
  });
  wait_for_the_end();
}
void deep_stack() {
  runnel::go([] { throw_at_depth(200); });
  wait_for_the_end();
}
void many_goroutines() {
  const chan<int> c;
  for (int i = 0; i < 300; ++i) runnel::go([c] { receive_here(c); });
  c.recv();
}
void more_goroutines_than_are_shown() {
  const chan<int> c;
  for (int i = 0; i < 10'003; ++i) runnel::go([c] { receive_here(c); });
  c.recv();
}
void grandchild() {
  const chan<int> c;
  runnel::go({.name = "parent"}, [c] {
    start_child(c);
    receive_here(c);
  });
  c.recv();
}
void locked() {
  const chan<int> c;
  runnel::go([c] {
    runnel::this_goroutine::lock_os_thread();
    receive_here(c);
  });
  c.recv();
}
void overflow_in_malloc() {
  runnel::go([] { grow(0); });
  wait_for_the_end();
}
void quit_ignored() {
  std::signal(SIGQUIT, SIG_IGN);
  runnel::run([] { runnel::sleep_for(1s); });
  std::puts("went on");
}
void quit_handled() {
  std::signal(SIGQUIT, [](int) {
    static constexpr char text[] = "handled\n";
    if (::write(STDOUT_FILENO, text, sizeof text - 1) > 0) ::_exit(7);
  });
  wait_for_the_end();
}
void leak() {
  const chan<int> c;
  {
    const runnel::leak_check check(20ms);
    runnel::go({.name = "leaky"}, [c] { receive_here(c); });
  }
  std::puts("went on");
}

}  // namespace

int main(int argc, char** argv) {
  const std::map<std::string, void (*)()> modes{
      {"terminate_called", terminate_called},
      {"terminate_in_goroutine", terminate_in_goroutine},
      {"joinable_thread_destroyed", joinable_thread_destroyed},
      {"in_plain_thread", in_plain_thread},
      {"text_of_two_lines", text_of_two_lines},
      {"text_is_empty", text_is_empty},
      {"type_in_a_namespace", type_in_a_namespace},
      {"derived_from_panic", derived_from_panic},
      {"handler_throws", handler_throws},
      {"handler_withdrawn", handler_withdrawn},
      {"handler_that_parks", handler_that_parks},
      {"stdout_is_flushed", stdout_is_flushed},
      {"panic_while_main_sleeps", panic_while_main_sleeps},
      {"deep_stack", deep_stack},
      {"many_goroutines", many_goroutines},
      {"more_goroutines_than_are_shown", more_goroutines_than_are_shown},
      {"grandchild", grandchild},
      {"locked", locked},
      {"overflow_in_malloc", overflow_in_malloc},
      {"quit_ignored", quit_ignored},
      {"quit_handled", quit_handled},
      {"leak", leak},
  };
  const auto mode = modes.find(argc > 1 ? argv[1] : "");
  if (mode == modes.end()) return 64;
  mode->second();
}

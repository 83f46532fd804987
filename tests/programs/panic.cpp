// panic MODE: ends by an exception nobody caught, in the way MODE names; what must be reported is
// in the .expected files.
#include <chrono>
#include <cstdio>
#include <exception>
#include <map>
#include <memory>
#include <new>
#include <runnel/chan.hpp>
#include <runnel/go.hpp>
#include <runnel/runtime.hpp>
#include <runnel/select.hpp>
#include <runnel/sync.hpp>
#include <runnel/time.hpp>
#include <stdexcept>
#include <string>
#include <thread>

using namespace std::chrono_literals;
using runnel::chan;

struct not_an_exception {
  int code;
};

// At namespace scope and not inlined, so that the stacks in the reports name them.
[[gnu::noinline]] void throw_boom() { throw std::runtime_error("boom"); }
[[gnu::noinline]] void calls_throw_boom() {
  throw_boom();
  asm volatile("");  // no tail call
}

namespace {

// The program would go on for ever if nobody ended it.
void wait_for_the_end() { runnel::sleep_for(1h); }

void in_goroutine() {
  runnel::go([] { calls_throw_boom(); });
  wait_for_the_end();
}
void in_named_goroutine() {
  runnel::go({.name = "worker 3"}, [] { calls_throw_boom(); });
  wait_for_the_end();
}
void in_main() { calls_throw_boom(); }
void in_main_before_the_runtime() { throw std::logic_error("too early"); }
void in_run() {
  runnel::run([] { throw_boom(); });
}
void after_parks() {
  runnel::go([] {
    runnel::yield();
    runnel::sleep_for(5ms);
    const runnel::defer d{[] { std::puts("unwound or not"); }};
    calls_throw_boom();
  });
  wait_for_the_end();
}
void of_type_int() {
  runnel::go([] { throw 42; });
  wait_for_the_end();
}
void of_own_type() {
  runnel::go([] { throw not_an_exception{3}; });
  wait_for_the_end();
}
void bad_alloc() {
  runnel::go([] { throw std::bad_alloc(); });
  wait_for_the_end();
}
void closed_channel() {
  runnel::go([] {
    const chan<int> c;
    c.close();
    c.send(1);
  });
  wait_for_the_end();
}
void own_panic() {
  runnel::go([] { throw runnel::panic("my own words"); });
  wait_for_the_end();
}
void negative_wait_group() {
  runnel::go([] {
    runnel::wait_group g;
    g.done();
  });
  wait_for_the_end();
}
void in_wait_group_go() {
  runnel::wait_group g;
  g.go([] { throw_boom(); });
  g.wait();
  std::_Exit(3);  // the counter stays up until the program has ended
}
void in_after_func() {
  runnel::after_func(1ms, [] { throw_boom(); });
  wait_for_the_end();
}
void in_select_handler() {
  runnel::go([] {
    const chan<int> c(1);
    c.send(1);
    runnel::select(runnel::on_recv(c, [](int) { throw_boom(); }));
  });
  wait_for_the_end();
}
void through_noexcept() {
  runnel::go([]() noexcept { throw_boom(); });
  wait_for_the_end();
}
void rethrown() {
  runnel::go([] {
    try {
      throw_boom();
    } catch (const std::exception&) {
      runnel::yield();
      throw;
    }
  });
  wait_for_the_end();
}
void goexit_on_main() { runnel::goexit(); }

void handled(void (*throws)()) {
  runnel::on_panic([](std::exception_ptr e) {
    try {
      std::rethrow_exception(e);
    } catch (const std::exception& x) {
      std::printf("handler: %s\n", x.what());
    } catch (int i) {
      std::printf("handler: int %d\n", i);
    }
    std::fflush(stdout);
  });
  throws();
}
void handler_for_goroutine() { handled(in_goroutine); }
void handler_for_main() { handled(in_main); }
void handler_for_int() { handled(of_type_int); }

// Go's TestIssue76126: wait() does not return while the report is still under way.
void wait_during_the_report() {
  runnel::on_panic([](std::exception_ptr) {
    std::puts("reporting");
    runnel::sleep_for(50ms);
  });
  in_wait_group_go();
}

void many_at_once() {
  for (int i = 0; i < 50; ++i) runnel::go([] { throw_boom(); });
  wait_for_the_end();
}

}  // namespace

int main(int argc, char** argv) {
  const std::map<std::string, void (*)()> modes{
      {"in_goroutine", in_goroutine},
      {"in_named_goroutine", in_named_goroutine},
      {"in_main", in_main},
      {"in_main_before_the_runtime", in_main_before_the_runtime},
      {"in_run", in_run},
      {"after_parks", after_parks},
      {"of_type_int", of_type_int},
      {"of_own_type", of_own_type},
      {"bad_alloc", bad_alloc},
      {"closed_channel", closed_channel},
      {"own_panic", own_panic},
      {"negative_wait_group", negative_wait_group},
      {"in_wait_group_go", in_wait_group_go},
      {"in_after_func", in_after_func},
      {"in_select_handler", in_select_handler},
      {"through_noexcept", through_noexcept},
      {"rethrown", rethrown},
      {"goexit_on_main", goexit_on_main},
      {"handler_for_goroutine", handler_for_goroutine},
      {"handler_for_main", handler_for_main},
      {"handler_for_int", handler_for_int},
      {"wait_during_the_report", wait_during_the_report},
      {"many_at_once", many_at_once},
  };
  const auto mode = modes.find(argc > 1 ? argv[1] : "");
  if (mode == modes.end()) return 64;
  mode->second();
  std::puts("not reached");
}

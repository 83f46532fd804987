// deadlock MODE: ends in the deadlock that MODE names; what must be reported is in the .expected
// files. Modelled on Go's runtime/testdata/testprog/deadlock.go.
#include <chrono>
#include <cstdio>
#include <map>
#include <runnel/chan.hpp>
#include <runnel/go.hpp>
#include <runnel/select.hpp>
#include <runnel/sync.hpp>
#include <runnel/time.hpp>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using runnel::chan;

namespace {

void wait_for_ever_here(const chan<int>& c) { c.recv(); }

void main_receives() { chan<int>().recv(); }
void main_sends() { chan<int>().send(1); }
void main_sends_to_full() {
  const chan<int> c(1);
  c.send(1);
  c.send(2);
}
void main_receives_from_nil() { chan<int>(nullptr).recv(); }
void main_sends_to_nil() { chan<int>(nullptr).send(1); }
void main_selects() {
  runnel::select(runnel::on_recv(chan<int>()), runnel::on_send(chan<int>(), 1));
}
void main_selects_nothing() { runnel::select(); }
void main_selects_nil() { runnel::select(runnel::on_recv(chan<int>(nullptr))); }
void main_waits_for_group() {
  runnel::wait_group group;
  group.add();
  group.wait();
}
void main_locks_twice() {
  runnel::mutex m;
  m.lock();
  m.lock();
}

void goroutine_receives() {
  runnel::run([] { wait_for_ever_here(chan<int>()); });
}

void several_goroutines() {
  const chan<int> c;
  const chan<int> nil = nullptr;
  const chan<int> full(1);
  full.send(0);
  runnel::go({.name = "receiver"}, [c] { c.recv(); });
  runnel::go({.name = "sender"}, [full] { full.send(1); });
  runnel::go({.name = "nil receiver"}, [nil] { nil.recv(); });
  runnel::go({.name = "nil sender"}, [nil] { nil.send(1); });
  runnel::go({.name = "selector"},
             [c, nil] { runnel::select(runnel::on_recv(c), runnel::on_send(nil, 1)); });
  runnel::go({.name = "empty selector"}, [] { runnel::select(); });
  runnel::go([c] { wait_for_ever_here(c); });
  chan<int>().recv();
}

void started_from_a_function() {
  struct server {
    static void start(const chan<int>& c) {
      runnel::go({.name = "server"}, [c] { wait_for_ever_here(c); });
    }
  };
  server::start(chan<int>());
  chan<int>().recv();
}

// Goroutines that are done by then are not in the report.
void after_work() {
  const chan<int> c;
  for (int i = 0; i < 100; ++i) runnel::go([c, i] { c.send(i); });
  for (int i = 0; i < 100; ++i) c.recv();
  runnel::sleep_for(20ms);
  c.recv();
}

void locked_to_threads() {
  runnel::go([] {
    runnel::this_goroutine::lock_os_thread();
    runnel::select();
  });
  runnel::sleep_for(1ms);
  runnel::run([] {
    runnel::this_goroutine::lock_os_thread();
    runnel::select();
  });
}

// Every plain thread is asleep in the library, too: nobody is left who could wake anyone.
void plain_threads_too() {
  const chan<int> c;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) threads.emplace_back([c] { c.recv(); });
  runnel::go([c] { c.recv(); });
  c.recv();
}

void threads_that_have_ended() {
  const chan<int> c(10);
  for (int i = 0; i < 5; ++i) std::thread([c] { c.send(1); }).join();
  for (int i = 0; i < 6; ++i) c.recv();
}

// With RUNNEL_DEBUG=ignorethreads=1: for all the library knows this one could send.
void ignored_threads() {
  std::thread([] {
    for (;;) std::this_thread::sleep_for(1s);
  }).detach();
  const chan<int> c;
  c.recv();
}

void after_blocking_calls() {
  const chan<int> c;
  for (int i = 0; i < 5; ++i) {
    runnel::go([c] {
      runnel::blocking([] { std::this_thread::sleep_for(20ms); });
      c.send(1);
    });
  }
  for (int i = 0; i < 6; ++i) c.recv();
}

void crossed_locks() {
  static runnel::mutex a;
  static runnel::mutex b;
  const chan<void> both;
  const chan<void> proceed;
  const auto lock = [both, proceed](runnel::mutex& first, runnel::mutex& second) {
    first.lock();
    both.send();
    proceed.recv();  // each holds its first before either asks for its second
    second.lock();
  };
  runnel::go([lock] { lock(a, b); });
  runnel::go([lock] { lock(b, a); });
  both.recv();
  both.recv();
  proceed.close();
  runnel::select();
}

void timer_that_is_stopped() {
  runnel::timer t(1h);
  t.stop();
  t.c().recv();
}

// As in Go since 1.23: what nobody waits for wakes nobody.
void ticker_that_nobody_listens_to() {
  const runnel::ticker k(10ms);
  const chan<int> never;
  never.recv();
}

}  // namespace

int main(int argc, char** argv) {
  const std::map<std::string, void (*)()> modes{
      {"main_receives", main_receives},
      {"main_sends", main_sends},
      {"main_sends_to_full", main_sends_to_full},
      {"main_receives_from_nil", main_receives_from_nil},
      {"main_sends_to_nil", main_sends_to_nil},
      {"main_selects", main_selects},
      {"main_selects_nothing", main_selects_nothing},
      {"main_selects_nil", main_selects_nil},
      {"main_waits_for_group", main_waits_for_group},
      {"main_locks_twice", main_locks_twice},
      {"goroutine_receives", goroutine_receives},
      {"several_goroutines", several_goroutines},
      {"started_from_a_function", started_from_a_function},
      {"after_work", after_work},
      {"locked_to_threads", locked_to_threads},
      {"plain_threads_too", plain_threads_too},
      {"threads_that_have_ended", threads_that_have_ended},
      {"ignored_threads", ignored_threads},
      {"after_blocking_calls", after_blocking_calls},
      {"crossed_locks", crossed_locks},
      {"timer_that_is_stopped", timer_that_is_stopped},
      {"ticker_that_nobody_listens_to", ticker_that_nobody_listens_to},
  };
  const auto mode = modes.find(argc > 1 ? argv[1] : "");
  if (mode == modes.end()) return 64;
  mode->second();
  std::puts("not reached");
}

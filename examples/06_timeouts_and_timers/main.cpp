// Time-outs and timers: give up after a while, do it later, do it again and again.
#include <chrono>
#include <iostream>
#include <runnel/runnel.hpp>
#include <string_view>

using namespace std::chrono_literals;
using std::chrono::steady_clock;

// The reply has room for one: the goroutine can answer and end even when nobody listens any more.
runnel::recv_chan<int> ask(runnel::recv_chan<void> before_answering) {
  runnel::chan<int> reply(1);
  runnel::go([=] {
    before_answering.recv();
    reply.send(42);
  });
  return reply;
}

void give_up() {
  runnel::chan<void> go_on;
  const auto print = [](int answer) { std::cout << "answer: " << answer << '\n'; };
  const auto complain = [] { std::cout << "no answer within 20 ms\n"; };

  const auto slow = ask(go_on);
  runnel::select(runnel::on_recv(slow, print), runnel::on_timeout(20ms, complain));
  go_on.close();
  const auto fast = ask(go_on);
  runnel::select(runnel::on_recv(fast, print), runnel::on_timeout(1min, complain));
}

void later() {
  runnel::timer timer(1h);
  std::cout << "stopped in time: " << std::boolalpha << timer.stop() << '\n';
  timer.reset(1ms);
  timer.c().recv();
  std::cout << "fired after reset\n";

  runnel::chan<void> called;
  const runnel::timer unused = runnel::after_func(1ms, [=] { called.send(); });
  called.recv();
  std::cout << "function called\n";
}

void again_and_again() {
  const auto begin = steady_clock::now();
  runnel::ticker ticker(10ms);
  for (int i = 0; i < 3; ++i) ticker.c().recv();
  std::cout << "3 ticks in 30 ms or more: " << (steady_clock::now() - begin >= 30ms) << '\n';
}

// on_timeout(50ms) would start anew in every round and never fire: each tick comes first.
void until_a_deadline() {
  runnel::ticker ticker(1ms);
  const auto deadline = steady_clock::now() + 50ms;
  bool over = false;
  while (!over) {
    runnel::select(runnel::on_recv(ticker.c()),
                   runnel::on_deadline(deadline, [&] { over = true; }));
  }
  std::cout << "deadline kept between ticks\n";
}

// The mistake: no room for the reply. Who has given up never receives it, and the sender leaks.
void leak_the_late_answer() {
  const runnel::leak_check check;  // reports at the end of the scope
  runnel::chan<int> reply;
  runnel::chan<void> gave_up;
  runnel::go({.name = "too late"}, [=] {
    gave_up.recv();
    reply.send(42);
  });
  runnel::select(runnel::on_recv(reply), runnel::on_timeout(20ms));
  gave_up.close();
  std::cout << "goroutines left: " << runnel::num_goroutine() << std::endl;
}

int main(int argc, char** argv) {
  if (argc > 1 && argv[1] == std::string_view("--mistake")) return leak_the_late_answer(), 0;
  give_up();
  later();
  again_and_again();
  until_a_deadline();
}

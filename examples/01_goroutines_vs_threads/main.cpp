// Goroutines and threads: ten thousand goroutines are an ordinary number, and both kinds share
// channels.
#include <atomic>
#include <chrono>
#include <iostream>
#include <runnel/runnel.hpp>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

// All of them are alive before the gate opens: ten thousand stacks, of one page each.
long add_with_goroutines(long n) {
  runnel::chan<void> gate;
  runnel::wait_group wg;
  std::atomic<long> sum = 0;
  for (long i = 1; i <= n; ++i) {
    wg.go([&, i] {
      gate.recv();
      sum += i;
    });
  }
  gate.close();
  wg.wait();
  return sum;
}

// A thread costs the kernel a hundred times as much, so there are four, and each gets a large
// share.
long add_with_threads(long n) {
  std::atomic<long> sum = 0;
  {
    std::vector<std::jthread> threads;
    for (long t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (long i = t + 1; i <= n; i += 4) sum += i;
      });
    }
  }
  return sum;
}

// A goroutine parks where a thread would sleep; apart from that a channel serves both alike.
std::string thread_to_goroutine() {
  runnel::chan<std::string> question, answer;
  runnel::go([=] { answer.send("echo of " + *question.recv()); });
  std::jthread thread([=] { question.send("a thread"); });
  return *answer.recv();
}

// The mistake: nobody waits. When main returns, the program ends and its goroutines with it.
int forget_to_wait() {
  runnel::go([] {
    runnel::sleep_for(1s);
    std::cout << "never printed\n";
  });
  std::cout << "main returns and its goroutine dies unheard\n";
  return 0;
}

int main(int argc, char** argv) {
  if (argc > 1 && argv[1] == std::string_view("--mistake")) return forget_to_wait();
  std::cout << "10000 at one gate: " << add_with_goroutines(10'000) << '\n';
  std::cout << "4 threads: " << add_with_threads(10'000) << '\n';
  std::cout << "across both: " << thread_to_goroutine() << '\n';
}

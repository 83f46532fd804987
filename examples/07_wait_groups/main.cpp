// Wait groups: start many, wait for all of them.
#include <atomic>
#include <cstddef>
#include <iostream>
#include <runnel/runnel.hpp>
#include <string_view>
#include <vector>

// wg.go counts before the goroutine starts and uncounts when it ends, also by an exception.
void each_into_its_own_place() {
  std::vector<int> squares(6);
  runnel::wait_group wg;
  for (std::size_t i = 0; i < squares.size(); ++i) {
    wg.go([&squares, i] { squares[i] = static_cast<int>(i * i); });
  }
  wg.wait();  // everything they wrote is visible now: no mutex is needed
  std::cout << "squares:";
  for (int square : squares) std::cout << ' ' << square;
  std::cout << '\n';
}

// By hand: add before `go`, never inside it, and done by defer, whichever way the function ends.
void count_by_hand() {
  std::atomic<int> even = 0;
  runnel::wait_group wg;
  for (int i = 1; i <= 100; ++i) {
    wg.add();
    runnel::go([&, i] {
      const runnel::defer done{[&] { wg.done(); }};
      if (i % 2 != 0) return;
      ++even;
    });
  }
  wg.wait();
  std::cout << "even numbers: " << even << '\n';
}

// Any number may wait, and when all have been woken the group can be used again.
void several_wait() {
  runnel::wait_group started, ready;
  std::atomic<int> waited = 0;
  started.add();
  for (int i = 0; i < 3; ++i) {
    ready.go([&] {
      started.wait();
      ++waited;
    });
  }
  started.done();
  ready.wait();
  std::cout << "waited: " << waited << '\n';
}

// The mistake: an early return skips done, and wait never comes back.
void skip_done() {
  runnel::wait_group wg;
  for (int i = 1; i <= 3; ++i) {
    wg.add();
    runnel::go([&wg, i] {
      if (i == 2) return;
      wg.done();
    });
  }
  wg.wait();
}

int main(int argc, char** argv) {
  if (argc > 1 && argv[1] == std::string_view("--mistake")) skip_done();
  each_into_its_own_place();
  count_by_hand();
  several_wait();
}

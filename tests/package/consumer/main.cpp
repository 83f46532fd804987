// Uses what lives on both sides of the library's border: templates, compiled code, an exception
// that crosses it. `consumer race` has a data race, for the race build to report.
#include <iostream>
#include <runnel/runnel.hpp>
#include <string_view>

namespace {

int sum_of_squares(int n) {
  const runnel::chan<int> squares(4);
  runnel::go([=] {
    for (int i = 1; i <= n; ++i) squares.send(i * i);
    squares.close();
  });
  int sum = 0;
  for (const int square : squares) sum += square;
  return sum;
}

std::string_view panic_text(std::string_view expected) {
  const runnel::chan<int> closed;
  closed.close();
  try {
    closed.send(1);
  } catch (const runnel::panic& p) {
    return p.what() == expected ? "caught" : "another text";
  }
  return "no panic";
}

int unordered_increments() {
  int counter = 0;
  const runnel::chan<void> done;
  for (int i = 0; i < 2; ++i) {
    runnel::go([&counter, done] {
      ++counter;
      done.send();
    });
  }
  done.recv();
  done.recv();
  return counter;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "race") {
    std::cout << "counter " << unordered_increments() << '\n';
    return 0;
  }
  std::cout << "sum " << sum_of_squares(10) << ", panic " << panic_text("send on closed channel")
            << '\n';
}

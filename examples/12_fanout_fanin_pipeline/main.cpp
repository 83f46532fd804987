// Pipelines: stages joined by channels; several goroutines share a slow stage, and their results
// merge.
#include <algorithm>
#include <iostream>
#include <numeric>
#include <runnel/runnel.hpp>
#include <string_view>
#include <vector>

void print(std::string_view title, const std::vector<int>& numbers) {
  std::cout << title;
  for (int number : numbers) std::cout << ' ' << number;
  std::cout << '\n';
}

std::vector<int> sorted(std::vector<int> numbers) {
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

// A stage owns its output: it alone sends there, and it closes what it owns, however it ends.
runnel::recv_chan<int> count(const runnel::context& ctx, int up_to) {
  runnel::chan<int> out;
  runnel::go([=] {
    const runnel::defer close{[&] { out.close(); }};
    for (int i = 1; i <= up_to; ++i) {
      if (runnel::select(runnel::on_send(out, i), runnel::on_done(ctx)) == 1) return;
    }
  });
  return out;
}

runnel::recv_chan<int> square(const runnel::context& ctx, const runnel::recv_chan<int>& in) {
  runnel::chan<int> out;
  runnel::go([=] {
    const runnel::defer close{[&] { out.close(); }};
    for (int i : in) {
      if (runnel::select(runnel::on_send(out, i * i), runnel::on_done(ctx)) == 1) return;
    }
  });
  return out;
}

// Fan-out: three squarers read one channel. Fan-in: merge closes its output after the last of them.
void by_hand() {
  auto [ctx, cancel] = runnel::with_cancel(runnel::background());
  const auto numbers = count(ctx, 9);
  const auto merged =
      runnel::merge(ctx, square(ctx, numbers), square(ctx, numbers), square(ctx, numbers));
  print("by hand:", sorted(runnel::collect(merged)));
}

// The same in one line, and once more with the results in the order of their inputs.
void by_the_library() {
  std::vector<int> numbers(9);
  std::iota(numbers.begin(), numbers.end(), 1);
  const auto twice = [](int i) { return i * 2; };

  auto [ctx, cancel] = runnel::with_cancel(runnel::background());
  print("unordered:",
        sorted(runnel::generate(ctx, numbers) | runnel::transform(3, twice) | runnel::collect()));
  print("ordered:",
        runnel::generate(ctx, numbers) | runnel::transform_ordered(3, twice) | runnel::collect());
}

// Who has seen enough cancels; every stage is waiting on ctx too, so none is left behind.
void stop_early() {
  runnel::leak_check check;
  int first = 0;
  {
    auto [ctx, cancel] = runnel::with_cancel(runnel::background());
    first = *square(ctx, count(ctx, 1'000'000)).recv();
  }
  std::cout << "first: " << first << ", left behind: " << check.leaked() << '\n';
}

// The mistake: closing the merged channel when the input is done instead of when the senders are.
void close_too_early() {
  const runnel::chan<int> in(3), merged;
  const runnel::chan<void> started;
  for (int i = 1; i <= 3; ++i) in.send(i);
  in.close();
  runnel::go([=] {
    for (int i : in) {
      started.send();
      merged.send(i * i);
    }
  });
  started.recv();
  merged.close();
  started.recv();
}

int main(int argc, char** argv) {
  if (argc > 1 && argv[1] == std::string_view("--mistake")) close_too_early();
  by_hand();
  by_the_library();
  stop_early();
}

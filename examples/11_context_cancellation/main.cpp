// Contexts: one handle tells a whole tree of goroutines that the work is no longer wanted.
#include <atomic>
#include <chrono>
#include <iostream>
#include <runnel/runnel.hpp>
#include <string>
#include <string_view>

using namespace std::chrono_literals;

// A worker that can be told to stop has one more case in each of its waits.
int sum_until_cancelled(const runnel::context& ctx, const runnel::recv_chan<int>& numbers) {
  int sum = 0;
  while (runnel::select(runnel::on_recv(numbers, [&](int n) { sum += n; }), runnel::on_done(ctx)) ==
         0) {
  }
  return sum;
}

void cancel_the_workers() {
  auto [ctx, cancel] = runnel::with_cancel(runnel::background());
  const runnel::chan<int> numbers;
  std::atomic<int> total = 0;
  runnel::wait_group wg;
  for (int worker = 0; worker < 3; ++worker) {
    wg.go([&, ctx = ctx] { total += sum_until_cancelled(ctx, numbers); });
  }
  for (int n = 1; n <= 10; ++n) numbers.send(n);
  cancel();
  wg.wait();
  std::cout << "workers stopped after " << total << ": " << ctx.err().message() << '\n';
}

// Without a call of cancel the context ends with its scope: what Go's `defer cancel()` is for.
void run_out_of_time() {
  auto [ctx, cancel] = runnel::with_timeout(runnel::background(), 20ms);
  const runnel::chan<int> never;
  sum_until_cancelled(ctx, never);
  std::cout << "query: " << ctx.err().message() << '\n';
}

void print_alive(std::string_view when, const runnel::context& root, const runnel::context& branch,
                 const runnel::context& leaf) {
  std::cout << when << ':' << (root.err() ? "" : " root") << (branch.err() ? "" : " branch")
            << (leaf.err() ? "" : " leaf") << '\n';
}

// Cancelling goes down the tree, never up.
void cancel_a_branch() {
  auto [root, cancel_root] = runnel::with_cancel(runnel::background());
  auto [branch, cancel_branch] = runnel::with_cancel(root);
  auto [leaf, cancel_leaf] = runnel::with_timeout(branch, 1h);
  print_alive("alive", root, branch, leaf);
  cancel_branch();
  print_alive("alive after cancel", root, branch, leaf);
}

// A value travels with the request; the key's address is its identity, so no two libraries clash.
const runnel::context_key<std::string> user("user");

void greet(const runnel::context& ctx) {
  const std::string* name = ctx.value(user);
  std::cout << "hello, " << (name ? *name : "stranger") << '\n';
}

void carry_a_value() {
  greet(runnel::background());
  greet(runnel::with_value(runnel::background(), user, std::string("gopher")));
}

// The mistake: a worker that takes a context and never looks at it.
void ignore_the_context() {
  const runnel::leak_check check;  // reports at the end of the scope
  auto [ctx, cancel] = runnel::with_cancel(runnel::background());
  const runnel::chan<int> numbers;
  runnel::go({.name = "deaf"}, [ctx = ctx, numbers] {
    while (numbers.recv()) {
    }
  });
  cancel();
  std::cout << "goroutines left: " << runnel::num_goroutine() << std::endl;
}

int main(int argc, char** argv) {
  if (argc > 1 && argv[1] == std::string_view("--mistake")) return ignore_the_context(), 0;
  cancel_the_workers();
  run_out_of_time();
  cancel_a_branch();
  carry_a_value();
}

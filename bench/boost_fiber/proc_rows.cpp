// The rows of spawning and yielding.
#include "harness.hpp"

namespace peer {
namespace {

/// Each fiber starts the next one, n times; the last one reports.
void create_next(int64_t n, countdown& all) {
  if (n == 0) return all.done();
  spawn([n, &all] { create_next(n - 1, all); });
}

sample create_chains(int64_t n, int chains) {
  const auto start = clock_type::now();
  countdown all(chains);
  for (int i = 0; i < chains; ++i) spawn([&, n] { create_next(n / chains, all); });
  all.wait();
  return {since(start)};
}

sample create(int64_t n) { return create_chains(n, 1); }
sample create_parallel(int64_t n) { return create_chains(n, procs); }

sample create_single(int64_t n) {
  const auto start = clock_type::now();
  countdown all(n);
  for (int64_t i = 0; i < n; ++i) spawn([&] { all.done(); });
  all.wait();
  return {since(start)};
}

sample create_capture(int64_t n) {
  constexpr int at_once = 4;
  std::atomic<bool> wrong{false};
  const auto start = clock_type::now();
  for (int64_t i = 0; i < n; ++i) {
    countdown all(at_once);
    for (int j = 0; j < at_once; ++j) {
      spawn([&, j] {
        if (j >= at_once) wrong = true;
        all.done();
      });
    }
    all.wait();
  }
  const double seconds = since(start);
  require(!wrong, "captured the wrong value");
  return {seconds};
}

sample yields(int64_t n) {
  return share(2 * procs, n, [](int64_t mine) {
    for (int64_t i = 0; i < mine; ++i) boost::this_fiber::yield();
  });
}

}  // namespace

std::vector<row> proc_rows() {
  return {
      {"CreateGoroutines", create},
      {"CreateGoroutinesParallel", create_parallel},
      {"CreateGoroutinesCapture", create_capture},
      {"CreateGoroutinesSingle", create_single},
      {"Yield", yields},
  };
}

}  // namespace peer

// White box: the records of OS threads and their numbers, by which objects are spread over threads.
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <runnel/detail/thread.hpp>
#include <runnel/go.hpp>
#include <runnel/sync/pool.hpp>
#include <thread>
#include <vector>

#include "support/test.hpp"

namespace {

/// What `number` says on each of so many threads that are alive at once; in order.
template <class F>
std::vector<std::size_t> on_threads(std::size_t n, F number) {
  std::vector<std::size_t> numbers(n);
  std::vector<std::thread> threads;
  std::atomic<std::size_t> here{0};
  for (std::size_t i = 0; i < n; ++i) {
    threads.emplace_back([&, i] {
      numbers[i] = number(*runnel::detail::attach_thread());
      ++here;
      while (here != n) std::this_thread::yield();
    });
  }
  for (auto& t : threads) t.join();
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

}  // namespace

// Two in one part would take its cache line from each other, as long as they live.
TEST(thread_records, alive_at_once_have_parts_of_their_own) {
  runnel::run([] {});
  const auto parts = on_threads(
      64, [](const runnel::detail::thread&) { return runnel::detail::thread_part(128); });
  EXPECT_EQ(std::adjacent_find(parts.begin(), parts.end()), parts.end());
}

// A program that begins and ends threads for ever stays with small numbers, and few records.
TEST(thread_records, are_used_again) {
  const auto number = [](const runnel::detail::thread& t) { return std::size_t{t.number}; };
  const std::size_t most = on_threads(64, number).back();
  for (int round = 0; round < 10; ++round) EXPECT_LE(on_threads(16, number).back(), most);
}

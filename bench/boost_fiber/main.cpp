// The rows of the benchmarks that Boost.Fiber has.
//
//     boost_fiber --list
//     boost_fiber NAME --procs P --time SECONDS
//
// One processor is the default round-robin scheduler; more are as many threads with the
// work-stealing one. Each line of the output is a name, a metric and its value.
#include <algorithm>
#include <cstring>
#include <iostream>
#include <latch>
#include <thread>

#include "harness.hpp"

namespace peer {
namespace {

std::vector<row> all_rows() {
  std::vector<row> all;
  for (const auto& group :
       {proc_rows(), chan_rows(), sync_rows(), time_rows(), program_rows(), scale_rows()})
    all.insert(all.end(), group.begin(), group.end());
  return all;
}

/// Repeats a row with more and more operations until one execution takes long enough, as `go test
/// -bench` does.
void measure(const row& r, double wanted) {
  for (int64_t n = 1;;) {
    const sample s = r.run(n);
    if (s.seconds >= wanted || n >= 1000000000) {
      std::cout << r.name << " ns/op " << s.seconds * 1e9 / static_cast<double>(n) / s.units
                << '\n';
      for (const auto& [metric, value] : s.extra)
        std::cout << r.name << ' ' << metric << ' ' << value << '\n';
      return;
    }
    const double next = wanted / std::max(s.seconds, 1e-9) * static_cast<double>(n) * 1.2;
    n = std::clamp(static_cast<int64_t>(std::min(next, 1e9)), n + 1, n * 100);
  }
}

/// The threads beside the main one: they do nothing but steal until the end.
class stealers {
 public:
  explicit stealers(thieves idle) : idle_(idle) {
    if (procs == 1) return;
    for (int i = 1; i < procs; ++i) {
      threads_.emplace_back([this] {
        take_part();
        std::unique_lock lock(mutex_);
        ended_.wait(lock, [&] { return end_; });
      });
    }
    take_part();
  }
  ~stealers() {
    {
      const std::lock_guard lock(mutex_);
      end_ = true;
    }
    ended_.notify_all();
    for (auto& thread : threads_) thread.join();
  }

 private:
  /// A thread must not look for work before all others have a queue to steal from.
  void take_part() {
    fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(static_cast<std::uint32_t>(procs),
                                                                  idle_ == thieves::sleep);
    registered_.arrive_and_wait();
  }

  thieves idle_;
  std::latch registered_{procs};
  std::vector<std::thread> threads_;
  fibers::mutex mutex_;
  fibers::condition_variable_any ended_;
  bool end_ = false;
};

}  // namespace
}  // namespace peer

int main(int argc, char** argv) {
  using namespace peer;
  const std::string name = argc > 1 ? argv[1] : "--list";
  double wanted = 0.2;
  for (int i = 2; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--procs") == 0) procs = std::atoi(argv[i + 1]);
    if (std::strcmp(argv[i], "--time") == 0) wanted = std::atof(argv[i + 1]);
  }
  for (const auto& r : all_rows()) {
    if (name == "--list") std::cout << r.name << '\n';
    if (name != r.name) continue;
    const stealers others(r.idle);
    measure(r, wanted);
  }
}

#include "harness.hpp"

#include <benchmark/benchmark.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace bench {

void run::start_timer() {
  if (running_) return;
  running_ = true;
  since_ = clock::now();
}

void run::stop_timer() {
  if (!running_) return;
  elapsed_ += clock::now() - since_;
  running_ = false;
}

void run::reset_timer() {
  elapsed_ = {};
  since_ = clock::now();
}

void run::require(bool condition, const char* what) {
  if (!condition) error_ = what;
}

double run::seconds() const { return std::chrono::duration<double>(elapsed_).count(); }

[[gnu::noinline, gnu::aligned(64), gnu::optimize("align-loops=64")]] void work(std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) asm volatile("" : "+r"(i));
}

std::uint64_t share::refill(std::atomic<std::uint64_t>& taken, std::uint64_t grain,
                            std::uint64_t all) {
  const std::uint64_t end = taken.fetch_add(grain, std::memory_order_relaxed) + grain;
  if (end <= all) return grain;
  return end < all + grain ? all + grain - end : 0;
}

namespace {

/// The grain of parallel rows: what takes about 100 us by the previous, shorter run of the same
/// row; at most 10000.
std::uint64_t next_grain(std::int64_t n, double seconds) {
  if (seconds <= 0) return 10000;
  return static_cast<std::uint64_t>(std::clamp(1e-4 * static_cast<double>(n) / seconds, 1.0, 1e4));
}

void execute(benchmark::State& state, void (*body)(run&), std::uint64_t& grain) {
  const std::int64_t n = state.max_iterations;
  while (state.KeepRunningBatch(n)) {
    run r(n, grain);
    runnel::run([&] {
      r.start_timer();
      body(r);
      r.stop_timer();
    });
    grain = next_grain(n, r.seconds());
    // A row of zero length would be repeated with ever more operations without end.
    state.SetIterationTime(std::max(r.seconds(), 1e-9));
    state.counters["ns_per_op"] = r.seconds() * 1e9 / static_cast<double>(n) / r.units();
    for (const auto& [name, value] : r.extra()) state.counters[name] = value;
    if (!r.error().empty()) state.SkipWithError(r.error().c_str());
  }
}

}  // namespace

row::row(const char* name, void (*body)(run&)) {
  benchmark::RegisterBenchmark(name, [body,
                                      grain = std::uint64_t{1}](benchmark::State& state) mutable {
    execute(state, body, grain);
  })->UseManualTime();
}

std::int64_t scaled(std::int64_t n) {
  const char* text = std::getenv("BENCH_SCALE");
  const long divisor = text == nullptr ? 1 : std::strtol(text, nullptr, 10);
  return divisor > 1 ? n / divisor : n;
}

std::int64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::int64_t size = 0;
  std::int64_t resident = 0;
  statm >> size >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

std::int64_t thread_switches() {
  std::int64_t sum = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream status(entry.path() / "status");
    for (std::string word; status >> word;) {
      if (word != "voluntary_ctxt_switches:") continue;
      std::int64_t count = 0;
      status >> count;
      sum += count;
    }
  }
  return sum;
}

}  // namespace bench

BENCHMARK_MAIN();

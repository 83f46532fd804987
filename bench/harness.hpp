// The harness of the benchmarks: a row is a body that does n operations, run on a goroutine, timed
// by this file's clock and repeated by Google Benchmark until one run takes long enough (as `go
// test -bench` does with b.N).
//
// The rows carry the names of their Go twins in bench/go, without the prefix Benchmark, and do the
// same operation: the same number of goroutines, the same channels, the same share-out of the n
// operations.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <runnel/go.hpp>
#include <runnel/runtime.hpp>
#include <runnel/sync.hpp>
#include <string>

namespace bench {

using clock = std::chrono::steady_clock;

/// One execution of a row. The clock runs from the start of the body to its end unless the body
/// stops it.
class run {
 public:
  run(std::int64_t n, std::uint64_t grain) : n_(n), grain_(grain) {}

  std::int64_t n() const { return n_; }
  std::uint64_t grain() const { return grain_; }

  void start_timer();
  void stop_timer();
  /// Forgets the time so far: what came before was preparation.
  void reset_timer();
  /// Declares that an operation consists of this many units and that the time of one unit is to be
  /// reported.
  void per_unit(double units) { units_ = units; }
  void report(const std::string& name, double value) { extra_[name] = value; }
  /// Ends the row with an error unless the condition holds: a benchmark that computes nonsense
  /// measures nothing.
  void require(bool condition, const char* what);

  double seconds() const;
  double units() const { return units_; }
  const std::map<std::string, double>& extra() const { return extra_; }
  const std::string& error() const { return error_; }

 private:
  std::int64_t n_;
  std::uint64_t grain_;
  double units_ = 1;
  bool running_ = false;
  clock::time_point since_{};
  clock::duration elapsed_{};
  std::map<std::string, double> extra_;
  std::string error_;
};

/// Registers a row; a namespace-scope object of every benchmark file.
class row {
 public:
  row(const char* name, void (*body)(run&));
};

/// Takes operations from the common stock in grains, as Go's testing.PB does; owned by one
/// goroutine.
class share {
 public:
  share(std::atomic<std::uint64_t>& taken, std::uint64_t grain, std::uint64_t all)
      : taken_(taken), grain_(grain), all_(all) {}

  bool next() {
    if (left_ == 0 && (left_ = refill(taken_, grain_, all_)) == 0) return false;
    --left_;
    return true;
  }

 private:
  // Not a member: left_ would have to lie in memory in every row's loop.
  static std::uint64_t refill(std::atomic<std::uint64_t>& taken, std::uint64_t grain,
                              std::uint64_t all);

  std::atomic<std::uint64_t>& taken_;
  std::uint64_t grain_;
  std::uint64_t all_;
  std::uint64_t left_ = 0;
};

/// Runs the body on per_proc * max_procs() goroutines that share the n operations between them
/// (b.RunParallel).
template <class Body>
void parallel(run& r, Body body, int per_proc = 1) {
  std::atomic<std::uint64_t> taken{0};
  const int goroutines = per_proc * runnel::max_procs();
  runnel::wait_group done;
  done.add(goroutines);
  for (int i = 0; i < goroutines; ++i) {
    runnel::go([&] {
      share mine(taken, r.grain(), static_cast<std::uint64_t>(r.n()));
      body(mine);
      done.done();
    });
  }
  done.wait();
}

/// The user work of the "Work" rows: n rounds of a counted loop and nothing else, which is what
/// Go's compiler leaves of the same rows, where zero is multiplied and divided. ControlWork1000
/// measures it alone: rounds take one or two cycles, depending on how the loop happens to lie. So
/// there is one loop for all rows, at the start of a cache line.
void work(std::int64_t n);

/// The same small generator in every language here, so that none pays for a better one.
class xorshift {
 public:
  explicit xorshift(std::uint64_t seed) : v_(seed) {}
  std::uint64_t next() {
    v_ ^= v_ << 13;
    v_ ^= v_ >> 7;
    v_ ^= v_ << 17;
    return v_;
  }

 private:
  std::uint64_t v_;
};

/// Divides the size of a whole program by BENCH_SCALE, which the driver sets for quick runs.
std::int64_t scaled(std::int64_t n);

/// The resident set of this process in bytes.
std::int64_t resident_bytes();

/// Voluntary context switches of all threads of this process since their start: an idle process
/// makes none.
std::int64_t thread_switches();

inline double nanoseconds_since(clock::time_point t) {
  return std::chrono::duration<double, std::nano>(clock::now() - t).count();
}

}  // namespace bench

// What every row of this program needs: the length of one execution, the spawning of fibers, a
// countdown.
#pragma once

#include <unistd.h>

#include <atomic>
#include <bit>
#include <boost/fiber/all.hpp>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace peer {

namespace fibers = boost::fibers;
using clock_type = std::chrono::steady_clock;
using fibers::fiber;
using std::int64_t;

/// Set once, before the row runs.
inline int procs = 1;

inline double since(clock_type::time_point t) {
  return std::chrono::duration<double>(clock_type::now() - t).count();
}

inline int64_t scaled(int64_t n) {
  const char* text = std::getenv("BENCH_SCALE");
  const long divisor = text == nullptr ? 1 : std::strtol(text, nullptr, 10);
  return divisor > 1 ? n / divisor : n;
}

inline double resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  double size = 0;
  double resident = 0;
  statm >> size >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

/// A benchmark that computes nonsense measures nothing.
inline void require(bool condition, const char* what) {
  if (condition) return;
  std::cerr << what << '\n';
  std::abort();
}

/// What one execution took; an operation may consist of many equal units.
struct sample {
  double seconds = 0;
  double units = 1;
  std::map<std::string, double> extra = {};
};

/// What a thread does while there is nothing to run or steal. Spinning pays for trees of fibers,
/// where it finds work soon, and is what the library's own performance tests do there; where fibers
/// pass messages it tears them apart, up to a hundred times slower.
enum class thieves { sleep, spin };

struct row {
  std::string name;
  sample (*run)(int64_t n);
  thieves idle = thieves::sleep;
};

std::vector<row> proc_rows();
std::vector<row> chan_rows();
std::vector<row> sync_rows();
std::vector<row> time_rows();
std::vector<row> program_rows();
std::vector<row> scale_rows();

/// As in the library's own performance tests.
inline std::size_t small_stack() { return 2 * fibers::fixedsize_stack::traits_type::page_size(); }

/// Small stacks that are used again and again. One thread takes them from a pool, which is not
/// thread safe; several take them from the heap.
class reused_stacks {
 public:
  template <class F>
  fiber start(fibers::launch policy, F f) {
    if (procs == 1) return fiber(policy, std::allocator_arg, pool_, std::move(f));
    return fiber(policy, std::allocator_arg, heap_, std::move(f));
  }

 private:
  fibers::pooled_fixedsize_stack pool_{small_stack()};
  fibers::fixedsize_stack heap_{small_stack()};
};

inline reused_stacks stacks;

/// A fiber that shares no thread with its starter's schedule: posted, not run at once.
template <class F>
void spawn(F f) {
  stacks.start(fibers::launch::post, std::move(f)).detach();
}

/// Waits until count fibers have reported.
class countdown {
 public:
  explicit countdown(int64_t count) : left_(count) {}
  void done() {
    if (--left_ > 0) return;
    const std::lock_guard lock(mutex_);
    zero_ = true;
    cond_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    cond_.wait(lock, [&] { return zero_; });
  }

 private:
  std::atomic<int64_t> left_;
  fibers::mutex mutex_;
  fibers::condition_variable cond_;
  bool zero_ = false;
};

/// Runs f on count fibers.
template <class F>
sample on_each(int64_t count, F f) {
  const auto start = clock_type::now();
  countdown all(count);
  for (int64_t g = 0; g < count; ++g) {
    spawn([&] {
      f();
      all.done();
    });
  }
  all.wait();
  return {since(start)};
}

/// Runs f on count fibers that share the n operations between them; f is told its part.
template <class F>
sample share(int64_t count, int64_t n, F f) {
  std::atomic<int64_t> taken{0};
  return on_each(count, [&] {
    const int64_t g = taken++;
    f(n / count + (g < n % count ? 1 : 0));
  });
}

/// How many slots make a buffered channel of this capacity: it needs a power of two and holds one
/// less.
inline std::size_t slots(int64_t capacity) {
  return std::bit_ceil(static_cast<std::size_t>(capacity) + 1);
}

}  // namespace peer

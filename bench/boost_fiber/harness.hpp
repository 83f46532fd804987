// What every row of this program needs: the length of one execution, the spawning of fibers, a
// countdown.
#pragma once

#include <unistd.h>

#include <atomic>
#include <boost/fiber/all.hpp>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <map>
#include <mutex>
#include <string>
#include <utility>

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

/// What one execution took; an operation may consist of many equal units.
struct sample {
  double seconds = 0;
  double units = 1;
  std::map<std::string, double> extra = {};
};

using body = sample (*)(int64_t n);

/// A fiber that shares no thread with its starter's schedule: posted, not run at once.
template <class F>
void spawn(F f) {
  fiber(fibers::launch::post, std::move(f)).detach();
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

}  // namespace peer

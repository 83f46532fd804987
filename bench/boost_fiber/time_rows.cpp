// The rows of sleeping, among 32768 fibers per processor that wait with a deadline.
#include "harness.hpp"

namespace peer {
namespace {

using namespace std::chrono_literals;

/// Fibers with an hour to wait, until this object ends: as many as a busy server has timers. A
/// sleeping fiber could not be woken, one that waits on a condition until a moment can.
class pending_sleepers {
 public:
  explicit pending_sleepers(int64_t each_proc) : gone_(procs * each_proc) {
    countdown here(procs * each_proc);
    const auto moment = clock_type::now() + 1h;
    const auto sleeper = [&, moment] {
      std::unique_lock lock(mutex_);
      here.done();
      end_.wait_until(lock, moment, [&] { return over_; });
      lock.unlock();
      gone_.done();
    };
    for (int p = 0; p < procs; ++p) {
      spawn([&, each_proc] {
        for (int64_t i = 0; i < each_proc; ++i) spawn(sleeper);
      });
    }
    here.wait();
    // The last one holds the mutex until it waits.
    const std::lock_guard lock(mutex_);
  }
  ~pending_sleepers() {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
      end_.notify_all();
    }
    gone_.wait();
  }

 private:
  fibers::mutex mutex_;
  fibers::condition_variable end_;
  bool over_ = false;
  countdown gone_;
};

template <class F>
sample among_sleepers(int64_t n, F f) {
  const pending_sleepers pending(1 << 15);
  return share(procs, n, f);
}

sample after(int64_t n) {
  return among_sleepers(n, [](int64_t mine) {
    for (int64_t i = 0; i < mine; ++i) boost::this_fiber::sleep_for(1ns);
  });
}

sample sleep_1000(int64_t n) {
  return among_sleepers(n, [](int64_t mine) {
    for (int64_t i = 0; i < mine; ++i) {
      on_each(1000, [] { boost::this_fiber::sleep_for(1ns); });
    }
  });
}

}  // namespace

std::vector<row> time_rows() { return {{"After", after}, {"Sleep1000", sleep_1000}}; }

}  // namespace peer

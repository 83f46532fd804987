// The rows of mutex, condition variable and waiting for an end.
#include "harness.hpp"

namespace peer {
namespace {

sample mutex_uncontended(int64_t n) {
  return share(procs, n, [](int64_t part) {
    fibers::mutex mine;
    for (int64_t i = 0; i < part; ++i) {
      mine.lock();
      mine.unlock();
    }
  });
}

template <int PerProc>
sample mutex_common(int64_t n) {
  fibers::mutex common;
  return share(PerProc * procs, n, [&](int64_t part) {
    for (int64_t i = 0; i < part; ++i) {
      common.lock();
      common.unlock();
    }
  });
}

/// The last of Waiters + 1 fibers to arrive wakes the others; every one does n arrivals.
template <int Waiters>
sample cond_rounds(int64_t n) {
  fibers::mutex mutex;
  fibers::condition_variable cond;
  int here = 0;
  return on_each(Waiters + 1, [&, n] {
    for (int64_t i = 0; i < n; ++i) {
      std::unique_lock lock(mutex);
      if (here == -1) break;
      if (++here == Waiters + 1) {
        here = 0;
        cond.notify_all();
      } else {
        cond.wait(lock);
      }
    }
    const std::lock_guard lock(mutex);
    here = -1;
    cond.notify_all();
  });
}

sample wait_for_end(int64_t n) {
  return share(procs, n, [](int64_t part) {
    for (int64_t i = 0; i < part; ++i) stacks.start(fibers::launch::dispatch, [] {}).join();
  });
}

}  // namespace

std::vector<row> sync_rows() {
  return {
      {"MutexUncontended", mutex_uncontended},
      {"Mutex", mutex_common<1>},
      {"MutexSlack", mutex_common<10>},
      {"Cond1", cond_rounds<1>},
      {"Cond2", cond_rounds<2>},
      {"Cond4", cond_rounds<4>},
      {"Cond8", cond_rounds<8>},
      {"Cond16", cond_rounds<16>},
      {"Cond32", cond_rounds<32>},
      {"WaitGroupActuallyWait", wait_for_end},
  };
}

}  // namespace peer

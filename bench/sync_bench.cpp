// The rows of Go's sync tests: mutex, reader-writer mutex, once, condition variable, wait group,
// pool.
#include <benchmark/benchmark.h>

#include <array>
#include <mutex>
#include <runnel/chan.hpp>
#include <shared_mutex>
#include <vector>

#include "harness.hpp"

namespace bench {
namespace {

const row mutex_uncontended{"MutexUncontended", [](run& r) {
                              parallel(r, [](share& mine) {
                                struct {
                                  runnel::mutex mu;
                                  std::array<char, 128> padding;
                                } own;
                                while (mine.next()) {
                                  own.mu.lock();
                                  own.mu.unlock();
                                }
                              });
                            }};

template <int PerProc, std::int64_t Load>
void mutex_pairs(run& r) {
  runnel::mutex mu;
  parallel(
      r,
      [&](share& mine) {
        while (mine.next()) {
          mu.lock();
          mu.unlock();
          work(Load);
        }
      },
      PerProc);
}

const row mutex_plain{"Mutex", mutex_pairs<1, 0>};
const row mutex_slack{"MutexSlack", mutex_pairs<10, 0>};
const row mutex_work{"MutexWork", mutex_pairs<1, 100>};
const row mutex_work_slack{"MutexWorkSlack", mutex_pairs<10, 100>};

struct account {
  runnel::mutex mu;
  std::uint64_t x = 0;
  std::uint64_t y = 0;

  void transfer() {
    std::lock_guard lock(mu);
    x -= 100;
    y += 100;
  }
};

/// Touches every fourth word, a half or a quarter of a first-level cache line away from the one
/// before.
void touch(std::vector<std::uint64_t>& data) {
  for (std::size_t k = 0; k < data.size(); k += 4) ++data[k];
  benchmark::DoNotOptimize(data.data());
  benchmark::ClobberMemory();
}

/// Spinning cannot pay, as every goroutine that does not hold the lock has work and switches.
const row mutex_no_spin{"MutexNoSpin", [](run& r) {
                          account common;
                          parallel(
                              r,
                              [&](share& mine) {
                                runnel::chan<bool> back;
                                std::vector<std::uint64_t> data(4 << 10);
                                for (int i = 0; mine.next(); ++i) {
                                  if (i % 4 == 0) {
                                    common.transfer();
                                    continue;
                                  }
                                  touch(data);
                                  runnel::go([back] { back.send(true); });
                                  (void)back.recv();
                                }
                              },
                              4);
                        }};

/// Spinning pays, as a switch would cost the goroutine its warm cache.
const row mutex_spin{"MutexSpin", [](run& r) {
                       account common;
                       parallel(r, [&](share& mine) {
                         std::vector<std::uint64_t> data(16 << 10);
                         while (mine.next()) {
                           common.transfer();
                           touch(data);
                         }
                       });
                     }};

const row rw_uncontended{"RWMutexUncontended", [](run& r) {
                           parallel(r, [](share& mine) {
                             struct {
                               runnel::shared_mutex mu;
                               std::array<char, 128> padding;
                             } own;
                             while (mine.next()) {
                               own.mu.lock_shared();
                               own.mu.lock_shared();
                               own.mu.unlock_shared();
                               own.mu.unlock_shared();
                               own.mu.lock();
                               own.mu.unlock();
                             }
                           });
                         }};

template <std::int64_t WriteEvery, std::int64_t Load>
void rw_mutex(run& r) {
  runnel::shared_mutex mu;
  const volatile std::int64_t parameter = WriteEvery;  // Go's rows divide by one
  const std::int64_t write_every = parameter;
  parallel(r, [&](share& mine) {
    for (std::int64_t turn = 1; mine.next(); ++turn) {
      if (turn % write_every == 0) {
        std::lock_guard lock(mu);
        continue;
      }
      std::shared_lock lock(mu);
      work(Load);
    }
  });
}

const row rw_write_100{"RWMutexWrite100", rw_mutex<100, 0>};
const row rw_write_10{"RWMutexWrite10", rw_mutex<10, 0>};
const row rw_work_write_100{"RWMutexWorkWrite100", rw_mutex<100, 100>};
const row rw_work_write_10{"RWMutexWorkWrite10", rw_mutex<10, 100>};

const row once{"Once", [](run& r) {
                 runnel::once_flag flag;
                 parallel(r, [&](share& mine) {
                   while (mine.next()) runnel::call_once(flag, [] {});
                 });
               }};

/// The last of Waiters + 1 goroutines to arrive wakes the others; every one does n arrivals.
template <int Waiters>
void cond_rounds(run& r) {
  runnel::mutex mu;
  runnel::condition_variable cond;
  int here = 0;
  const std::int64_t n = r.n();
  runnel::wait_group done;
  for (int g = 0; g <= Waiters; ++g) {
    done.add();
    runnel::go([&] {
      for (std::int64_t i = 0; i < n; ++i) {
        std::unique_lock lock(mu);
        if (here == -1) break;
        if (++here == Waiters + 1) {
          here = 0;
          cond.notify_all();
        } else {
          cond.wait(lock);
        }
      }
      {
        std::lock_guard lock(mu);
        here = -1;
        cond.notify_all();
      }
      done.done();
    });
  }
  done.wait();
}

const row cond_1{"Cond1", cond_rounds<1>};
const row cond_2{"Cond2", cond_rounds<2>};
const row cond_4{"Cond4", cond_rounds<4>};
const row cond_8{"Cond8", cond_rounds<8>};
const row cond_16{"Cond16", cond_rounds<16>};
const row cond_32{"Cond32", cond_rounds<32>};

const row wg_uncontended{"WaitGroupUncontended", [](run& r) {
                           parallel(r, [](share& mine) {
                             struct {
                               runnel::wait_group wg;
                               std::array<char, 128> padding;
                             } own;
                             while (mine.next()) {
                               own.wg.add();
                               own.wg.done();
                               own.wg.wait();
                             }
                           });
                         }};

template <std::int64_t Load>
void add_done(run& r) {
  runnel::wait_group wg;
  parallel(r, [&](share& mine) {
    while (mine.next()) {
      wg.add();
      work(Load);
      wg.done();
    }
  });
}

const row wg_add_done{"WaitGroupAddDone", add_done<0>};
const row wg_add_done_work{"WaitGroupAddDoneWork", add_done<100>};

template <std::int64_t Load>
void wait_zero(run& r) {
  runnel::wait_group wg;
  parallel(r, [&](share& mine) {
    while (mine.next()) {
      wg.wait();
      work(Load);
    }
  });
}

const row wg_wait{"WaitGroupWait", wait_zero<0>};
const row wg_wait_work{"WaitGroupWaitWork", wait_zero<100>};

const row wg_actually_wait{"WaitGroupActuallyWait", [](run& r) {
                             parallel(r, [](share& mine) {
                               while (mine.next()) {
                                 runnel::wait_group wg;
                                 wg.add();
                                 runnel::go([&] { wg.done(); });
                                 wg.wait();
                               }
                             });
                           }};

template <int Puts, int Gets>
void pool_rounds(run& r) {
  runnel::pool<int> pool([] { return 1; });
  parallel(r, [&](share& mine) {
    while (mine.next()) {
      for (int i = 0; i < Puts; ++i) pool.put(1);
      for (int i = 0; i < Gets; ++i) benchmark::DoNotOptimize(pool.get());
    }
  });
}

const row pool_pair{"Pool", pool_rounds<1, 1>};
const row pool_overflow{"PoolOverflow", pool_rounds<100, 100>};
const row pool_starvation{"PoolStarvation", pool_rounds<67, 100>};

}  // namespace
}  // namespace bench

// Whole programs with a million goroutines or millions of timers: what they cost in time and
// memory.
#include <algorithm>
#include <atomic>
#include <runnel/chan.hpp>
#include <runnel/go.hpp>
#include <runnel/time.hpp>
#include <thread>
#include <vector>

#include "harness.hpp"

namespace bench {
namespace {

using namespace std::chrono_literals;

/// What a million goroutines cost one by one: to start, to wake and end, and in resident bytes
/// while they wait.
struct crowd {
  double spawn = 0;
  double wake = 0;
  double bytes = 0;

  void report(run& r, std::int64_t goroutines) const {
    const double all = static_cast<double>(r.n()) * static_cast<double>(goroutines);
    r.report("spawn-ns", spawn / all);
    r.report("wake-ns", wake / all);
    r.report("bytes", bytes / all);
    r.report("ns_per_op", (spawn + wake) / all);
  }
};

/// A million goroutines park on one channel, which is then closed. The spawn time ends when all are
/// there.
const row parked{"Parked1M", [](run& r) {
                   const std::int64_t n = scaled(1000000);
                   crowd cost;
                   for (std::int64_t i = 0; i < r.n(); ++i) {
                     const std::int64_t before = resident_bytes();
                     runnel::chan<void> gate;
                     runnel::wait_group here;
                     runnel::wait_group gone;
                     here.add(static_cast<int>(n));
                     gone.add(static_cast<int>(n));
                     const auto start = clock::now();
                     for (std::int64_t g = 0; g < n; ++g) {
                       runnel::go([&] {
                         here.done();
                         gate.recv();
                         gone.done();
                       });
                     }
                     here.wait();
                     cost.spawn += nanoseconds_since(start);
                     cost.bytes += static_cast<double>(resident_bytes() - before);
                     const auto opened = clock::now();
                     gate.close();
                     gone.wait();
                     cost.wake += nanoseconds_since(opened);
                   }
                   cost.report(r, n);
                 }};

/// A million goroutines sleep until the same moment, five seconds after the start. The wake time is
/// counted from it.
const row sleepers{"Sleepers1M", [](run& r) {
                     const std::int64_t n = scaled(1000000);
                     crowd cost;
                     for (std::int64_t i = 0; i < r.n(); ++i) {
                       const std::int64_t before = resident_bytes();
                       runnel::wait_group here;
                       runnel::wait_group gone;
                       here.add(static_cast<int>(n));
                       gone.add(static_cast<int>(n));
                       const auto start = clock::now();
                       const auto moment = start + scaled(5000) * 1ms;
                       for (std::int64_t g = 0; g < n; ++g) {
                         runnel::go([&, moment] {
                           here.done();
                           runnel::sleep_until(moment);
                           gone.done();
                         });
                       }
                       here.wait();
                       cost.spawn += nanoseconds_since(start);
                       cost.bytes += static_cast<double>(resident_bytes() - before);
                       gone.wait();
                       cost.wake += nanoseconds_since(moment);
                     }
                     cost.report(r, n);
                   }};

void churn_timers(std::uint64_t seed, std::size_t alive, std::int64_t churn) {
  xorshift random(seed);
  const auto due = [&] { return 5s + std::chrono::nanoseconds(random.next() % 10'000'000'000ULL); };
  std::vector<runnel::timer> timers;
  timers.reserve(alive);
  for (std::size_t k = 0; k < alive; ++k) timers.push_back(runnel::after_func(due(), [] {}));
  for (std::int64_t i = 0; i < churn; ++i) {
    auto& timer = timers[random.next() % alive];
    timer.stop();
    timer = runnel::after_func(due(), [] {});
  }
  for (auto& timer : timers) timer.stop();
}

/// A hundred thousand timers are alive, due in 5 to 15 s; ten million times one of them is stopped
/// and replaced. The time is that of one replacement.
const row timer_churn{"TimerChurn10M", [](run& r) {
                        const std::int64_t alive = scaled(100000);
                        const std::int64_t churn = scaled(10000000);
                        const int procs = runnel::max_procs();
                        for (std::int64_t i = 0; i < r.n(); ++i) {
                          runnel::wait_group done;
                          for (int p = 0; p < procs; ++p) {
                            done.go([=] {
                              churn_timers(static_cast<std::uint64_t>(p) + 1,
                                           static_cast<std::size_t>(alive / procs), churn / procs);
                            });
                          }
                          done.wait();
                        }
                        r.per_unit(static_cast<double>(churn));
                      }};

/// An idle process with a hundred thousand parked goroutines: how often any of its threads wakes in
/// a second. Who looks sleeps outside of the scheduler, since waking up in it is what rouses the
/// monitor; the one switch of that sleep is not counted.
const row idle{"Idle100k", [](run& r) {
                 const std::int64_t n = scaled(100000);
                 runnel::chan<void> gate;
                 runnel::wait_group here;
                 runnel::wait_group gone;
                 here.add(static_cast<int>(n));
                 gone.add(static_cast<int>(n));
                 for (std::int64_t g = 0; g < n; ++g) {
                   runnel::go([&] {
                     here.done();
                     gate.recv();
                     gone.done();
                   });
                 }
                 here.wait();
                 runnel::blocking([&] {
                   std::this_thread::sleep_for(500ms);  // until spinning and the monitor have ended
                   const std::int64_t before = thread_switches();
                   const auto start = clock::now();
                   std::this_thread::sleep_for(1s);
                   const auto switches = static_cast<double>(thread_switches() - before - 1);
                   r.report("wakeups-per-s",
                            std::max(switches, 0.0) * 1e9 / nanoseconds_since(start));
                 });
                 gate.close();
                 gone.wait();
               }};

}  // namespace
}  // namespace bench

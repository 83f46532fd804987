// The rows of Go's time tests: timers, tickers and sleeps, among 32768 pending timers per
// processor.
#include <runnel/chan.hpp>
#include <runnel/time.hpp>
#include <vector>

#include "harness.hpp"

namespace bench {
namespace {

using namespace std::chrono_literals;

/// Runs the body in parallel while 32768 timers per processor are pending, as a busy server has
/// them.
template <class Body>
void among_timers(run& r, Body body) {
  const auto procs = static_cast<std::size_t>(runnel::max_procs());
  std::vector<std::vector<runnel::timer>> pending(procs);
  runnel::wait_group ready;
  for (auto& mine : pending) {
    ready.add();
    runnel::go([&] {
      mine.reserve(1 << 15);
      for (int i = 0; i < 1 << 15; ++i) mine.push_back(runnel::after_func(1h, [] {}));
      ready.done();
    });
  }
  ready.wait();
  r.reset_timer();
  parallel(r, body);
  r.stop_timer();
  for (auto& mine : pending) {
    for (auto& timer : mine) timer.stop();
  }
}

/// A thousand timers due at once, each set by the one before.
struct timer_chain {
  int left = 1000;
  runnel::chan<bool> done;

  void next() {
    if (--left >= 0) {
      runnel::after_func(0ns, [this] { next(); });
    } else {
      runnel::chan<bool> kept =
          done;  // the receiver may drop its handle while this send is still returning
      kept.send(true);
    }
  }
};

const row after_func{"AfterFunc1000", [](run& r) {
                       among_timers(r, [](share& mine) {
                         while (mine.next()) {
                           timer_chain chain;
                           runnel::after_func(0ns, [&] { chain.next(); });
                           (void)chain.done.recv();
                         }
                       });
                     }};

const row after{"After", [](run& r) {
                  among_timers(r, [](share& mine) {
                    while (mine.next()) (void)runnel::after(1ns).recv();
                  });
                }};

const row stop_chan{"StopChan", [](run& r) {
                      among_timers(r, [](share& mine) {
                        while (mine.next()) runnel::timer(1s).stop();
                      });
                    }};

const row stop_func{"StopFunc", [](run& r) {
                      among_timers(r, [](share& mine) {
                        while (mine.next()) runnel::after_func(1s, [] {}).stop();
                      });
                    }};

const row simultaneous{"SimultaneousAfterFunc1000", [](run& r) {
                         among_timers(r, [](share& mine) {
                           while (mine.next()) {
                             constexpr int n = 1000;
                             runnel::wait_group wg;
                             wg.add(n);
                             for (int i = 0; i < n; ++i)
                               runnel::after_func(0ns, [&] { wg.done(); });
                             wg.wait();
                           }
                         });
                       }};

const row start_stop{"StartStop1000", [](run& r) {
                       among_timers(r, [](share& mine) {
                         while (mine.next()) {
                           std::vector<runnel::timer> timers;
                           timers.reserve(1000);
                           for (int i = 0; i < 1000; ++i)
                             timers.push_back(runnel::after_func(1h, [] {}));
                           for (auto& timer : timers) timer.stop();
                         }
                       });
                     }};

const row reset_chan{"ResetChan", [](run& r) {
                       among_timers(r, [](share& mine) {
                         runnel::timer timer(1h);
                         while (mine.next()) timer.reset(1h);
                         timer.stop();
                       });
                     }};

const row reset_func{"ResetFunc", [](run& r) {
                       among_timers(r, [](share& mine) {
                         runnel::timer timer = runnel::after_func(1h, [] {});
                         while (mine.next()) timer.reset(1h);
                         timer.stop();
                       });
                     }};

const row sleep{"Sleep1000", [](run& r) {
                  among_timers(r, [](share& mine) {
                    while (mine.next()) {
                      constexpr int n = 1000;
                      runnel::wait_group wg;
                      wg.add(n);
                      for (int i = 0; i < n; ++i) {
                        runnel::go([&] {
                          runnel::sleep_for(1ns);
                          wg.done();
                        });
                      }
                      wg.wait();
                    }
                  });
                }};

const row tick{"Ticker", [](run& r) {
                 among_timers(r, [](share& mine) {
                   runnel::ticker ticker(1ns);
                   auto ticks = ticker.c();
                   while (mine.next()) (void)ticks.recv();
                   ticker.stop();
                 });
               }};

const row ticker_reset{"TickerReset", [](run& r) {
                         among_timers(r, [](share& mine) {
                           runnel::ticker ticker(1ns);
                           while (mine.next()) ticker.reset(2ns);
                           ticker.stop();
                         });
                       }};

const row ticker_naive{"TickerResetNaive", [](run& r) {
                         among_timers(r, [](share& mine) {
                           runnel::ticker ticker(1ns);
                           while (mine.next()) {
                             ticker.stop();
                             ticker = runnel::ticker(2ns);
                           }
                           ticker.stop();
                         });
                       }};

}  // namespace
}  // namespace bench

// The rows of Go's runtime/chan_test.go that use select.
#include <atomic>
#include <runnel/chan.hpp>
#include <runnel/select.hpp>
#include <runnel/time.hpp>
#include <vector>

#include "harness.hpp"

namespace bench {
namespace {

using runnel::chan;
using runnel::on_recv;
using runnel::on_send;
using runnel::otherwise;
using runnel::select;

using int_chan = chan<std::int64_t>;

const row nonblocking{"ChanNonblocking", [](run& r) {
                        int_chan ch;
                        parallel(r, [&](share& mine) {
                          while (mine.next()) select(on_recv(ch), otherwise());
                        });
                      }};

/// Waits for one of two channels and puts the token into the other.
void swap_token(share& mine, const int_chan& one, const int_chan& two) {
  one.send(0);
  while (mine.next()) {
    select(on_recv(one, [&] { two.send(0); }), on_recv(two, [&] { one.send(0); }));
  }
}

const row uncontended{"SelectUncontended", [](run& r) {
                        parallel(r, [](share& mine) {
                          int_chan one(1);
                          int_chan two(1);
                          swap_token(mine, one, two);
                        });
                      }};

const row async_contended{"SelectAsyncContended", [](run& r) {
                            const auto procs = static_cast<std::size_t>(runnel::max_procs());
                            int_chan one(procs);
                            int_chan two(procs);
                            parallel(r, [&](share& mine) { swap_token(mine, one, two); });
                          }};

const row sync_contended{
    "SelectSyncContended", [](run& r) {
      int_chan one;
      int_chan two;
      int_chan three;
      int_chan stop;
      parallel(r, [&](share& mine) {
        runnel::go([one, two, three, stop] {
          // The fourth case is the closed channel.
          while (select(on_send(one, 0), on_send(two, 0), on_send(three, 0), on_recv(stop)) < 3) {
          }
        });
        while (mine.next()) select(on_recv(one), on_recv(two), on_recv(three));
      });
      stop.close();
    }};

const row nonblock{"SelectNonblock", [](run& r) {
                     int_chan sync1;
                     int_chan sync2;
                     int_chan async1(1);
                     int_chan async2(1);
                     parallel(r, [&](share& mine) {
                       while (mine.next()) {
                         select(on_recv(sync1), otherwise());
                         select(on_send(sync2, 0), otherwise());
                         select(on_recv(async1), otherwise());
                         select(on_send(async2, 0), otherwise());
                       }
                     });
                   }};

constexpr std::int64_t batch = 1000;
constexpr std::int64_t load = 100;

void select_producer(std::atomic<std::int64_t>& left, const int_chan& ch, const chan<bool>& never) {
  auto hour = runnel::after(std::chrono::hours(1));
  while (--left >= 0) {
    for (int i = 0; i < batch; ++i) {
      work(load);
      select(on_send(ch, 1), on_recv(hour), on_recv(never));
    }
  }
  ch.send(0);
}

void select_consumer(const int_chan& ch, const chan<bool>& never) {
  auto hour = runnel::after(std::chrono::hours(1));
  for (std::int64_t got = 1;;) {
    select(on_recv(ch, got), on_recv(hour), on_recv(never));
    if (got == 0) return;
    work(load);
  }
}

const row prod_cons{"SelectProdCons", [](run& r) {
                      std::atomic<std::int64_t> left{r.n() / batch};
                      int_chan ch(128);
                      chan<bool> never;
                      runnel::wait_group done;
                      for (int p = 0; p < runnel::max_procs(); ++p) {
                        done.add(2);
                        runnel::go([&] {
                          select_producer(left, ch, never);
                          done.done();
                        });
                        runnel::go([&] {
                          select_consumer(ch, never);
                          done.done();
                        });
                      }
                      done.wait();
                    }};

/// A thousand goroutines select on one common and one own channel; each operation sends to all.
const row popular{"ChanPopular", [](run& r) {
                    constexpr int goroutines = 1000;
                    chan<bool> common;
                    std::vector<chan<bool>> own(goroutines);
                    runnel::wait_group done;
                    done.add(goroutines);
                    for (const auto& mine : own) {
                      runnel::go([&] {
                        for (std::int64_t i = 0; i < r.n(); ++i)
                          select(on_recv(common), on_recv(mine));
                        done.done();
                      });
                    }
                    for (std::int64_t i = 0; i < r.n(); ++i) {
                      for (const auto& mine : own) mine.send(true);
                    }
                    done.wait();
                  }};

const row closed{"ChanClosed", [](run& r) {
                   chan<void> ch;
                   ch.close();
                   std::atomic<bool> wrong{false};
                   parallel(r, [&](share& mine) {
                     while (mine.next()) {
                       if (select(on_recv(ch), otherwise()) != 0) wrong = true;
                     }
                   });
                   r.require(!wrong, "a closed channel was not ready");
                 }};

}  // namespace
}  // namespace bench

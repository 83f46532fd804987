// The rows of Go's runtime/chan_test.go that use channels without select.
#include <array>
#include <atomic>
#include <runnel/chan.hpp>
#include <vector>

#include "harness.hpp"

namespace bench {
namespace {

using runnel::chan;

struct struct0 {};
struct struct32 {
  std::array<std::int64_t, 4> v;
};
struct struct40 {
  std::array<std::int64_t, 5> v;
};

template <class T>
void make_chan(run& r) {
  chan<T> ch = nullptr;
  for (std::int64_t i = 0; i < r.n(); ++i) ch = chan<T>(8);
  ch.close();
}

const row make_byte{"MakeChanByte", make_chan<std::uint8_t>};
const row make_int{"MakeChanInt", make_chan<std::int64_t>};
const row make_ptr{"MakeChanPtr", make_chan<std::uint8_t*>};
const row make_struct0{"MakeChanStruct0", make_chan<struct0>};
const row make_struct32{"MakeChanStruct32", make_chan<struct32>};
const row make_struct40{"MakeChanStruct40", make_chan<struct40>};

/// Sends a hundred values and takes them back; one operation is all two hundred.
void fill_and_drain(const chan<std::int64_t>& ch) {
  for (int i = 0; i < 100; ++i) ch.send(0);
  for (int i = 0; i < 100; ++i) (void)ch.recv();
}

const row uncontended{"ChanUncontended", [](run& r) {
                        parallel(r, [](share& mine) {
                          chan<std::int64_t> ch(100);
                          while (mine.next()) fill_and_drain(ch);
                        });
                      }};

const row contended{"ChanContended", [](run& r) {
                      chan<std::int64_t> ch(100 * static_cast<std::size_t>(runnel::max_procs()));
                      parallel(r, [&](share& mine) {
                        while (mine.next()) fill_and_drain(ch);
                      });
                    }};

/// Two goroutines that turn the direction of an unbuffered channel at every message.
void chan_sync(run& r, std::int64_t load) {
  constexpr std::int64_t batch = 1000;
  constexpr std::int64_t pair = 2;
  std::atomic<std::int64_t> left{r.n() / batch / pair * pair};
  chan<std::int64_t> ch;
  runnel::wait_group done;
  for (int p = 0; p < pair; ++p) {
    done.add();
    runnel::go([&] {
      for (std::int64_t turn; (turn = --left) >= 0;) {
        for (int i = 0; i < batch; ++i) {
          if (turn % 2 == 0) {
            (void)ch.recv();
            work(load);
            ch.send(0);
            work(load);
          } else {
            ch.send(0);
            work(load);
            (void)ch.recv();
            work(load);
          }
        }
      }
      done.done();
    });
  }
  done.wait();
}

const row sync{"ChanSync", [](run& r) { chan_sync(r, 0); }};
const row sync_work{"ChanSyncWork", [](run& r) { chan_sync(r, 1000); }};

/// As many producers and consumers as processors, all on one channel; each consumer ends at one
/// zero.
template <std::size_t Capacity, std::int64_t Load>
void prod_cons(run& r) {
  constexpr std::int64_t batch = 1000;
  std::atomic<std::int64_t> left{r.n() / batch};
  chan<std::int64_t> ch(Capacity);
  runnel::wait_group done;
  for (int p = 0; p < runnel::max_procs(); ++p) {
    done.add(2);
    runnel::go([&] {
      while (--left >= 0) {
        for (int i = 0; i < batch; ++i) {
          work(Load);
          ch.send(1);
        }
      }
      ch.send(0);
      done.done();
    });
    runnel::go([&] {
      while (ch.recv().value() != 0) work(Load);
      done.done();
    });
  }
  done.wait();
}

const row prod_cons_0{"ChanProdCons0", prod_cons<0, 0>};
const row prod_cons_10{"ChanProdCons10", prod_cons<10, 0>};
const row prod_cons_100{"ChanProdCons100", prod_cons<100, 0>};
const row prod_cons_work_0{"ChanProdConsWork0", prod_cons<0, 100>};
const row prod_cons_work_10{"ChanProdConsWork10", prod_cons<10, 100>};
const row prod_cons_work_100{"ChanProdConsWork100", prod_cons<100, 100>};

const row receive_closed{"ReceiveDataFromClosedChan", [](run& r) {
                           chan<struct0> ch(static_cast<std::size_t>(r.n()));
                           for (std::int64_t i = 0; i < r.n(); ++i) ch.send({});
                           ch.close();
                           r.reset_timer();
                           while (ch.recv()) {
                           }
                         }};

const row creation{"ChanCreation", [](run& r) {
                     parallel(r, [](share& mine) {
                       while (mine.next()) {
                         chan<std::int64_t> ch(1);
                         ch.send(0);
                         (void)ch.recv();
                       }
                     });
                   }};

const row semaphore{"ChanSem", [](run& r) {
                      chan<struct0> ch(static_cast<std::size_t>(runnel::max_procs()));
                      parallel(r, [&](share& mine) {
                        while (mine.next()) {
                          ch.send({});
                          (void)ch.recv();
                        }
                      });
                    }};

const row control{"ControlWork1000", [](run& r) {
                    for (std::int64_t i = 0; i < r.n(); ++i) work(1000);
                  }};

}  // namespace
}  // namespace bench

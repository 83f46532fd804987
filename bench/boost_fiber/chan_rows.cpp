// The rows of single channels.
#include "harness.hpp"

namespace peer {
namespace {

struct nothing {};

using fibers::channel_op_status;
using buffered = fibers::buffered_channel<int64_t>;
using unbuffered = fibers::unbuffered_channel<int64_t>;

sample make_chan(int64_t n) {
  const auto start = clock_type::now();
  for (int64_t i = 0; i < n; ++i) buffered ch(slots(8));
  return {since(start)};
}

/// Only a buffered channel can be asked without waiting.
sample nonblocking(int64_t n) {
  buffered ch(slots(1));
  return share(procs, n, [&](int64_t mine) {
    int64_t v = 0;
    bool empty = true;
    for (int64_t i = 0; i < mine; ++i) empty &= ch.try_pop(v) == channel_op_status::empty;
    require(empty, "something came out of an empty channel");
  });
}

sample closed(int64_t n) {
  buffered ch(slots(1));
  ch.close();
  return share(procs, n, [&](int64_t mine) {
    int64_t v = 0;
    bool ready = true;
    for (int64_t i = 0; i < mine; ++i) ready &= ch.try_pop(v) == channel_op_status::closed;
    require(ready, "a closed channel was not ready");
  });
}

void fill_and_drain(buffered& ch) {
  int64_t v = 0;
  for (int i = 0; i < 100; ++i) ch.push(0);
  for (int i = 0; i < 100; ++i) ch.pop(v);
}

sample uncontended(int64_t n) {
  return share(procs, n, [](int64_t mine) {
    buffered ch(slots(100));
    for (int64_t i = 0; i < mine; ++i) fill_and_drain(ch);
  });
}

sample contended(int64_t n) {
  buffered ch(slots(100 * procs));
  return share(procs, n, [&](int64_t mine) {
    for (int64_t i = 0; i < mine; ++i) fill_and_drain(ch);
  });
}

/// Two fibers that turn the direction of an unbuffered channel at every message.
sample chan_sync(int64_t n) {
  constexpr int64_t batch = 1000;
  constexpr int64_t pair = 2;
  std::atomic<int64_t> left{n / batch / pair * pair};
  unbuffered ch;
  return on_each(pair, [&] {
    int64_t v = 0;
    for (int64_t turn; (turn = --left) >= 0;) {
      for (int i = 0; i < batch; ++i) {
        if (turn % 2 == 0) {
          ch.pop(v);
          ch.push(0);
        } else {
          ch.push(0);
          ch.pop(v);
        }
      }
    }
  });
}

template <class Channel>
sample prod_cons(Channel& ch, int64_t n) {
  const int64_t part = n / procs;
  const auto start = clock_type::now();
  countdown all(2 * procs);
  for (int p = 0; p < procs; ++p) {
    spawn([&] {
      for (int64_t i = 0; i < part; ++i) ch.push(1);
      ch.push(0);
      all.done();
    });
    spawn([&] {
      int64_t v = 1;
      while (v != 0) ch.pop(v);
      all.done();
    });
  }
  all.wait();
  return {since(start)};
}

sample prod_cons_0(int64_t n) {
  unbuffered ch;
  return prod_cons(ch, n);
}

template <int64_t Capacity>
sample prod_cons_buffered(int64_t n) {
  buffered ch(slots(Capacity));
  return prod_cons(ch, n);
}

sample receive_closed(int64_t n) {
  fibers::buffered_channel<nothing> ch(slots(n));
  for (int64_t i = 0; i < n; ++i) ch.push({});
  ch.close();
  const auto start = clock_type::now();
  int64_t count = 0;
  for (nothing v; ch.pop(v) == channel_op_status::success;) ++count;
  const double seconds = since(start);
  require(count == n, "a message is lost");
  return {seconds};
}

sample creation(int64_t n) {
  return share(procs, n, [](int64_t mine) {
    int64_t v = 0;
    for (int64_t i = 0; i < mine; ++i) {
      buffered ch(slots(1));
      ch.push(0);
      ch.pop(v);
    }
  });
}

sample semaphore(int64_t n) {
  fibers::buffered_channel<nothing> ch(slots(procs));
  return share(procs, n, [&](int64_t mine) {
    nothing v;
    for (int64_t i = 0; i < mine; ++i) {
      ch.push({});
      ch.pop(v);
    }
  });
}

}  // namespace

std::vector<row> chan_rows() {
  return {
      {"MakeChanInt", make_chan},
      {"ChanNonblocking", nonblocking},
      {"ChanUncontended", uncontended},
      {"ChanContended", contended},
      {"ChanSync", chan_sync},
      {"ChanProdCons0", prod_cons_0},
      {"ChanProdCons10", prod_cons_buffered<10>},
      {"ChanProdCons100", prod_cons_buffered<100>},
      {"ReceiveDataFromClosedChan", receive_closed},
      {"ChanCreation", creation},
      {"ChanSem", semaphore},
      {"ChanClosed", closed},
  };
}

}  // namespace peer

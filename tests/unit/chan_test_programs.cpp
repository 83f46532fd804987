// Whole small programs of goroutines and channels: the ones in Go's test/chan (fifo.go,
// sieve1.go, sieve2.go, goroutines.go, nonblock.go).
#include <deque>
#include <queue>
#include <runnel/chan.hpp>
#include <runnel/select.hpp>
#include <runnel/time.hpp>
#include <string>
#include <vector>

#include "support/crew.hpp"
#include "support/test.hpp"

using runnel::chan;
using runnel::chan_status;
using runnel::recv_chan;
using runnel::send_chan;
using runnel_test::crew;
using runnel_test::rounds;
using runnel_test::swarm;

// fifo.go: a chain of goroutines, each of which takes one value when its turn has come.
RUNNEL_TEST_BOTH(chan_programs, synchronous_fifo_chain) {
  constexpr int n = 10;
  const chan<int> values;
  const chan<int> start;
  recv_chan<int> in = start;
  crew links;
  for (int i = 0; i < n; ++i) {
    const chan<int> out;
    links.go([=] {
      in.recv();
      EXPECT_EQ(values.recv(), i);
      out.send(1);
    });
    in = out;
  }
  start.send(0);
  for (int i = 0; i < n; ++i) values.send(i);
  in.recv();
}

// goroutines.go: a daisy chain of many goroutines through which one value passes.
RUNNEL_TEST_BOTH(chan_programs, daisy_chain) {
  const chan<int> leftmost;
  chan<int> left = leftmost;
  chan<int> right = leftmost;
  for (int i = 0; i < rounds(10'000); ++i) {
    right = chan<int>();
    runnel::go([](const chan<int>& l, const chan<int>& r) { l.send(*r.recv() + 1); }, left, right);
    left = right;
  }
  runnel::go([](const chan<int>& c) { c.send(1); }, right);
  EXPECT_EQ(leftmost.recv(), rounds(10'000) + 1);
}

// sieve1.go: a filter goroutine for every prime found. Here it also ends: the numbers stop,
// and every filter hands that on by closing.
RUNNEL_TEST_BOTH(chan_programs, prime_sieve_of_filters) {
  const auto filter = [](const recv_chan<int>& in, const send_chan<int>& out, int prime) {
    for (const int i : in) {
      if (i % prime != 0) out.send(i);
    }
    out.close();
  };
  const chan<int> numbers;
  runnel::go([numbers] {
    for (int i = 2; i < 600; ++i) numbers.send(i);
    numbers.close();
  });
  std::vector<int> primes;
  recv_chan<int> stage = numbers;
  while (const auto prime = stage.recv()) {
    primes.push_back(*prime);
    const chan<int> next;
    runnel::go(filter, stage, send_chan<int>(next), *prime);
    stage = next;
  }
  ASSERT_EQ(primes.size(), 109U);
  EXPECT_EQ(primes[0], 2);
  EXPECT_EQ(primes[24], 97);
  EXPECT_EQ(primes.back(), 599);
}

namespace {

// sieve2.go: composites are merged from the multiples of the primes found so far, and fed back.
// Every goroutine gives up when `stop` is closed; each send and receive is a select with it.
class feedback_sieve {
 public:
  explicit feedback_sieve(int buffer) : buffer_(static_cast<std::size_t>(buffer)) {}
  feedback_sieve(const feedback_sieve&) = delete;
  feedback_sieve& operator=(const feedback_sieve&) = delete;
  ~feedback_sieve() { stop_.close(); }

  recv_chan<int> start() {
    const chan<int> out(buffer_);
    const chan<int> primes(buffer_);
    const chan<int> composites(buffer_);
    goroutines_.go([=, this] {
      if (send(out, 2) && send(out, 3)) send(primes, 3);
      const send_chan<int> proxy = queue_in_front_of(primes);
      sieve(out, composites, proxy);
    });
    goroutines_.go([=, this] { merge(primes, composites); });
    return out;
  }

 private:
  struct head {
    int value;
    chan<int> rest;
    bool operator<(const head& other) const { return value > other.value; }
  };

  bool send(const send_chan<int>& c, int v) {
    return runnel::select(runnel::on_send(c, v), runnel::on_recv(stop_)) == 0;
  }
  bool recv(const recv_chan<int>& c, int& v) {
    return runnel::select(runnel::on_recv(c, v), runnel::on_recv(stop_)) == 0;
  }

  // from, from + step, ...
  chan<int> every(int from, int step) {
    const chan<int> out(buffer_);
    goroutines_.go([=, this] {
      for (int n = from; send(out, n); n += step) {
      }
    });
    return out;
  }

  // A queue without bound in front of `out`: the merger takes primes much more slowly than the
  // sieve finds them, and may not hold it up.
  send_chan<int> queue_in_front_of(const send_chan<int>& out) {
    const chan<int> in(buffer_);
    goroutines_.go([=, this] {
      std::deque<int> waiting;
      for (;;) {
        const send_chan<int> target = waiting.empty() ? send_chan<int>(chan<int>(nullptr)) : out;
        const int front = waiting.empty() ? 0 : waiting.front();
        const std::size_t chosen =
            runnel::select(runnel::on_recv(in, [&](int v) { waiting.push_back(v); }),
                           runnel::on_send(target, front), runnel::on_recv(stop_));
        if (chosen == 1) waiting.pop_front();
        if (chosen == 2) return;
      }
    });
    return in;
  }

  bool advance(std::priority_queue<head>& heads, int& least) {
    head h = heads.top();
    heads.pop();
    least = h.value;
    if (!recv(h.rest, h.value)) return false;
    heads.push(h);
    return true;
  }

  void merge(const recv_chan<int>& primes, const send_chan<int>& composites) {
    std::priority_queue<head> heads;
    int least = 15;
    for (;;) {
      int prime = 0;
      if (!recv(primes, prime)) return;
      const chan<int> multiples = every(prime * prime, 2 * prime);
      int first = 0;
      if (!recv(multiples, first)) return;
      while (least < first) {
        if (!send(composites, least) || !advance(heads, least)) return;
      }
      while (least == first) {
        if (!advance(heads, least)) return;
      }
      int second = 0;
      if (!send(composites, first) || !recv(multiples, second)) return;
      heads.push({second, multiples});
    }
  }

  void sieve(const send_chan<int>& out, const recv_chan<int>& composites,
             const send_chan<int>& primes) {
    const chan<int> candidates = every(5, 2);
    int p = 0;
    int c = 0;
    if (!recv(candidates, p)) return;
    for (;;) {
      if (!recv(composites, c)) return;
      while (p < c) {
        if (!send(primes, p) || !send(out, p) || !recv(candidates, p)) return;
      }
      if (p == c && !recv(candidates, p)) return;
    }
  }

  std::size_t buffer_;
  chan<void> stop_;
  swarm goroutines_;  // last: its destructor waits for those who use the rest
};

}  // namespace

RUNNEL_TEST_BOTH(chan_programs, prime_sieve_with_feedback) {
  for (const int buffer : {1, 10, 50}) {
    const std::vector<int> expected{2,  3,  5,  7,  11, 13, 17, 19, 23, 29, 31, 37, 41,
                                    43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97};
    feedback_sieve sieve(buffer);
    const recv_chan<int> primes = sieve.start();
    for (const int prime : expected) ASSERT_EQ(primes.recv(), prime);
  }
}

namespace {

// nonblock.go, for any type: try_* in a loop meets a blocked peer, and only then succeeds.
template <class T>
void try_until_a_peer_comes(const T& to_send, const T& to_receive) {
  for (const std::size_t buffer : {std::size_t{0}, std::size_t{1}}) {
    const chan<T> c(buffer);
    T value{};
    EXPECT_EQ(c.try_recv(value), chan_status::would_block);
    crew peer;
    peer.go([&] { EXPECT_EQ(c.recv(), to_send); });
    EXPECT_TRUE(runnel_test::eventually(
        [&] { return runnel::select(runnel::on_send(c, to_send), runnel::otherwise()) == 0; }));
    peer.wait();

    peer.go([&] { c.send(to_receive); });
    EXPECT_TRUE(runnel_test::eventually(
        [&] { return runnel::select(runnel::on_recv(c, value), runnel::otherwise()) == 0; }));
    EXPECT_EQ(value, to_receive);
    peer.wait();
  }
}

}  // namespace

RUNNEL_TEST_BOTH(chan_programs, nonblocking_operations_of_all_sizes) {
  try_until_a_peer_comes<std::int32_t>(123, 234);
  try_until_a_peer_comes<std::int64_t>(123456, 234567);
  try_until_a_peer_comes<bool>(true, true);
  try_until_a_peer_comes<std::string>("hello", "hello again");
}

// A worker pipeline with a fan-out in the middle; checks sums, order per worker and the end.
RUNNEL_TEST_BOTH(chan_programs, pipeline_with_fan_out) {
  const int n = rounds(5000);
  const chan<int> source(5);
  const chan<long> squares(5);
  const chan<void> worker_done(4);
  runnel::go([=] {
    for (int i = 0; i < n; ++i) source.send(i);
    source.close();
  });
  for (int w = 0; w < 4; ++w) {
    runnel::go([=] {
      int last = -1;
      for (const int v : source) {
        EXPECT_GT(v, last);
        last = v;
        squares.send(static_cast<long>(v) * v);
      }
      worker_done.send();
    });
  }
  runnel::go([=] {
    for (int w = 0; w < 4; ++w) worker_done.recv();
    squares.close();
  });
  long sum = 0;
  for (const long v : squares) sum += v;
  const long m = n;
  EXPECT_EQ(sum, (m - 1) * m * (2 * m - 1) / 6);
}

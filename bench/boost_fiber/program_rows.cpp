// Whole programs that pass messages: ping-pong, ring, sieve, trees of fibers, pool, pipeline.
#include <array>
#include <memory>

#include "harness.hpp"

namespace peer {
namespace {

using buffered = fibers::buffered_channel<int64_t>;
using unbuffered = fibers::unbuffered_channel<int64_t>;

sample ping_pong(int64_t n) {
  const int64_t rounds = n / 2 + 1;
  unbuffered ping;
  unbuffered pong;
  const auto start = clock_type::now();
  fiber other(fibers::launch::post, [&] {
    for (int64_t v : ping) pong.push(v + 1);
    pong.close();
  });
  int64_t v = 0;
  for (int64_t i = 0; i < rounds; ++i) {
    ping.push(v);
    pong.pop(v);
  }
  ping.close();
  other.join();
  const double seconds = since(start);
  require(v == rounds, "a message is lost");
  return {seconds};
}

sample thread_ring(int64_t n) {
  constexpr std::size_t size = 503;
  std::array<unbuffered, size> ring;
  countdown finished(1);
  std::vector<fiber> members;
  for (std::size_t i = 0; i < size; ++i) {
    members.emplace_back(fibers::launch::post, [&, i] {
      for (int64_t token : ring[i]) {
        if (token == 0) {
          finished.done();
        } else {
          ring[(i + 1) % size].push(token - 1);
        }
      }
    });
  }
  const auto start = clock_type::now();
  ring[0].push(n);
  finished.wait();
  const double seconds = since(start);
  for (auto& ch : ring) ch.close();
  for (auto& member : members) member.join();
  return {seconds};
}

/// Divides by no prime of the sieve and ends every stage that it passes.
constexpr int64_t sieve_end = 2147483647;

sample prime_sieve(int64_t n) {
  const int64_t primes = scaled(1000);
  const auto start = clock_type::now();
  for (int64_t round = 0; round < n; ++round) {
    std::atomic<bool> stop{false};
    auto in = std::make_shared<unbuffered>();
    spawn([&stop, out = in] {
      for (int64_t v = 2; !stop.load(std::memory_order_relaxed); ++v) out->push(v);
      out->push(sieve_end);
    });
    int64_t v = 0;
    for (int64_t p = 0; p < primes; ++p) {
      in->pop(v);
      auto out = std::make_shared<unbuffered>();
      spawn([in, out, prime = v] {
        for (int64_t w = 0; w != sieve_end;) {
          in->pop(w);
          if (w % prime != 0) out->push(w);
        }
      });
      in = out;
    }
    require(primes != 1000 || v == 7919, "wrong prime");
    stop = true;
    while (v != sieve_end) in->pop(v);
  }
  return {since(start)};
}

/// As in the library's own performance tests: a buffered channel, children run at once.
void skynet(buffered& up, int64_t num, int64_t size) {
  if (size == 1) {
    up.push(num);
    return;
  }
  buffered children(slots(10));
  for (int64_t i = 0; i < 10; ++i) {
    stacks
        .start(fibers::launch::dispatch,
               [&, i, num, size] { skynet(children, num + i * (size / 10), size / 10); })
        .detach();
  }
  int64_t sum = 0;
  for (int i = 0; i < 10; ++i) sum += children.value_pop();
  up.push(sum);
}

sample skynet_1m(int64_t n) {
  const int64_t size = scaled(1000000);
  double count = 0;
  for (int64_t s = size; s >= 1; s /= 10) count += static_cast<double>(s);
  const auto start = clock_type::now();
  for (int64_t i = 0; i < n; ++i) {
    buffered up(slots(1));
    spawn([&] { skynet(up, 0, size); });
    require(up.value_pop() == size * (size - 1) / 2, "wrong sum");
  }
  return {since(start), count};
}

int64_t fib(int n) {
  if (n < 2) return n;
  fibers::packaged_task<int64_t()> task([n] { return fib(n - 1); });
  auto other = task.get_future();
  spawn(std::move(task));
  const int64_t mine = fib(n - 2);
  return mine + other.get();
}

sample spawn_tree(int64_t n) {
  const bool whole = scaled(1000000) == 1000000;
  const auto start = clock_type::now();
  for (int64_t i = 0; i < n; ++i)
    require(fib(whole ? 27 : 22) == (whole ? 196418 : 17711), "wrong number");
  return {since(start), whole ? 317810.0 : 28656.0};
}

sample worker_pool(int64_t n) {
  buffered jobs(slots(64));
  buffered results(slots(64));
  const auto start = clock_type::now();
  std::vector<fiber> workers;
  for (int w = 0; w < 8; ++w) {
    workers.emplace_back(fibers::launch::post, [&] {
      for (int64_t v : jobs) results.push(2 * v);
    });
  }
  fiber feeder(fibers::launch::post, [&] {
    for (int64_t i = 0; i < n; ++i) jobs.push(i);
    jobs.close();
    for (auto& worker : workers) worker.join();
    results.close();
  });
  int64_t count = 0;
  for ([[maybe_unused]] int64_t v : results) ++count;
  feeder.join();
  const double seconds = since(start);
  require(count == n, "a job is lost");
  return {seconds};
}

sample pipeline(int64_t n) {
  buffered numbers(slots(16));
  buffered squares(slots(16));
  const auto start = clock_type::now();
  fiber source(fibers::launch::post, [&] {
    for (int64_t i = 0; i < n; ++i) numbers.push(i);
    numbers.close();
  });
  fiber square(fibers::launch::post, [&] {
    for (int64_t v : numbers) squares.push(v * v);
    squares.close();
  });
  uint64_t sum = 0;
  for (int64_t v : squares) sum += static_cast<uint64_t>(v);
  source.join();
  square.join();
  const double seconds = since(start);
  uint64_t expected = 0;
  for (int64_t i = 0; i < n; ++i) expected += static_cast<uint64_t>(i * i);
  require(sum == expected, "a number is lost");
  return {seconds};
}

}  // namespace

std::vector<row> program_rows() {
  return {
      {"PingPong", ping_pong},
      {"ThreadRing503", thread_ring},
      {"PrimeSieve", prime_sieve},
      {"Skynet1M", skynet_1m, thieves::spin},
      {"SpawnTree", spawn_tree, thieves::spin},
      {"WorkerPool", worker_pool},
      {"Pipeline3", pipeline},
  };
}

}  // namespace peer

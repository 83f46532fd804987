// Whole programs that pass messages: ping-pong, ring, sieve, pool, pipeline, fan-in, and trees of
// goroutines.
#include <benchmark/benchmark.h>

#include <array>
#include <atomic>
#include <runnel/chan.hpp>
#include <runnel/select.hpp>

#include "harness.hpp"

namespace bench {
namespace {

using int_chan = runnel::chan<std::int64_t>;

/// A tree of goroutines, ten children each; the leaves send their numbers up, the nodes their sums.
void skynet(int_chan up, std::int64_t num, std::int64_t size) {
  if (size == 1) {
    up.send(num);
    return;
  }
  int_chan children;
  for (std::int64_t i = 0; i < 10; ++i)
    runnel::go(skynet, children, num + i * (size / 10), size / 10);
  std::int64_t sum = 0;
  for (int i = 0; i < 10; ++i) sum += children.recv().value();
  up.send(sum);
}

/// A million leaves; the time is that of one goroutine.
const row skynet_1m{"Skynet1M", [](run& r) {
                      const std::int64_t size = scaled(1000000);
                      std::int64_t goroutines = 0;
                      for (std::int64_t s = size; s >= 1; s /= 10) goroutines += s;
                      for (std::int64_t i = 0; i < r.n(); ++i) {
                        int_chan up;
                        runnel::go(skynet, up, 0, size);
                        r.require(up.recv().value() == size * (size - 1) / 2, "wrong sum");
                      }
                      r.per_unit(static_cast<double>(goroutines));
                    }};

/// A token goes round a ring of 503 goroutines; one operation is one hop.
const row thread_ring{"ThreadRing503", [](run& r) {
                        constexpr std::size_t n = 503;
                        std::array<int_chan, n> ring;
                        runnel::chan<bool> done;
                        for (std::size_t i = 0; i < n; ++i) {
                          runnel::go([in = ring[i], out = ring[(i + 1) % n], done] {
                            for (const std::int64_t token : in) {
                              if (token == 0) {
                                done.send(true);
                              } else {
                                out.send(token - 1);
                              }
                            }
                          });
                        }
                        r.reset_timer();
                        ring[0].send(r.n());
                        (void)done.recv();
                        r.stop_timer();
                        for (const auto& ch : ring) ch.close();
                      }};

/// Two goroutines, two unbuffered channels; one operation is one message.
const row ping_pong{"PingPong", [](run& r) {
                      int_chan ping;
                      int_chan pong;
                      const std::int64_t rounds = r.n() / 2 + 1;
                      runnel::go([=] {
                        for (const std::int64_t v : ping) pong.send(v + 1);
                        pong.close();
                      });
                      std::int64_t v = 0;
                      for (std::int64_t i = 0; i < rounds; ++i) {
                        ping.send(v);
                        v = pong.recv().value();
                      }
                      ping.close();
                      (void)pong.recv();
                      r.require(v == rounds, "a message is lost");
                    }};

/// Divides by no prime of the sieve and ends every stage that it passes.
constexpr std::int64_t sieve_end = 2147483647;

void sieve_filter(int_chan in, int_chan out, std::int64_t prime) {
  for (std::int64_t v = 0; v != sieve_end;) {
    v = in.recv().value();
    if (v % prime != 0) out.send(v);
  }
}

/// The first 1000 primes by a chain of filters; the time is that of the whole sieve.
const row prime_sieve{"PrimeSieve", [](run& r) {
                        const std::int64_t primes = scaled(1000);
                        for (std::int64_t i = 0; i < r.n(); ++i) {
                          int_chan source;
                          std::atomic<bool> stop{false};
                          runnel::go([&stop, source] {
                            for (std::int64_t v = 2; !stop.load(std::memory_order_relaxed); ++v)
                              source.send(v);
                            source.send(sieve_end);
                          });
                          int_chan in = source;
                          std::int64_t prime = 0;
                          for (std::int64_t p = 0; p < primes; ++p) {
                            prime = in.recv().value();
                            int_chan out;
                            runnel::go(sieve_filter, in, out, prime);
                            in = out;
                          }
                          stop = true;
                          while (in.recv().value() != sieve_end) {
                          }
                          r.require(primes != 1000 || prime == 7919, "wrong prime");
                        }
                      }};

std::int64_t fib(int n) {
  if (n < 2) return n;
  int_chan other(1);
  runnel::go([other, n] { other.send(fib(n - 1)); });
  const std::int64_t mine = fib(n - 2);
  return mine + other.recv().value();
}

/// Fibonacci numbers, a goroutine for every first branch; the time is that of one goroutine.
const row spawn_tree{"SpawnTree", [](run& r) {
                       const bool whole = scaled(1000000) == 1000000;
                       for (std::int64_t i = 0; i < r.n(); ++i) {
                         r.require(fib(whole ? 27 : 22) == (whole ? 196418 : 17711),
                                   "wrong number");
                       }
                       r.per_unit(whole ? 317810 : 28656);
                     }};

/// Eight workers take numbers from one channel and return their doubles on another.
const row worker_pool{
    "WorkerPool", [](run& r) {
      constexpr int workers = 8;
      int_chan jobs(64);
      int_chan results(64);
      runnel::wait_group working;
      for (int w = 0; w < workers; ++w) {
        working.go([&] {
          for (const std::int64_t v : jobs) results.send(2 * v);
        });
      }
      runnel::go([&] {
        for (std::int64_t i = 0; i < r.n(); ++i) jobs.send(i);
        jobs.close();
        working.wait();
        int_chan kept = results;  // the consumer may leave while this close is still returning
        kept.close();
      });
      std::int64_t count = 0;
      while (results.recv()) ++count;
      r.require(count == r.n(), "a job is lost");
    }};

/// Source, square and sum, with channels of sixteen between.
const row pipeline{"Pipeline3", [](run& r) {
                     int_chan numbers(16);
                     int_chan squares(16);
                     const std::int64_t n = r.n();
                     runnel::go([=] {
                       for (std::int64_t i = 0; i < n; ++i) numbers.send(i);
                       numbers.close();
                     });
                     runnel::go([=] {
                       for (const std::int64_t v : numbers) squares.send(v * v);
                       squares.close();
                     });
                     std::int64_t sum = 0;
                     for (const std::int64_t v : squares) sum += v;
                     benchmark::DoNotOptimize(sum);
                   }};

/// Four producers, each with its own unbuffered channel; one consumer selects over the four.
const row fan_in{"FanInSelect", [](run& r) {
                   std::array<int_chan, 4> in;
                   const std::int64_t each = r.n() / 4 + 1;
                   for (const auto& out : in) {
                     runnel::go([out, each] {
                       for (std::int64_t v = 0; v < each; ++v) out.send(v);
                     });
                   }
                   std::int64_t sum = 0;
                   std::int64_t v = 0;
                   for (std::int64_t i = 0; i < 4 * each; ++i) {
                     runnel::select(runnel::on_recv(in[0], v), runnel::on_recv(in[1], v),
                                    runnel::on_recv(in[2], v), runnel::on_recv(in[3], v));
                     sum += v;
                   }
                   benchmark::DoNotOptimize(sum);
                 }};

}  // namespace
}  // namespace bench

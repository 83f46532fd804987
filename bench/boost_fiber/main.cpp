// The rows of the benchmarks that Boost.Fiber has.
//
//     boost_fiber --list
//     boost_fiber NAME --procs P --time SECONDS
//
// One processor is the default round-robin scheduler; more are as many threads with the
// work-stealing one, the way the library's own examples set it up. Each line of the output is a
// name, a metric and its value.
#include <algorithm>
#include <array>
#include <cstring>
#include <iostream>
#include <memory>
#include <thread>
#include <vector>

#include "harness.hpp"

namespace peer {
namespace {

sample create_single(int64_t n) {
  const auto start = clock_type::now();
  countdown all(n);
  for (int64_t i = 0; i < n; ++i) spawn([&] { all.done(); });
  all.wait();
  return {since(start)};
}

void create_next(int64_t n, countdown& all) {
  if (n == 0) return all.done();
  spawn([n, &all] { create_next(n - 1, all); });
}

sample create(int64_t n) {
  const auto start = clock_type::now();
  countdown all(1);
  create_next(n, all);
  all.wait();
  return {since(start)};
}

template <class F>
sample each_of(int64_t count, F f) {
  const auto start = clock_type::now();
  countdown all(count);
  for (int64_t g = 0; g < count; ++g) {
    spawn([&] {
      f();
      all.done();
    });
  }
  all.wait();
  return {since(start)};
}

sample yields(int64_t n) {
  return each_of(2 * procs, [n] {
    for (int64_t i = 0; i < n / (2 * procs); ++i) boost::this_fiber::yield();
  });
}

sample mutex_uncontended(int64_t n) {
  return each_of(procs, [n] {
    fibers::mutex mine;
    for (int64_t i = 0; i < n / procs; ++i) {
      mine.lock();
      mine.unlock();
    }
  });
}

template <int PerProc>
sample mutex_common(int64_t n) {
  fibers::mutex common;
  return each_of(PerProc * procs, [&, n] {
    for (int64_t i = 0; i < n / (PerProc * procs); ++i) {
      common.lock();
      common.unlock();
    }
  });
}

/// A buffered channel needs a power of two and holds one less.
template <class Channel>
void fill_and_drain(Channel& ch) {
  int64_t v = 0;
  for (int i = 0; i < 100; ++i) ch.push(0);
  for (int i = 0; i < 100; ++i) ch.pop(v);
}

sample chan_uncontended(int64_t n) {
  return each_of(procs, [n] {
    fibers::buffered_channel<int64_t> ch(128);
    for (int64_t i = 0; i < n / procs; ++i) fill_and_drain(ch);
  });
}

sample chan_contended(int64_t n) {
  fibers::buffered_channel<int64_t> ch(256);
  return each_of(procs, [&, n] {
    for (int64_t i = 0; i < n / procs; ++i) fill_and_drain(ch);
  });
}

template <class Channel>
sample prod_cons(Channel& ch, int64_t n) {
  const int64_t share = n / procs;
  const auto start = clock_type::now();
  countdown all(2 * procs);
  for (int p = 0; p < procs; ++p) {
    spawn([&] {
      for (int64_t i = 0; i < share; ++i) ch.push(1);
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
  fibers::unbuffered_channel<int64_t> ch;
  return prod_cons(ch, n);
}

template <std::size_t Capacity>
sample prod_cons_buffered(int64_t n) {
  fibers::buffered_channel<int64_t> ch(Capacity);
  return prod_cons(ch, n);
}

sample ping_pong(int64_t n) {
  fibers::unbuffered_channel<int64_t> ping;
  fibers::unbuffered_channel<int64_t> pong;
  const auto start = clock_type::now();
  fiber other(fibers::launch::post, [&] {
    for (int64_t v : ping) pong.push(v + 1);
    pong.close();
  });
  int64_t v = 0;
  for (int64_t i = 0; i < n / 2 + 1; ++i) {
    ping.push(v);
    pong.pop(v);
  }
  ping.close();
  other.join();
  return {since(start)};
}

sample thread_ring(int64_t n) {
  constexpr std::size_t size = 503;
  std::array<fibers::unbuffered_channel<int64_t>, size> ring;
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

constexpr int64_t sieve_end = 2147483647;
using sieve_channel = fibers::unbuffered_channel<int64_t>;

sample prime_sieve(int64_t n) {
  const int64_t primes = scaled(1000);
  const auto start = clock_type::now();
  for (int64_t round = 0; round < n; ++round) {
    std::atomic<bool> stop{false};
    auto in = std::make_shared<sieve_channel>();
    spawn([&stop, out = in] {
      for (int64_t v = 2; !stop.load(std::memory_order_relaxed); ++v) out->push(v);
      out->push(sieve_end);
    });
    int64_t v = 0;
    for (int64_t p = 0; p < primes; ++p) {
      in->pop(v);
      auto out = std::make_shared<sieve_channel>();
      spawn([in, out, prime = v] {
        for (int64_t w = 0; w != sieve_end;) {
          in->pop(w);
          if (w % prime != 0) out->push(w);
        }
      });
      in = out;
    }
    stop = true;
    while (v != sieve_end) in->pop(v);
  }
  return {since(start)};
}

using skynet_channel = fibers::buffered_channel<int64_t>;

/// As in the library's own performance tests: small stacks, a buffered channel, children run at
/// once.
void skynet(fibers::fixedsize_stack& stacks, skynet_channel& up, int64_t num, int64_t size) {
  if (size == 1) {
    up.push(num);
    return;
  }
  skynet_channel children(16);
  for (int64_t i = 0; i < 10; ++i) {
    fiber(fibers::launch::dispatch, std::allocator_arg, stacks, skynet, std::ref(stacks),
          std::ref(children), num + i * (size / 10), size / 10)
        .detach();
  }
  int64_t sum = 0;
  for (int i = 0; i < 10; ++i) sum += children.value_pop();
  up.push(sum);
}

fibers::fixedsize_stack small_stacks() {
  return fibers::fixedsize_stack(2 * fibers::fixedsize_stack::traits_type::page_size());
}

sample skynet_1m(int64_t n) {
  const int64_t size = scaled(1000000);
  double count = 0;
  for (int64_t s = size; s >= 1; s /= 10) count += static_cast<double>(s);
  auto stacks = small_stacks();
  const auto start = clock_type::now();
  for (int64_t i = 0; i < n; ++i) {
    skynet_channel up(2);
    fiber(fibers::launch::post, std::allocator_arg, stacks, skynet, std::ref(stacks), std::ref(up),
          0, size)
        .detach();
    if (up.value_pop() != size * (size - 1) / 2) std::abort();
  }
  return {since(start), count};
}

int64_t fib(fibers::fixedsize_stack& stacks, int n) {
  if (n < 2) return n;
  fibers::packaged_task<int64_t()> task([&stacks, n] { return fib(stacks, n - 1); });
  auto other = task.get_future();
  fiber(fibers::launch::post, std::allocator_arg, stacks, std::move(task)).detach();
  const int64_t mine = fib(stacks, n - 2);
  return mine + other.get();
}

sample spawn_tree(int64_t n) {
  const bool whole = scaled(1000000) == 1000000;
  auto stacks = small_stacks();
  const auto start = clock_type::now();
  for (int64_t i = 0; i < n; ++i) {
    if (fib(stacks, whole ? 27 : 22) != (whole ? 196418 : 17711)) std::abort();
  }
  return {since(start), whole ? 317810.0 : 28656.0};
}

sample crowd(double spawn, double wake, double bytes, double all, double per_op) {
  return {spawn + wake,
          per_op,
          {{"spawn-ns", spawn * 1e9 / all}, {"wake-ns", wake * 1e9 / all}, {"bytes", bytes / all}}};
}

sample parked(int64_t n) {
  const int64_t count = scaled(1000000);
  auto stacks = small_stacks();
  double spawned = 0;
  double woken = 0;
  double bytes = 0;
  for (int64_t i = 0; i < n; ++i) {
    const double before = resident_bytes();
    fibers::mutex mutex;
    fibers::condition_variable gate;
    bool open = false;
    countdown here(count);
    countdown gone(count);
    const auto start = clock_type::now();
    for (int64_t g = 0; g < count; ++g) {
      fiber(fibers::launch::post, std::allocator_arg, stacks, [&] {
        here.done();
        std::unique_lock lock(mutex);
        gate.wait(lock, [&] { return open; });
        lock.unlock();
        gone.done();
      }).detach();
    }
    here.wait();
    spawned += since(start);
    bytes += resident_bytes() - before;
    const auto opened = clock_type::now();
    {
      const std::lock_guard lock(mutex);
      open = true;
    }
    gate.notify_all();
    gone.wait();
    woken += since(opened);
  }
  return crowd(spawned, woken, bytes, static_cast<double>(n * count), static_cast<double>(count));
}

sample worker_pool(int64_t n) {
  fibers::buffered_channel<int64_t> jobs(64);
  fibers::buffered_channel<int64_t> results(64);
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
  });
  int64_t v = 0;
  for (int64_t i = 0; i < n; ++i) results.pop(v);
  feeder.join();
  for (auto& worker : workers) worker.join();
  return {since(start)};
}

sample pipeline(int64_t n) {
  fibers::buffered_channel<int64_t> numbers(16);
  fibers::buffered_channel<int64_t> squares(16);
  const auto start = clock_type::now();
  fiber source(fibers::launch::post, [&] {
    for (int64_t i = 0; i < n; ++i) numbers.push(i);
    numbers.close();
  });
  fiber square(fibers::launch::post, [&] {
    for (int64_t v : numbers) squares.push(v * v);
    squares.close();
  });
  int64_t sum = 0;
  for (int64_t v : squares) sum += v;
  source.join();
  square.join();
  return {since(start)};
}

const std::vector<std::pair<std::string, body>> rows{
    {"CreateGoroutines", create},
    {"CreateGoroutinesSingle", create_single},
    {"Yield", yields},
    {"MutexUncontended", mutex_uncontended},
    {"Mutex", mutex_common<1>},
    {"MutexSlack", mutex_common<10>},
    {"ChanUncontended", chan_uncontended},
    {"ChanContended", chan_contended},
    {"ChanProdCons0", prod_cons_0},
    {"ChanProdCons10", prod_cons_buffered<16>},
    {"ChanProdCons100", prod_cons_buffered<128>},
    {"PingPong", ping_pong},
    {"ThreadRing503", thread_ring},
    {"PrimeSieve", prime_sieve},
    {"Skynet1M", skynet_1m},
    {"SpawnTree", spawn_tree},
    {"Parked1M", parked},
    {"WorkerPool", worker_pool},
    {"Pipeline3", pipeline},
};

/// Repeats a row with more and more operations until one execution takes long enough, as `go test
/// -bench` does.
void measure(const std::string& name, body run, double wanted) {
  for (int64_t n = 1;;) {
    const sample s = run(n);
    if (s.seconds >= wanted || n >= 1000000000) {
      std::cout << name << " ns/op " << s.seconds * 1e9 / static_cast<double>(n) / s.units << '\n';
      for (const auto& [metric, value] : s.extra)
        std::cout << name << ' ' << metric << ' ' << value << '\n';
      return;
    }
    const double next = wanted / std::max(s.seconds, 1e-9) * static_cast<double>(n) * 1.2;
    n = std::clamp(static_cast<int64_t>(std::min(next, 1e9)), n + 1, n * 100);
  }
}

/// The threads beside the main one: they do nothing but steal until the end.
class stealers {
 public:
  stealers() {
    if (procs == 1) return;
    const auto all = static_cast<std::uint32_t>(procs);
    for (int i = 1; i < procs; ++i) {
      threads_.emplace_back([this, all] {
        fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(all, true);
        std::unique_lock lock(mutex_);
        ended_.wait(lock, [&] { return end_; });
      });
    }
    fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(all, true);
  }
  ~stealers() {
    {
      const std::lock_guard lock(mutex_);
      end_ = true;
    }
    ended_.notify_all();
    for (auto& thread : threads_) thread.join();
  }

 private:
  std::vector<std::thread> threads_;
  fibers::mutex mutex_;
  fibers::condition_variable_any ended_;
  bool end_ = false;
};

}  // namespace
}  // namespace peer

int main(int argc, char** argv) {
  using namespace peer;
  const std::string name = argc > 1 ? argv[1] : "--list";
  double wanted = 0.2;
  for (int i = 2; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--procs") == 0) procs = std::atoi(argv[i + 1]);
    if (std::strcmp(argv[i], "--time") == 0) wanted = std::atof(argv[i + 1]);
  }
  for (const auto& [row, run] : rows) {
    if (name == "--list") std::cout << row << '\n';
    if (name != row) continue;
    stealers others;
    measure(name, run, wanted);
  }
}

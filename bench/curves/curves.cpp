// runnel_curves KIND SIZE [SECONDS]: the time of one operation at one size, in nanoseconds, for the
// curves of cost over size. bench/go/curves does the same on Go; bench/curves.py runs both.
//
//   yield       SIZE goroutines take turns                                      one yield
//   ring        a token goes round a ring of SIZE goroutines                    one hop
//   park        SIZE goroutines start, park, are woken and end                  one goroutine
//   capacity    producer and consumer, a channel of capacity SIZE               one value
//   mutex       SIZE goroutines contend for a mutex                             one lock and unlock
//   rwmutex     SIZE goroutines, one access in ten a write                      one access
//   channel     SIZE goroutines send and receive on one buffered channel        one of each
//   section2    2 goroutines at a mutex, SIZE ns of work after a section        one of both
//   section20   20 goroutines do the same                                       one of both
//   reset       SIZE timers are pending, one of them at random is reset         one reset
//   churn       SIZE timers are pending, one is stopped and replaced            one replacement
//   ready       select over SIZE channels, one of them ready                    one select
//   blocked     select over SIZE channels, until a value comes on one           one select and send
// and for the validation of the model in bench/sim, with SIZE as its WORK:
//   burst, tree, pairs, calls
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <memory>
#include <mutex>
#include <runnel/chan.hpp>
#include <runnel/go.hpp>
#include <runnel/runtime.hpp>
#include <runnel/select.hpp>
#include <runnel/sync.hpp>
#include <runnel/time.hpp>
#include <shared_mutex>
#include <span>
#include <vector>

namespace {

using clock_type = std::chrono::steady_clock;
using int_chan = runnel::chan<std::int64_t>;
using std::int64_t;
using std::size_t;

double since(clock_type::time_point t) {
  return std::chrono::duration<double>(clock_type::now() - t).count();
}

struct xorshift {
  std::uint64_t v = 1;
  std::uint64_t next() {
    v ^= v << 13;
    v ^= v >> 7;
    v ^= v << 17;
    return v;
  }
};

/// Seconds that about n operations took; `done` is how many they were.
struct sample {
  double seconds;
  int64_t done;
};

sample yields(int64_t size, int64_t n) {
  const int64_t each = std::max<int64_t>(n / size, 8);
  std::atomic<bool> open{false};
  const runnel::chan<void> gate;  // nobody takes turns while the others are being started
  runnel::wait_group here;
  runnel::wait_group gone;
  here.add(static_cast<int>(size));
  gone.add(static_cast<int>(size));
  for (int64_t g = 0; g < size; ++g) {
    runnel::go([&, each] {
      gate.recv();
      here.done();
      while (!open.load(std::memory_order_relaxed)) runnel::yield();
      for (int64_t i = 0; i < each; ++i) runnel::yield();
      gone.done();
    });
  }
  gate.close();
  here.wait();
  const auto start = clock_type::now();
  open = true;
  gone.wait();
  return {since(start), each * size};
}

sample ring(int64_t size, int64_t n) {
  n = std::max(n, 2 * size);
  std::vector<int_chan> links(static_cast<size_t>(size));
  runnel::wait_group gone;
  gone.add(static_cast<int>(size));
  runnel::chan<void> end;
  for (size_t i = 0; i < links.size(); ++i) {
    runnel::go([&, i] {
      const int_chan& out = links[(i + 1) % links.size()];
      for (const int64_t token : links[i]) {
        if (token == 0) {
          end.send();
        } else {
          out.send(token - 1);
        }
      }
      gone.done();
    });
  }
  links[0].send(size);  // a first round, so that all have started
  end.recv();
  const auto start = clock_type::now();
  links[0].send(n);
  end.recv();
  const double seconds = since(start);
  for (const auto& link : links) link.close();
  gone.wait();
  return {seconds, n};
}

sample park(int64_t size, int64_t n) {
  const auto start = clock_type::now();
  const int64_t rounds = n / size + 1;
  for (int64_t i = 0; i < rounds; ++i) {
    runnel::chan<void> gate;
    runnel::wait_group here;
    runnel::wait_group gone;
    here.add(static_cast<int>(size));
    gone.add(static_cast<int>(size));
    for (int64_t g = 0; g < size; ++g) {
      runnel::go([&] {
        here.done();
        gate.recv();
        gone.done();
      });
    }
    here.wait();
    gate.close();
    gone.wait();
  }
  return {since(start), rounds * size};
}

sample capacity(int64_t size, int64_t n) {
  int_chan ch(static_cast<size_t>(size));
  const auto start = clock_type::now();
  runnel::go([=] {
    for (int64_t i = 0; i < n; ++i) ch.send(i);
    ch.close();
  });
  while (ch.recv()) {
  }
  return {since(start), n};
}

double rounds_per_ns = 0;

/// About ns nanoseconds of work that depends on nothing but the clock rate.
void compute(int64_t ns) {
  const auto rounds = static_cast<int64_t>(static_cast<double>(ns) * rounds_per_ns);
  for (int64_t i = 0; i < rounds; ++i) asm volatile("" : : "r"(i));
}

void calibrate() {
  rounds_per_ns = 1;
  double best = 1;
  for (int i = 0; i < 20; ++i) {
    const auto start = clock_type::now();
    compute(1'000'000);
    best = std::min(best, since(start));
  }
  rounds_per_ns = 1e-3 / best;
}

/// `size` goroutines do n operations between them.
template <class Operation>
sample contend(int64_t size, int64_t n, Operation operation) {
  const int64_t each = n / size + 1;
  runnel::wait_group gone;
  const auto start = clock_type::now();
  for (int64_t g = 0; g < size; ++g) {
    gone.go([&operation, each] {
      for (int64_t i = 0; i < each; ++i) operation(i);
    });
  }
  gone.wait();
  return {since(start), each * size};
}

sample mutex(int64_t size, int64_t n) {
  runnel::mutex mu;
  int64_t value = 0;
  return contend(size, n, [&](int64_t) {
    std::lock_guard lock(mu);
    ++value;
  });
}

sample rwmutex(int64_t size, int64_t n) {
  runnel::shared_mutex mu;
  int64_t value = 0;
  return contend(size, n, [&](int64_t i) {
    if (i % 10 == 9) {
      std::lock_guard lock(mu);
      ++value;
    } else {
      std::shared_lock lock(mu);
      asm volatile("" : : "r"(value));
    }
  });
}

sample channel(int64_t size, int64_t n) {
  int_chan ch(static_cast<size_t>(size));
  return contend(size, n, [&](int64_t i) {
    ch.send(i);
    (void)ch.recv();
  });
}

template <int64_t Goroutines>
sample sections(int64_t work, int64_t n) {
  runnel::mutex mu;
  return contend(Goroutines, n, [&](int64_t) {
    { std::lock_guard lock(mu); }
    compute(work);
  });
}

using namespace std::chrono_literals;

std::vector<runnel::timer> pending(int64_t size, xorshift& random) {
  std::vector<runnel::timer> timers;
  timers.reserve(static_cast<size_t>(size));
  for (int64_t i = 0; i < size; ++i) {
    timers.push_back(runnel::after_func(
        1h + std::chrono::nanoseconds(random.next() % 3'600'000'000'000), [] {}));
  }
  return timers;
}

template <class Operation>
sample with_timers(int64_t size, int64_t n, Operation operation) {
  xorshift random;
  auto timers = pending(size, random);
  const auto start = clock_type::now();
  for (int64_t i = 0; i < n; ++i) {
    auto& timer = timers[random.next() % timers.size()];
    operation(timer, 1h + std::chrono::nanoseconds(random.next() % 3'600'000'000'000));
  }
  const double seconds = since(start);
  for (auto& timer : timers) timer.stop();
  return {seconds, n};
}

sample reset(int64_t size, int64_t n) {
  return with_timers(size, n,
                     [](runnel::timer& timer, std::chrono::nanoseconds due) { timer.reset(due); });
}

sample churn(int64_t size, int64_t n) {
  return with_timers(size, n, [](runnel::timer& timer, std::chrono::nanoseconds due) {
    timer.stop();
    timer = runnel::after_func(due, [] {});
  });
}

std::vector<runnel::select_case> cases_of(const std::vector<int_chan>& channels) {
  std::vector<runnel::select_case> cases;
  for (const auto& ch : channels) cases.emplace_back(runnel::on_recv(ch));
  return cases;
}

sample ready(int64_t size, int64_t n) {
  std::vector<int_chan> channels;
  for (int64_t i = 0; i < size; ++i) channels.emplace_back(size_t{1});
  auto cases = cases_of(channels);
  xorshift random;
  const auto start = clock_type::now();
  for (int64_t i = 0; i < n; ++i) {
    channels[random.next() % channels.size()].send(i);
    runnel::select(std::span<runnel::select_case>(cases));
  }
  return {since(start), n};
}

sample blocked(int64_t size, int64_t n) {
  std::vector<int_chan> channels(static_cast<size_t>(size));
  auto cases = cases_of(channels);
  const auto start = clock_type::now();
  runnel::wait_group sent;
  sent.go([&] {
    xorshift random;
    for (int64_t i = 0; i < n; ++i) channels[random.next() % channels.size()].send(i);
  });
  for (int64_t i = 0; i < n; ++i) runnel::select(std::span<runnel::select_case>(cases));
  sent.wait();
  return {since(start), n};
}

// ---- the programs of the model; their size is the work in nanoseconds

sample burst(int64_t work, int64_t) {
  constexpr int64_t count = 100000;
  const auto start = clock_type::now();
  runnel::wait_group gone;
  gone.add(count);
  for (int64_t g = 0; g < count; ++g) {
    runnel::go([&gone, work] {
      compute(work);
      gone.done();
    });
  }
  gone.wait();
  return {since(start), count};
}

void grow(int level, int64_t work) {
  if (level == 0) return compute(work);
  runnel::wait_group children;
  for (int i = 0; i < 10; ++i) children.go([=] { grow(level - 1, work); });
  children.wait();
}

sample tree(int64_t work, int64_t) {
  const auto start = clock_type::now();
  grow(5, work);
  return {since(start), 111111};
}

sample pairs_of(int64_t count, int64_t messages, int64_t work) {
  const auto start = clock_type::now();
  runnel::wait_group gone;
  for (int64_t p = 0; p < count; ++p) {
    int_chan to;
    int_chan fro;
    gone.go([=] {
      for (int64_t i = 0; i < messages; ++i) {
        compute(work);
        to.send(i);
        (void)fro.recv();
      }
    });
    gone.go([=] {
      for (int64_t i = 0; i < messages; ++i) {
        (void)to.recv();
        compute(work);
        fro.send(i);
      }
    });
  }
  gone.wait();
  return {since(start), 2 * count * messages};
}

sample pairs(int64_t work, int64_t) { return pairs_of(4, 20000, work); }
sample calls(int64_t work, int64_t) { return pairs_of(4 * runnel::max_procs(), 2000, work); }

struct kind {
  const char* name;
  sample (*run)(int64_t size, int64_t n);
};

constexpr kind kinds[] = {
    {"yield", yields},          {"ring", ring},       {"park", park},   {"capacity", capacity},
    {"mutex", mutex},           {"rwmutex", rwmutex}, {"reset", reset}, {"churn", churn},
    {"ready", ready},           {"blocked", blocked}, {"burst", burst}, {"tree", tree},
    {"channel", channel},       {"pairs", pairs},     {"calls", calls}, {"section2", sections<2>},
    {"section20", sections<20>}};

/// More and more operations until they take long enough, or do not become more: some programs have
/// a length of their own. The first ones, which make the memory that later ones use again, do not
/// count: a thousand new stacks cost 2.4 us each, and used again 0.2.
double measure(const kind& k, int64_t size, double wanted) {
  int64_t before = 0;
  for (int64_t n = 100;;) {
    const sample s = k.run(size, n);
    if (before != 0 && (s.seconds >= wanted || n >= 1'000'000'000 || s.done == before)) {
      return s.seconds * 1e9 / static_cast<double>(s.done);
    }
    before = s.done;
    const double next = wanted / std::max(s.seconds, 1e-9) * static_cast<double>(s.done) * 1.2;
    n = std::clamp(static_cast<int64_t>(std::min(next, 1e9)), n + 1, std::max(n, s.done) * 100);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int64_t size = argc > 2 ? std::atoll(argv[2]) : -1;
  const double wanted = argc > 3 ? std::atof(argv[3]) : 0.1;
  const auto* found = std::find_if(std::begin(kinds), std::end(kinds), [&](const kind& k) {
    return argc > 1 && std::strcmp(k.name, argv[1]) == 0;
  });
  if (found == std::end(kinds) || size < 0) {
    std::fprintf(stderr, "runnel_curves: KIND SIZE [SECONDS]\n");
    return 2;
  }
  const double result = runnel::run([&] {
    calibrate();
    return measure(*found, size, wanted);
  });
  std::printf("%.3f\n", result);
}

// The costs that decide between policies, measured between two threads of this machine: waking,
// cache lines, barriers, naps.
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "model.hpp"

namespace sim {
namespace {

using clock = std::chrono::steady_clock;

nanoseconds since(clock::time_point t) {
  return std::chrono::duration<double, std::nano>(clock::now() - t).count();
}

nanoseconds middle(std::vector<nanoseconds>& values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

long futex(std::atomic<std::uint32_t>& word, int what, std::uint32_t value) {
  return syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), what, value, nullptr, nullptr,
                 0);
}

/// Wakes a sleeping thread again and again: what the call takes, and when the other runs.
void measure_wake(costs& c) {
  constexpr std::uint32_t rounds = 400;
  std::atomic<std::uint32_t> word{0};
  std::atomic<std::uint32_t> seen{0};
  std::atomic<std::int64_t> woken_at{0};
  std::thread sleeper([&] {
    for (std::uint32_t i = 0; i < rounds; ++i) {
      while (word.load() == i) futex(word, FUTEX_WAIT_PRIVATE, i);
      woken_at = clock::now().time_since_epoch().count();
      seen = i + 1;
    }
  });
  std::vector<nanoseconds> call;
  std::vector<nanoseconds> delay;
  for (std::uint32_t i = 0; i < rounds; ++i) {
    std::this_thread::sleep_for(std::chrono::microseconds(200));  // until it is asleep
    const auto start = clock::now();
    word = i + 1;
    futex(word, FUTEX_WAKE_PRIVATE, 1);
    call.push_back(since(start));
    while (seen.load() != i + 1) {
    }
    delay.push_back(static_cast<double>(woken_at.load() - start.time_since_epoch().count()));
  }
  sleeper.join();
  c.wake = middle(call);
  c.wake_delay = middle(delay);
  c.sleep = c.wake / 2;
}

/// A word that goes to and fro: half of the round trip.
void measure_line(costs& c) {
  constexpr int rounds = 50000;
  std::atomic<int> word{0};
  std::thread other([&] {
    for (int i = 0; i < rounds; ++i) {
      while (word.load(std::memory_order_acquire) != 2 * i + 1) {
      }
      word.store(2 * i + 2, std::memory_order_release);
    }
  });
  const auto start = clock::now();
  for (int i = 0; i < rounds; ++i) {
    word.store(2 * i + 1, std::memory_order_release);
    while (word.load(std::memory_order_acquire) != 2 * i + 2) {
    }
  }
  c.line = since(start) / rounds / 2;
  other.join();
}

/// A barrier while another thread computes: the call, and what the other loses by it.
void measure_barrier(costs& c) {
  if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) != 0) return;
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> turns{0};
  std::thread other([&] {
    std::uint64_t mine = 0;
    while (!stop.load(std::memory_order_relaxed)) turns.store(++mine, std::memory_order_relaxed);
  });
  const auto turns_during = [&](auto&& what) {
    const std::uint64_t before = turns.load();
    const auto start = clock::now();
    what();
    return static_cast<double>(turns.load() - before) / since(start);
  };
  const double alone =
      turns_during([] { std::this_thread::sleep_for(std::chrono::milliseconds(50)); });
  constexpr int rounds = 20000;
  std::vector<nanoseconds> call;
  const double disturbed = turns_during([&] {
    for (int i = 0; i < rounds; ++i) {
      const auto start = clock::now();
      syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
      call.push_back(since(start));
    }
  });
  stop = true;
  other.join();
  c.barrier = middle(call);
  c.interrupted = std::clamp(1 - disturbed / alone, 0.0, 1.0) * c.barrier;
}

/// The shortest sleep that Go's thief asks for.
void measure_nap(costs& c) {
  std::vector<nanoseconds> nap;
  for (int i = 0; i < 200; ++i) {
    const auto start = clock::now();
    std::this_thread::sleep_for(std::chrono::microseconds(3));
    nap.push_back(since(start));
  }
  c.nap = middle(nap);
}

}  // namespace

costs measured_costs() {
  costs c;
  measure_wake(c);
  measure_line(c);
  measure_barrier(c);
  measure_nap(c);
  return c;
}

}  // namespace sim

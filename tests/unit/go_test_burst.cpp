// Bursts: many goroutines begun before the first of them runs. They wait without a stack of their
// own (src/runtime/seed_depot.hpp), which nothing but the memory in use may show.
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <runnel/chan.hpp>
#include <runnel/diag.hpp>
#include <runnel/go.hpp>
#include <runnel/runtime.hpp>
#include <runnel/sync/wait_group.hpp>
#include <runnel/time.hpp>
#include <string>
#include <thread>
#include <vector>

#include "support/crew.hpp"
#include "support/test.hpp"

using namespace std::chrono_literals;
using runnel::chan;
using runnel_test::crew;
using runnel_test::crowd;
using runnel_test::eventually;
using runnel_test::goroutine_dump;
using runnel_test::rounds;
using runnel_test::under_sanitizer;

namespace {

constexpr int burst = 2000;

// A callable of a size and alignment of one's own, which says when it finds itself moved wrongly.
template <std::size_t Size, std::size_t Align>
struct sized {
  sized(runnel::wait_group& wg, std::atomic<int>& errors) : done(&wg), wrong(&errors) {
    fill.fill(0x5a);
  }
  void operator()() const {
    const bool aligned = reinterpret_cast<std::uintptr_t>(this) % Align == 0;
    bool intact = true;
    for (const unsigned char byte : fill) intact = intact && byte == 0x5a;
    if (!aligned || !intact) ++*wrong;
    done->done();
  }
  runnel::wait_group* done;
  std::atomic<int>* wrong;
  alignas(Align) std::array<unsigned char, Size - 16> fill;
};

template <std::size_t Size, std::size_t Align = 8>
void run_burst_of() {
  runnel::wait_group done;
  std::atomic<int> wrong{0};
  done.add(rounds(burst));
  for (int i = 0; i < rounds(burst); ++i) runnel::go(sized<Size, Align>(done, wrong));
  done.wait();
  EXPECT_EQ(wrong, 0) << Size << " bytes at " << Align;
}

}  // namespace

RUNNEL_TEST_BOTH(burst, callables_of_all_sizes_arrive_whole) {
  run_burst_of<24>();
  run_burst_of<48>();
  run_burst_of<48, 16>();
  run_burst_of<56>();
  run_burst_of<64, 32>();
  run_burst_of<4096, 64>();
}

RUNNEL_TEST_BOTH(burst, what_is_captured_is_destroyed_once) {
  const auto token = std::make_shared<int>(0);
  runnel::wait_group done;
  done.add(rounds(burst));
  for (int i = 0; i < rounds(burst); ++i) {
    runnel::go([token, own = std::make_unique<int>(i), &done] {
      if (*own < 0) return;
      done.done();
    });
  }
  done.wait();
  EXPECT_TRUE(eventually([&] { return token.use_count() == 1; }));
}

// One goroutine's stack after the other's is enough, however many wait.
RUNNEL_TEST(burst, who_waits_to_begin_has_no_stack) {
  if (runnel::max_procs() != 1) return;  // how many run at once is up to chance
  const std::size_t before = runnel::stats().stacks;
  std::atomic<int> left{3000};
  const chan<void> done;
  for (int i = left; i > 0; --i) {
    runnel::go([&left, done] {
      if (--left == 0) done.close();
    });
  }
  done.recv();
  // Not in the race build. Short, as this loop may be preempted, its reliefs too: 50 to 100 stacks
  // are made, by the hundred on a busy machine; 3000 if each had its own.
  if (under_sanitizer) return;
  EXPECT_LT(runnel::stats().stacks - before, 1000U);
}

// All of a burst at once, each with a stack of its own from then on.
RUNNEL_TEST_BOTH(burst, all_may_park) {
  const int n = crowd(rounds(20'000), 300);
  runnel::wait_group parked, ended;
  const chan<void> gate;
  for (int round = 0; round < 3; ++round) {
    parked.add(n);
    ended.add(n);
    const chan<int> sum(1);
    sum.send(0);
    for (int i = 0; i < n; ++i) {
      runnel::go([&, i] {
        std::array<volatile char, 256> local{};
        local[static_cast<std::size_t>(i) % local.size()] = static_cast<char>(i);
        parked.done();
        gate.recv();
        EXPECT_EQ(local[static_cast<std::size_t>(i) % local.size()], static_cast<char>(i));
        ended.done();
      });
    }
    parked.wait();
    for (int i = 0; i < n; ++i) gate.send();
    ended.wait();
  }
}

namespace {

// Its move constructor does what parks: legal, if unusual, where the goroutine itself does it.
struct parks_when_moved {
  parks_when_moved(chan<int> c, std::atomic<int>& n) : to(std::move(c)), runs(&n) {}
  parks_when_moved(parks_when_moved&& other) noexcept : to(other.to), runs(other.runs) {
    runnel::yield();
    runnel::sleep_for(1us);
  }
  void operator()() const {
    ++*runs;
    to.send(1);
  }
  chan<int> to;
  std::atomic<int>* runs;
};

}  // namespace

RUNNEL_TEST_BOTH(burst, a_move_constructor_may_park) {
  const chan<int> c;
  std::atomic<int> runs{0};
  for (int i = 0; i < 200; ++i) runnel::go(parks_when_moved(c, runs));
  for (int i = 0; i < 200; ++i) c.recv();
  EXPECT_EQ(runs, 200);
}

// From a thread and from goroutines, on every processor at once, ending in any order.
RUNNEL_TEST_BOTH(burst, from_everywhere_at_once) {
  const int n = rounds(3000);
  std::atomic<int> ran{0};
  crew all;
  const auto spawn_all = [&] {
    runnel::wait_group mine;
    mine.add(n);
    for (int i = 0; i < n; ++i) {
      runnel::go([&, i] {
        if (i % 7 == 0) runnel::yield();
        if (i % 31 == 0) runnel::sleep_for(10us);
        ++ran;
        mine.done();
      });
    }
    mine.wait();
  };
  for (int i = 0; i < 4; ++i) all.go(spawn_all);
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) threads.emplace_back(spawn_all);
  all.wait();
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(ran, 6 * n);
}

// Whoever has not begun is alive, for reports and for leak_check.
RUNNEL_TEST(burst, who_has_not_begun_is_reported) {
  if (runnel::max_procs() != 1) return;  // elsewhere they begin at once
  std::atomic<int> begun{0};
  std::size_t alive = 0;
  std::string dump;
  int begun_by_then = 0;
  {
    runnel::leak_check check;
    for (int i = 0; i < 20; ++i) runnel::go([&begun] { ++begun; });
    alive = runnel::num_goroutine();
    dump = goroutine_dump();
    begun_by_then = begun;
    EXPECT_TRUE(eventually([&] { return begun == 20; }));
    EXPECT_EQ(check.leaked(), 0U);
  }
  if (begun_by_then != 0) return;  // preempted
  EXPECT_GE(alive, 21U);
  std::size_t runnable = 0;
  for (std::size_t at = dump.find("[runnable]"); at != std::string::npos;
       at = dump.find("[runnable]", at + 1)) {
    ++runnable;
  }
  EXPECT_EQ(runnable, 20U) << dump;
}

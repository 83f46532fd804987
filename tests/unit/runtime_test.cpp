// The scheduler as programs see it: progress, parallelism, fairness, max_procs, num_goroutine,
// statistics, dumps. Behaviours of Go's runtime/proc_test.go.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <runnel/chan.hpp>
#include <runnel/go.hpp>
#include <runnel/runtime.hpp>
#include <runnel/select.hpp>
#include <runnel/sync/wait_group.hpp>
#include <runnel/time.hpp>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "support/crew.hpp"
#include "support/test.hpp"

using namespace std::chrono_literals;
using runnel::chan;
using runnel_test::crew;
using runnel_test::eventually;
using runnel_test::patience;
using runnel_test::rounds;

namespace {

using clock_type = std::chrono::steady_clock;

void burn(std::chrono::microseconds d) {
  const auto end = clock_type::now() + d;
  while (clock_type::now() < end) {
  }
}

// Burns until told to stop, for patience() at the longest: a starved test fails, it does not hang.
void hog(const std::atomic<bool>& stop) {
  const auto end = clock_type::now() + patience(20s);
  while (!stop.load(std::memory_order_relaxed) && clock_type::now() < end) {
  }
}

}  // namespace

// TestYieldProgress: a goroutine that only yields and polls does not keep others out.
RUNNEL_TEST_BOTH(runtime, a_yielding_poller_lets_others_run) {
  for (const bool locked : {false, true}) {
    const chan<int> c;
    const chan<int> acknowledged;
    crew poller;
    poller.go([&] {
      if (locked) runnel::this_goroutine::lock_os_thread();
      for (bool stop = false; !stop;) {
        if (runnel::select(runnel::on_recv(c), runnel::otherwise()) == 0) {
          acknowledged.send(1);
          stop = true;
        } else {
          runnel::yield();
        }
      }
    });
    runnel::sleep_for(10ms);
    c.send(1);
    acknowledged.recv();
  }
}

// TestGoroutineParallelism: as many goroutines as processors run at the same time, taking turns
// by spinning on a shared word, which none could do unless the others ran, too.
RUNNEL_TEST_BOTH(runtime, as_many_run_at_once_as_there_are_processors) {
  const unsigned parties = static_cast<unsigned>(runnel::max_procs());
  for (int round = 0; round < 3; ++round) {
    std::atomic<unsigned> turn{0};
    crew all;
    for (unsigned p = 0; p < parties; ++p) {
      all.go([&, p] {
        for (unsigned i = 0; i < 3; ++i) {
          const unsigned mine = parties * i + p;
          while (turn.load() != mine) std::this_thread::yield();
          turn.store(mine + 1);
        }
      });
    }
    all.wait();
    EXPECT_EQ(turn, parties * 3);
  }
}

// TestGoroutineParallelism2: the same begun in two stages, after a burst that leaves threads idle.
RUNNEL_TEST_BOTH(runtime, parallelism_after_a_burst) {
  const unsigned parties = static_cast<unsigned>(runnel::max_procs());
  for (int round = 0; round < 3; ++round) {
    {
      std::atomic<unsigned> arrived{0};
      crew burst;
      for (unsigned p = 0; p < parties; ++p) {
        burst.go([&] {
          ++arrived;
          while (arrived < parties) std::this_thread::yield();
        });
      }
    }
    runnel::sleep_for(2ms);
    std::atomic<unsigned> turn{0};
    runnel_test::swarm all;
    for (unsigned p = 0; p < parties; p += 2) {
      all.go([&, p] {
        for (unsigned q = p; q < p + 2 && q < parties; ++q) {
          all.go([&, q] {
            for (unsigned i = 0; i < 3; ++i) {
              const unsigned mine = parties * i + q;
              while (turn.load() != mine) std::this_thread::yield();
              turn.store(mine + 1);
            }
          });
        }
      });
    }
    EXPECT_TRUE(eventually([&] { return turn == parties * 3; }));
  }
}

// TestPreemption, and more than Go asks of C: goroutines that spin on each other's progress
// without ever calling the library, more of them than processors.
RUNNEL_TEST_BOTH(runtime, cpu_hogs_take_turns) {
  std::atomic<int> turn{0};
  const int parties = runnel::max_procs() + 2;
  crew all;
  for (int g = 0; g < parties; ++g) {
    all.go([&, g] {
      for (int i = 0; i < 2; ++i) {
        while (turn.load() % parties != g) {
        }
        ++turn;
      }
    });
  }
  all.wait();
  EXPECT_EQ(turn, 2 * parties);
}

RUNNEL_TEST_BOTH(runtime, hogs_on_every_processor_starve_nobody) {
  std::atomic<bool> stop{false};
  crew hogs;
  for (int i = 0; i < runnel::max_procs() + 1; ++i) hogs.go([&] { hog(stop); });
  runnel_test::let_others_run();
  // Others get to run, timers fire, channels work.
  const auto begin = clock_type::now();
  for (int i = 0; i < 5; ++i) {
    const chan<int> c;
    runnel::go([c] { c.send(1); });
    EXPECT_EQ(c.recv(), 1);
    runnel::sleep_for(1ms);
    EXPECT_TRUE(runnel::after(1ms).recv());
  }
  stop = true;
  EXPECT_LT(clock_type::now() - begin, patience());
}

// TestTimerFairness2-like: hidden system calls that block, in more goroutines than processors.
RUNNEL_TEST_BOTH(runtime, hidden_blocking_starves_nobody) {
  std::atomic<bool> stop{false};
  crew sleepers;
  for (int i = 0; i < runnel::max_procs() + 4; ++i) {
    sleepers.go([&] {
      const auto end = clock_type::now() + patience(20s);
      while (!stop && clock_type::now() < end) std::this_thread::sleep_for(50ms);  // not ours
    });
  }
  const auto begin = clock_type::now();
  for (int i = 0; i < 20; ++i) {
    const chan<int> c;
    runnel::go([c] { c.send(1); });
    EXPECT_EQ(c.recv(), 1);
  }
  stop = true;
  EXPECT_LT(clock_type::now() - begin, patience());
}

// TestPingPongHog: two pairs share one processor; the pair that does little work per turn gets
// its turns although the other pair's turns are long.
RUNNEL_TEST(runtime, light_and_heavy_pairs_both_get_turns) {
  if (runnel::max_procs() != 1) return;  // about one processor; the other counts say nothing here
  const chan<void> done;
  const chan<int> heavy;
  const chan<int> light;
  std::atomic<long> heavy_turns{0};
  std::atomic<long> light_turns{0};
  crew all;
  const auto pair = [&](const chan<int>& wake, std::atomic<long>& turns,
                        std::chrono::microseconds work) {
    for (int i = 0; i < 2; ++i) {
      all.go([&, wake, work] {
        for (;;) {
          if (runnel::select(runnel::on_recv(done), runnel::on_recv(wake)) == 0) return;
          ++turns;
          burn(work);
          if (runnel::select(runnel::on_recv(done), runnel::on_send(wake, 1)) == 0) return;
        }
      });
    }
  };
  pair(heavy, heavy_turns, 1000us);
  pair(light, light_turns, 1us);
  heavy.send(1);
  light.send(1);
  runnel::sleep_for(300ms);
  done.close();
  all.wait();
  EXPECT_GT(light_turns, 10);
  EXPECT_GT(heavy_turns, 10);
}

// One goroutine readies another over and over; a third, runnable all the time, is not forgotten.
RUNNEL_TEST_BOTH(runtime, a_ping_pong_does_not_starve_the_queue) {
  const chan<int> ping;
  const chan<int> pong;
  std::atomic<bool> stop{false};
  crew players;
  players.go([&] {
    const auto end = clock_type::now() + patience(20s);
    while (!stop && clock_type::now() < end) {
      ping.send(1);
      pong.recv();
    }
    ping.close();
  });
  players.go([&] {
    while (ping.recv()) pong.send(1);
  });
  const auto begin = clock_type::now();
  std::atomic<int> ran{0};
  for (int i = 0; i < 50; ++i) runnel::go([&] { ++ran; });
  EXPECT_TRUE(eventually([&] { return ran == 50; }));
  stop = true;
  players.wait();
  EXPECT_LT(clock_type::now() - begin, patience());
}

// TestStopTheWorldDeadlock's mixture: goroutines that begin goroutines for ever while the number
// of processors changes.
RUNNEL_TEST_BOTH(runtime, max_procs_changes_while_everything_runs) {
  const int before = runnel::max_procs();
  std::atomic<bool> stop{false};
  std::atomic<long> hops{0};
  runnel_test::swarm all;
  struct mobile {
    static void move_on(runnel_test::swarm& all, std::atomic<bool>& stop, std::atomic<long>& hops) {
      ++hops;
      if (!stop) all.go([&] { move_on(all, stop, hops); });
    }
  };
  for (int i = 0; i < 4; ++i) all.go([&] { mobile::move_on(all, stop, hops); });
  int current = before;
  for (int i = 0; i < rounds(300); ++i) {
    const int next = 1 + (i * 7) % 8;
    EXPECT_EQ(runnel::max_procs(next), current);
    EXPECT_EQ(runnel::max_procs(), next);
    current = next;
    if (i % 10 == 0) runnel::sleep_for(1ms);
  }
  const long seen = hops;
  EXPECT_TRUE(eventually([&] { return hops > seen; }));
  stop = true;
  runnel::max_procs(before);
}

RUNNEL_TEST_BOTH(runtime, max_procs_ignores_what_is_no_number_of_processors) {
  const int now = runnel::max_procs();
  EXPECT_EQ(runnel::max_procs(0), now);  // as GOMAXPROCS: n < 1 changes nothing
  EXPECT_EQ(runnel::max_procs(-5), now);
  EXPECT_EQ(runnel::max_procs(), now);
  EXPECT_GE(runnel::num_cpu(), 1);
  EXPECT_LE(runnel::num_cpu(), static_cast<int>(std::thread::hardware_concurrency()));
}

// TestBigGOMAXPROCS
RUNNEL_TEST_BOTH(runtime, more_processors_than_anyone_has) {
  const int before = runnel::max_procs(1024);
  EXPECT_EQ(runnel::max_procs(), 1024);
  {
    crew all;
    for (int i = 0; i < 100; ++i) all.go([] { runnel::yield(); });
  }
  runnel::max_procs(before);
}

RUNNEL_TEST_BOTH(runtime, num_goroutine_counts_goroutines_alive) {
  const std::size_t before = runnel::num_goroutine();
  const chan<void> release;
  crew all;
  for (std::size_t i = 1; i <= 100; ++i) {
    all.go([&] { release.recv(); });
    EXPECT_EQ(runnel::num_goroutine(), before + i);
  }
  std::thread thread([&] { release.recv(); });
  runnel_test::let_others_run();
  EXPECT_EQ(runnel::num_goroutine(), before + 100);  // threads are not counted
  release.close();
  all.wait();
  runnel::blocking([&] { thread.join(); });
  EXPECT_TRUE(eventually([&] { return runnel::num_goroutine() == before; }));
}

RUNNEL_TEST_BOTH(runtime, dump_names_every_goroutine_with_its_state) {
  const chan<int> c;
  const chan<int> full;
  const chan<void> end;
  std::atomic<bool> stop{false};
  std::atomic<int> alive{0};
  const auto begin = [&](const char* name, auto f) {
    ++alive;
    runnel::go({.name = name}, [&alive, f] {
      f();
      --alive;
    });
  };
  begin("receiver", [=] { c.recv(); });
  begin("sender", [=] { full.send(1); });
  begin("selector", [=] { runnel::select(runnel::on_recv(c), runnel::on_recv(end)); });
  begin("sleeper", [&] {
    while (!stop) runnel::sleep_for(200ms);
  });
  begin("blocker", [&] {
    while (!stop) runnel::blocking([] { std::this_thread::sleep_for(200ms); });
  });
  const std::string expected[] = {" \"receiver\" [chan receive]:\n", " \"sender\" [chan send]:\n",
                                  " \"selector\" [select]:\n", " \"sleeper\" [sleep]:\n",
                                  " \"blocker\" [blocking]:\n"};
  std::string dump;
  EXPECT_TRUE(eventually([&] {
    dump = runnel_test::goroutine_dump();
    return std::all_of(std::begin(expected), std::end(expected), [&](const std::string& part) {
      return dump.find(part) != std::string::npos;
    });
  })) << dump;
  stop = true;
  c.close();
  end.close();
  full.recv();
  EXPECT_TRUE(eventually([&] { return alive == 0; }));
}

RUNNEL_TEST_BOTH(runtime, dumps_while_everything_moves) {
  std::atomic<bool> stop{false};
  const chan<int> c(3);
  crew all;
  for (int i = 0; i < 8; ++i) {
    all.go([&, i] {
      while (!stop) {
        if (i % 2 == 0) {
          runnel::select(runnel::on_send(c, i), runnel::on_timeout(100us));
        } else {
          runnel::select(runnel::on_recv(c), runnel::on_timeout(100us));
        }
        runnel::run([] { runnel::yield(); });
      }
    });
  }
  for (int i = 0; i < rounds(8); ++i) {
    const std::string dump = runnel_test::goroutine_dump();
    EXPECT_NE(dump.find("goroutine "), std::string::npos);
    runnel::sleep_for(1ms);
  }
  stop = true;
}

RUNNEL_TEST_BOTH(runtime, stats_count_what_happens) {
  const runnel::runtime_stats before = runnel::stats();
  {
    const chan<int> c;
    crew all;
    for (int i = 0; i < 100; ++i) all.go([&] { c.send(1); });
    for (int i = 0; i < 100; ++i) c.recv();
  }
  const runnel::runtime_stats after = runnel::stats();
  EXPECT_GE(after.spawned - before.spawned, 100U);
  EXPECT_GE(after.parked, before.parked);
  EXPECT_GE(after.threads, 1U);
  EXPECT_GT(after.stack_bytes_reserved, 0U);
}

RUNNEL_TEST_BOTH(runtime, leak_check_reports_what_is_still_alive) {
  const chan<void> release;
  testing::internal::CaptureStderr();
  std::size_t leaked = 0;
  {
    runnel::leak_check check;
    runnel::go({.name = "leaky"}, [release] { release.recv(); });
    runnel::go([] {});
    leaked = check.leaked();
  }
  const std::string report = testing::internal::GetCapturedStderr();
  EXPECT_EQ(leaked, 1U);
  EXPECT_NE(report.find("\"leaky\" [chan receive]"), std::string::npos) << report;

  testing::internal::CaptureStderr();
  {
    // Begun before the scope: not this check's affair. Ending within the grace period: no leak.
    const runnel::leak_check check;
    runnel::go([] { runnel::sleep_for(5ms); });
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  release.close();
}

// Goroutines that pass values all the time come to share a processor, which then keeps to itself.
// One that computes, begun among them, must get another one: neither waits for the other's end.
RUNNEL_TEST_BOTH(runtime, one_that_computes_leaves_the_talkative_alone) {
  std::atomic<bool> stop{false};
  std::atomic<long> turns{0};
  std::atomic<long> steps{0};
  crew all;
  for (int pair = 0; pair < 3; ++pair) {
    const chan<int> there;
    const chan<int> back;
    all.go([&, there, back] {
      while (!stop) {
        there.send(1);
        back.recv();
        ++turns;
      }
      there.close();
    });
    all.go([there, back] {
      for (const int v : there) back.send(v);
    });
  }
  ASSERT_TRUE(eventually([&] { return turns > rounds(100'000); }));
  for (int round = 0; round < 3; ++round) {
    std::atomic<bool> enough{false};
    crew computing;
    computing.go([&] {
      while (!enough) ++steps;
    });
    const long turns_before = turns;
    const long steps_before = steps;
    EXPECT_TRUE(eventually([&] {
      return turns > turns_before + rounds(1000) && steps > steps_before + rounds(1000);
    }));
    enough = true;
  }
  stop = true;
}

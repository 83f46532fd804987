// In steady state nothing is allocated: go, send, recv, select, sleep, timers, run, on recycled
// goroutines. Proven by counting every call of the allocator and of mmap in the process.
#include <atomic>
#include <runnel/chan.hpp>
#include <runnel/go.hpp>
#include <runnel/select.hpp>
#include <runnel/sync.hpp>
#include <runnel/time.hpp>
#include <vector>

#include "support/alloc_count.hpp"
#include "support/test.hpp"

#if !RUNNEL_TEST_TSAN && !RUNNEL_TEST_ASAN  // their allocators are not ours to count

using namespace std::chrono_literals;
using runnel::chan;
using runnel_test::alloc_counts;
using runnel_test::expect_no_allocation;

namespace {

constexpr int repetitions = 1000;

}  // namespace

RUNNEL_TEST_BOTH(alloc, the_counter_counts) {
  const alloc_counts before = runnel_test::allocations();
  // Volatile, so that the compiler may not leave the pair out.
  int* volatile p = new int(1);
  delete p;
  void* volatile q = std::malloc(10);
  std::free(q);
  EXPECT_GE((runnel_test::allocations() - before).heap, 2U);
}

RUNNEL_TEST_BOTH(alloc, go) {
  const chan<void> done(repetitions);
  expect_no_allocation([&] {
    // In waves: what is recycled is what has ended.
    for (int wave = 0; wave < 10; ++wave) {
      for (int i = 0; i < repetitions / 10; ++i) {
        runnel::go([&done, wave, i] {
          if (wave >= 0 && i >= 0) done.send();
        });
      }
      for (int i = 0; i < repetitions / 10; ++i) done.recv();
    }
  });
}

RUNNEL_TEST_BOTH(alloc, go_with_name_and_arguments) {
  const chan<int> done(100);
  expect_no_allocation([&] {
    for (int i = 0; i < 100; ++i) {
      runnel::go(
          {.name = "worker"}, [&](int a, int b) { done.send(a + b); }, i, 1);
    }
    for (int i = 0; i < 100; ++i) done.recv();
  });
}

RUNNEL_TEST_BOTH(alloc, run) {
  expect_no_allocation([] {
    for (int i = 0; i < repetitions; ++i) runnel::run([i] { return i; });
  });
}

RUNNEL_TEST_BOTH(alloc, buffered_send_and_recv) {
  const chan<int> c(64);
  expect_no_allocation([&] {
    for (int i = 0; i < repetitions; ++i) {
      c.send(i);
      int v = 0;
      (void)c.try_send(i);
      (void)c.recv();
      (void)c.try_recv(v);
    }
  });
}

RUNNEL_TEST_BOTH(alloc, unbuffered_ping_pong) {
  const chan<int> ping;
  const chan<int> pong;
  runnel::go([=] {
    for (const int v : ping) pong.send(v);
  });
  expect_no_allocation([&] {
    for (int i = 0; i < repetitions; ++i) {
      ping.send(i);
      (void)pong.recv();
    }
  });
  ping.close();
}

RUNNEL_TEST_BOTH(alloc, making_a_channel_is_one_allocation) {
  alloc_counts used;
  for (int i = 0; i < 3; ++i) {
    const alloc_counts before = runnel_test::allocations();
    const chan<int> c(100);
    const chan<int> copy = c;
    const runnel::send_chan<int> in = copy;
    used = runnel_test::allocations() - before;
  }
  EXPECT_EQ(used.heap, 1U);
}

RUNNEL_TEST_BOTH(alloc, select) {
  const chan<int> a(1);
  const chan<int> b;
  const chan<void> idle;
  const chan<void> stop;
  runnel::go([=] {
    while (runnel::select(runnel::on_recv(b), runnel::on_recv(stop)) == 0) {
    }
  });
  expect_no_allocation([&] {
    int v = 0;
    for (int i = 0; i < repetitions; ++i) {
      runnel::select(runnel::on_send(a, i), runnel::on_recv(a, v));                       // ready
      runnel::select(runnel::on_recv(idle), runnel::on_send(idle), runnel::otherwise());  // not
      runnel::select(runnel::on_send(b, i), runnel::on_recv(stop), runnel::on_timeout(1h));
    }
  });
  stop.close();
}

RUNNEL_TEST_BOTH(alloc, select_that_blocks_on_many_and_times_out) {
  std::vector<chan<int>> c(12);
  expect_no_allocation([&] {
    for (int i = 0; i < 50; ++i) {
      runnel::select(runnel::on_recv(c[0]), runnel::on_recv(c[1]), runnel::on_recv(c[2]),
                     runnel::on_recv(c[3]), runnel::on_recv(c[4]), runnel::on_recv(c[5]),
                     runnel::on_send(c[6], 1), runnel::on_send(c[7], 1), runnel::on_send(c[8], 1),
                     runnel::on_send(c[9], 1), runnel::on_send(c[10], 1), runnel::on_send(c[11], 1),
                     runnel::on_timeout(20us));
    }
  });
}

RUNNEL_TEST_BOTH(alloc, sleep_and_timers) {
  runnel::timer timer(1h);
  runnel::ticker ticker(1h);
  expect_no_allocation([&] {
    for (int i = 0; i < 50; ++i) {
      runnel::sleep_for(10us);
      timer.reset(10us);
      (void)timer.c().recv();
      timer.reset(1h);
      timer.stop();
      ticker.reset(1h);
    }
  });
}

RUNNEL_TEST_BOTH(alloc, mutex_and_wait_group) {
  runnel::mutex mutex;
  int counter = 0;
  expect_no_allocation([&] {
    for (int wave = 0; wave < 20; ++wave) {
      runnel::wait_group group;
      group.add(8);
      for (int i = 0; i < 8; ++i) {
        runnel::go([&] {
          for (int k = 0; k < 50; ++k) {
            mutex.lock();
            ++counter;
            if (k % 10 == 0) runnel::yield();  // so that others find it locked
            mutex.unlock();
          }
          group.done();
        });
      }
      group.wait();
    }
  });
  EXPECT_GT(counter, 0);
}

RUNNEL_TEST_BOTH(alloc, blocking_calls) {
  expect_no_allocation([] {
    for (int i = 0; i < 50; ++i) runnel::blocking([] {});
  });
}

RUNNEL_TEST_BOTH(alloc, exceptions_of_goroutines_cost_what_throw_costs) {
  // One allocation each: the exception object. Nothing for switching while it is handled.
  constexpr int n = 100;
  std::uint64_t least = ~0ULL;
  for (int round = 0; round < 5; ++round) {
    const alloc_counts before = runnel_test::allocations();
    for (int i = 0; i < n; ++i) {
      try {
        throw i;
      } catch (int) {
        runnel::yield();
      }
    }
    least = std::min(least, (runnel_test::allocations() - before).heap);
  }
  EXPECT_EQ(least, static_cast<std::uint64_t>(n));
}

#endif

// Goroutines and the threads under them: lock_os_thread, blocking, errno, system calls, signals,
// plain threads.
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <runnel/chan.hpp>
#include <runnel/go.hpp>
#include <runnel/runtime.hpp>
#include <runnel/select.hpp>
#include <runnel/time.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/crew.hpp"
#include "support/test.hpp"

using namespace std::chrono_literals;
using runnel::chan;
using runnel_test::crew;
using runnel_test::eventually;
using runnel_test::rounds;

namespace {

// errno's address must be asked for anew after every park; the compiler may keep the address it
// has, because __errno_location is declared const. Out of line it cannot.
[[gnu::noinline]] void set_errno(int value) {
  errno = value;
  asm volatile("" ::: "memory");
}
[[gnu::noinline]] int get_errno() {
  asm volatile("" ::: "memory");
  return errno;
}

}  // namespace

RUNNEL_TEST_BOTH(threads, errno_belongs_to_the_goroutine) {
  crew all;
  for (int g = 1; g <= 40; ++g) {
    all.go([g] {
      for (int i = 0; i < rounds(100); ++i) {
        set_errno(g);
        if (i % 3 == 0) runnel::yield();
        if (i % 3 == 1) runnel::sleep_for(20us);
        if (i % 3 == 2) runnel::select(runnel::on_timeout(20us));
        ASSERT_EQ(get_errno(), g);
      }
    });
  }
}

RUNNEL_TEST_BOTH(threads, errno_is_kept_across_channel_operations) {
  const chan<int> c;
  crew peer;
  peer.go([&] {
    for (int i = 0; i < 100; ++i) c.send(i);
  });
  for (int i = 0; i < 100; ++i) {
    set_errno(77);
    c.recv();
    ASSERT_EQ(get_errno(), 77);
  }
}

// A sleeper's futex says EINTR then, or EAGAIN if the value came just before it slept.
RUNNEL_TEST_THREAD(threads, errno_is_kept_by_a_wait_that_signals_interrupt) {
  static std::atomic<int> handled;
  handled = 0;
  struct sigaction action = {};
  struct sigaction old = {};
  action.sa_handler = [](int) { ++handled; };  // without SA_RESTART
  sigemptyset(&action.sa_mask);
  ASSERT_EQ(sigaction(SIGUSR1, &action, &old), 0);
  const chan<int> c;
  const pthread_t receiver = ::pthread_self();
  std::thread sender([&] {
    // Each is handled while the receiver sleeps: it wakes up for nothing else.
    for (int i = 1; i <= 5; ++i) {
      std::this_thread::sleep_for(2ms);
      ::pthread_kill(receiver, SIGUSR1);
      while (handled < i) std::this_thread::yield();
    }
    c.send(1);
  });
  set_errno(77);
  EXPECT_EQ(c.recv(), 1);
  EXPECT_EQ(get_errno(), 77);
  sender.join();
  EXPECT_EQ(sigaction(SIGUSR1, &old, nullptr), 0);
}

RUNNEL_TEST(threads, a_locked_goroutine_stays_on_its_thread) {
  crew all;
  for (int g = 0; g < 4; ++g) {
    all.go([] {
      runnel::this_goroutine::lock_os_thread();
      const pid_t mine = ::gettid();
      const chan<int> c;
      for (int i = 0; i < 20; ++i) {
        runnel::yield();
        ASSERT_EQ(::gettid(), mine);
        runnel::sleep_for(100us);
        ASSERT_EQ(::gettid(), mine);
        runnel::go([c] { c.send(static_cast<int>(::gettid())); });
        // and nobody else runs on it meanwhile
        ASSERT_NE(c.recv(), static_cast<int>(mine));
        ASSERT_EQ(::gettid(), mine);
        runnel::blocking([&] { ASSERT_EQ(::gettid(), mine); });
        ASSERT_EQ(::gettid(), mine);
      }
      runnel::this_goroutine::unlock_os_thread();
    });
  }
}

// TestLockOSThreadNesting
RUNNEL_TEST(threads, locks_nest) {
  crew all;
  all.go([] {
    using runnel::this_goroutine::lock_os_thread;
    using runnel::this_goroutine::unlock_os_thread;
    lock_os_thread();
    lock_os_thread();
    unlock_os_thread();
    const pid_t mine = ::gettid();
    const chan<int> c;
    for (int i = 0; i < 10; ++i) {
      runnel::go([c] { c.send(static_cast<int>(::gettid())); });
      ASSERT_NE(c.recv(), static_cast<int>(mine));
      ASSERT_EQ(::gettid(), mine);
    }
    unlock_os_thread();
    unlock_os_thread();  // one too many: nothing, as in Go
    runnel::yield();
  });
}

// TestBlockLocked, TestYieldLocked
RUNNEL_TEST_BOTH(threads, locked_goroutines_block_yield_and_end_locked) {
  for (int round = 0; round < rounds(20); ++round) {
    const chan<int> c;
    crew all;
    all.go([&] {
      runnel::this_goroutine::lock_os_thread();
      for (int i = 0; i < 10; ++i) {
        c.send(i);
        runnel::yield();
      }
      // ends without unlocking
    });
    for (int i = 0; i < 10; ++i) ASSERT_EQ(c.recv(), i);
  }
}

RUNNEL_TEST_BOTH(threads, many_locked_goroutines_talk_to_each_other) {
  constexpr int n = 20;
  std::vector<chan<int>> ring(n);
  crew all;
  for (std::size_t i = 0; i < n; ++i) {
    all.go([&, i] {
      runnel::this_goroutine::lock_os_thread();
      const pid_t mine = ::gettid();
      for (int round = 0; round < rounds(50); ++round) {
        const int v = *ring[i].recv();
        ASSERT_EQ(::gettid(), mine);
        if (i + 1 < n) ring[i + 1].send(v + 1);
      }
      runnel::this_goroutine::unlock_os_thread();
    });
  }
  for (int round = 0; round < rounds(50); ++round) ring[0].send(round);
}

RUNNEL_TEST_BOTH(threads, blocking_returns_and_throws) {
  EXPECT_EQ(runnel::blocking([] { return 5; }), 5);
  int target = 0;
  int& reference = runnel::blocking([&]() -> int& { return target; });
  EXPECT_EQ(&reference, &target);
  EXPECT_EQ(*runnel::blocking([] { return std::make_unique<int>(3); }), 3);
  EXPECT_THROW(runnel::blocking([] { throw std::runtime_error("inside"); }), std::runtime_error);
  runnel::blocking([] { runnel::blocking([] {}); });  // nested
  // the library may be used inside
  const chan<int> c;
  runnel::go([c] { c.send(4); });
  EXPECT_EQ(runnel::blocking([&] { return c.recv(); }), 4);
}

RUNNEL_TEST_BOTH(threads, blocking_hands_the_processor_over) {
  // As many blocked goroutines as there are processors and more: the others go on.
  int fds[2];
  ASSERT_EQ(::pipe(fds), 0);
  crew blocked;
  std::atomic<int> inside{0};
  const int n = runnel::max_procs() + 3;
  for (int i = 0; i < n; ++i) {
    blocked.go([&] {
      ++inside;
      char byte = 0;
      EXPECT_EQ(runnel::blocking([&] { return ::read(fds[0], &byte, 1); }), 1);
    });
  }
  EXPECT_TRUE(eventually([&] { return inside == n; }));
  for (int i = 0; i < 100; ++i) EXPECT_EQ(runnel::run([i] { return i; }), i);
  const std::string bytes(static_cast<std::size_t>(n), 'x');
  EXPECT_EQ(::write(fds[1], bytes.data(), bytes.size()), n);
  blocked.wait();
  ::close(fds[0]);
  ::close(fds[1]);
}

// While everything else is inside a blocking call, announced or not, timers still fire.
RUNNEL_TEST_BOTH(threads, timers_fire_while_all_else_blocks) {
  for (const bool announced : {true, false}) {
    int fds[2];
    ASSERT_EQ(::pipe(fds), 0);
    crew blocked;
    const int n = runnel::max_procs() + 1;
    for (int i = 0; i < n; ++i) {
      blocked.go([&, announced] {
        char byte = 0;
        const auto read_one = [&] { return ::read(fds[0], &byte, 1); };
        EXPECT_EQ(announced ? runnel::blocking(read_one) : read_one(), 1);
      });
    }
    for (int i = 0; i < 3; ++i) runnel::sleep_for(120ms);
    EXPECT_EQ(runnel::select(runnel::on_timeout(120ms)), 0U);
    const std::string bytes(static_cast<std::size_t>(n), 'x');
    EXPECT_EQ(::write(fds[1], bytes.data(), bytes.size()), n);
    blocked.wait();
    ::close(fds[0]);
    ::close(fds[1]);
  }
}

// A blocking read that nobody announced: others go on, and the runtime never makes it fail.
RUNNEL_TEST_BOTH(threads, unannounced_reads_see_no_eintr_and_block_nobody) {
  int fds[2];
  ASSERT_EQ(::pipe(fds), 0);
  const int n = runnel::max_procs() + 3;
  crew readers;
  std::atomic<int> good{0};
  for (int i = 0; i < n; ++i) {
    readers.go([&] {
      char byte = 0;
      const ssize_t got = ::read(fds[0], &byte, 1);
      EXPECT_EQ(got, 1) << "errno " << errno;
      if (got == 1) ++good;
    });
  }
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(runnel::run([i] { return i; }), i);
    runnel::sleep_for(1ms);
  }
  EXPECT_EQ(good, 0);
  const std::string bytes(static_cast<std::size_t>(n), 'x');
  EXPECT_EQ(::write(fds[1], bytes.data(), bytes.size()), n);
  readers.wait();
  EXPECT_EQ(good, n);
  ::close(fds[0]);
  ::close(fds[1]);
}

RUNNEL_TEST_BOTH(threads, hundreds_of_blocking_calls_at_once) {
  std::atomic<int> done{0};
  const auto begin = std::chrono::steady_clock::now();
  {
    crew all;
    const int n = runnel_test::under_sanitizer ? 100 : 400;
    for (int i = 0; i < n; ++i) {
      all.go([&] {
        runnel::blocking([] { std::this_thread::sleep_for(20ms); });
        ++done;
      });
    }
    all.wait();
    EXPECT_EQ(done, n);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, runnel_test::patience(30s));
}

RUNNEL_TEST_THREAD(threads, every_operation_on_plain_threads) {
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < rounds(20); ++i) {
        const chan<int> c(1);
        c.send(i);
        EXPECT_EQ(c.recv(), i);
        const chan<int> u;
        runnel::go([u, i] { u.send(i); });
        EXPECT_EQ(u.recv(), i);
        EXPECT_EQ(runnel::run([t] { return t; }), t);
        EXPECT_EQ(runnel::blocking([i] { return i; }), i);
        runnel::yield();
        runnel::sleep_for(10us);
        EXPECT_EQ(runnel::select(runnel::on_recv(c), runnel::on_timeout(10us)), 1U);
        EXPECT_GE(runnel::max_procs(), 1);
        (void)runnel::num_goroutine();
        runnel::this_goroutine::lock_os_thread();
        runnel::this_goroutine::unlock_os_thread();
        EXPECT_EQ(runnel::this_goroutine::name(), "");
        ++good;
      }
    });
  }
  for (auto& t : threads) t.join();
  EXPECT_EQ(good, 8 * rounds(20));
}

RUNNEL_TEST_THREAD(threads, thousands_of_short_lived_plain_threads) {
  const chan<int> c(16);
  std::atomic<long> sum{0};
  crew receiver;
  receiver.go([&] {
    for (const int v : c) sum += v;
  });
  for (int i = 0; i < rounds(2000); ++i) {
    std::thread([&, i] { c.send(i); }).join();
  }
  c.close();
  receiver.wait();
  const long n = rounds(2000);
  EXPECT_EQ(sum, n * (n - 1) / 2);
}

namespace {

// A thread_local of the program's own that uses the library when its thread ends.
struct says_goodbye {
  explicit says_goodbye(chan<int> c) : out(std::move(c)) {}
  says_goodbye(const says_goodbye&) = delete;
  says_goodbye& operator=(const says_goodbye&) = delete;
  ~says_goodbye() { out.send(1); }
  chan<int> out;
};

}  // namespace

RUNNEL_TEST_THREAD(threads, library_calls_in_destructors_of_thread_locals) {
  static chan<int> out;
  for (int i = 0; i < 20; ++i) {
    std::thread thread([] {
      thread_local says_goodbye goodbye(out);
      EXPECT_TRUE(goodbye.out);
    });
    EXPECT_EQ(out.recv(), 1);
    thread.join();
  }
}

RUNNEL_TEST_BOTH(threads, user_signal_handlers_interrupt_nothing) {
  static std::atomic<int> handled;
  handled = 0;
  struct sigaction action = {};
  struct sigaction old = {};
  action.sa_handler = [](int) { ++handled; };
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  ASSERT_EQ(sigaction(SIGUSR1, &action, &old), 0);
  std::atomic<bool> stop{false};
  std::thread pest([&] {
    while (!stop) {
      ::kill(::getpid(), SIGUSR1);
      std::this_thread::sleep_for(200us);
    }
  });
  {
    const chan<int> c;
    crew all;
    for (int g = 0; g < 4; ++g) {
      all.go([&] {
        for (int i = 0; i < rounds(200); ++i) {
          c.send(i);
          runnel::sleep_for(20us);
        }
      });
      all.go([&] {
        for (int i = 0; i < rounds(200); ++i) c.recv();
      });
    }
  }
  EXPECT_TRUE(eventually([&] { return handled > 0; }));
  stop = true;
  runnel::blocking([&] { pest.join(); });
  // Ignoring it discards one that is still pending, which the old disposition would let kill us.
  action.sa_handler = SIG_IGN;
  sigaction(SIGUSR1, &action, nullptr);
  sigaction(SIGUSR1, &old, nullptr);
}

namespace {

// Voluntary context switches of all threads so far: how often anything went to sleep.
long sleeps_of_all_threads() {
  long total = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream status(task.path() / "status");
    for (std::string line; std::getline(status, line);) {
      const std::string key = "voluntary_ctxt_switches:";
      if (line.rfind(key, 0) == 0) total += std::stol(line.substr(key.size()));
    }
  }
  return total;
}

}  // namespace

// Idle means idle: with everything parked, one of them with a distant time-out, no thread wakes up.
RUNNEL_TEST_BOTH(threads, an_idle_process_does_not_wake_up) {
  const chan<void> release;
  crew parked;
  for (int i = 0; i < 1000; ++i) parked.go([&] { release.recv(); });
  parked.go([&] { runnel::select(runnel::on_recv(release), runnel::on_timeout(1h)); });
  const chan<long> measured;
  std::thread observer([&] {
    // Searching machines give up, sysmon falls asleep.
    std::this_thread::sleep_for(runnel_test::emulated ? 2s : 500ms);
    const long before = sleeps_of_all_threads();
    std::this_thread::sleep_for(1s);
    measured.send(sleeps_of_all_threads() - before);
  });
  // The observer's own sleep is one; a monitor that polls would take hundreds. ThreadSanitizer's
  // own thread wakes up ten times, and main as often, to take signals.
  EXPECT_LE(*measured.recv(), RUNNEL_TEST_TSAN ? 30 : 5);
  release.close();
  runnel::blocking([&] { observer.join(); });
}

// Where goroutines compute for some milliseconds each, and others wait behind them, the monitor
// takes naps of a millisecond, and a short one now and then: its looks take CPU from them.
RUNNEL_TEST(threads, the_monitor_rests_while_all_compute) {
  if (runnel::max_procs() > 2 || runnel_test::under_sanitizer || runnel_test::emulated) return;
  // A CPU that is taken away looks like a blocked thread, which it does look after. Hosts have been
  // seen to do so for more than two seconds on end.
  bool rested = false;
  for (int attempt = 0; !rested && attempt < 50; ++attempt) {
    const auto begun = std::chrono::steady_clock::now();
    const long before = sleeps_of_all_threads();
    {
      crew computing;
      for (int i = 0; i < 4 * runnel::max_procs(); ++i) {
        computing.go([&] {
          while (std::chrono::steady_clock::now() < begun + 200ms) {
            const auto until = std::chrono::steady_clock::now() + 3ms;
            while (std::chrono::steady_clock::now() < until) {
            }
            runnel::yield();
          }
        });
      }
    }
    rested = sleeps_of_all_threads() - before < 700;  // 260 of them; 1700 when they stayed short
  }
  EXPECT_TRUE(rested);
}

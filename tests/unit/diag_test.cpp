// dump_goroutines and leak_check. Reports that end the program are in tests/programs.
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <latch>
#include <runnel/chan.hpp>
#include <runnel/diag.hpp>
#include <runnel/go.hpp>
#include <runnel/select.hpp>
#include <runnel/sync.hpp>
#include <runnel/time.hpp>
#include <shared_mutex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "support/test.hpp"

using namespace std::chrono_literals;
using runnel::chan;
using runnel_test::eventually;

namespace {

std::string dump() {
  std::ostringstream out;
  runnel::dump_goroutines(out);
  return out.str();
}

// The paragraph of a dump that begins with `start`; empty if there is none.
std::string paragraph(const std::string& text, const std::string& start) {
  std::size_t at = text.starts_with(start) ? 0 : text.find("\n\n" + start);
  if (at == std::string::npos) return {};
  if (at != 0) at += 2;
  const std::size_t end = text.find("\n\n", at);
  return text.substr(at, end == std::string::npos ? end : end - at + 1);
}

// The paragraph of the goroutine of that name, without the varying start "goroutine N ".
std::string of_goroutine(const std::string& text, const std::string& name) {
  const std::string quoted = " \"" + name + "\" [";
  const std::size_t at = text.find(quoted);
  if (at == std::string::npos) return {};
  const std::size_t end = text.find("\n\n", at);
  return text.substr(at + quoted.size() - 1, end == std::string::npos ? end : end - at);
}

bool has_state(const std::string& name, const std::string& state) {
  return of_goroutine(dump(), name).starts_with("[" + state + "]:\n");
}

// What fails shows the whole dump.
#define EXPECT_STATE(Name, State) \
  EXPECT_TRUE(eventually([&] { return has_state(Name, State); })) << dump()

}  // namespace

// At namespace scope and not inlined, so that dumps name them.
[[gnu::noinline]] void receives_in_here(const chan<void>& c) {
  c.recv();
  asm volatile("");  // no tail call
}
[[gnu::noinline]] void starts_a_receiver(const char* name, const chan<void>& c) {
  runnel::go({.name = name}, [c] { receives_in_here(c); });
  asm volatile("");
}
[[gnu::noinline]] std::string dumps_in_here() {
  std::string text = dump();
  asm volatile("");
  return text;
}
[[gnu::noinline]] void spins_in_here(const std::atomic<bool>& stop) {
  while (!stop.load(std::memory_order_relaxed)) {
  }
  asm volatile("");
}

RUNNEL_TEST(dump, begins_with_the_caller) {
  const std::string text = dumps_in_here();
  const std::string start =
      "goroutine " + std::to_string(runnel::this_goroutine::id()) + " [running]:\n";
  EXPECT_TRUE(text.starts_with(start)) << text;
  EXPECT_NE(text.find("dumps_in_here()\n\t"), std::string::npos) << text;
  EXPECT_EQ(text.find(start, 1), std::string::npos) << "shown twice\n" << text;
}

RUNNEL_TEST_THREAD(dump, begins_with_the_calling_thread) {
  EXPECT_TRUE(dumps_in_here().starts_with("main thread [running]:\n"));
  std::string text;
  pid_t tid = 0;
  std::thread([&] {
    tid = static_cast<pid_t>(::syscall(SYS_gettid));
    text = dumps_in_here();
  }).join();
  EXPECT_TRUE(text.starts_with("thread " + std::to_string(tid) + " [running]:\n")) << text;
}

RUNNEL_TEST_BOTH(dump, shows_stack_and_creator) {
  const chan<void> c;
  starts_a_receiver("receiver", c);
  EXPECT_STATE("receiver", "chan receive");
  const std::string text = of_goroutine(dump(), "receiver");
  const std::size_t receives = text.find("receives_in_here(...)\n\t");
  const std::size_t created = text.find("created by starts_a_receiver");
  EXPECT_NE(receives, std::string::npos) << text;
  EXPECT_NE(created, std::string::npos) << text;
  EXPECT_LT(receives, created) << text;
  const std::string parent = " in goroutine " + std::to_string(runnel::this_goroutine::id());
  EXPECT_EQ(text.find(parent) != std::string::npos, runnel::this_goroutine::id() != 0) << text;
  c.send();
}

RUNNEL_TEST_BOTH(dump, hides_the_library_s_frames) {
  const chan<void> c;
  starts_a_receiver("receiver", c);
  EXPECT_STATE("receiver", "chan receive");
  const std::string text = of_goroutine(dump(), "receiver");
  // At the beginning of a line: functions of the program have parameters of the library's types.
  EXPECT_EQ(text.find("\nrunnel::"), std::string::npos) << text;
  EXPECT_EQ(text.find("runnel_goroutine"), std::string::npos) << text;
  c.send();
}

RUNNEL_TEST_BOTH(dump, states_of_channels_and_select) {
  const chan<int> c;
  const chan<int> nil(nullptr);
  const chan<void> stop;
  runnel::go({.name = "sends"}, [c] { c.send(1); });
  runnel::go({.name = "selects"},
             [nil, stop] { runnel::select(runnel::on_recv(nil), runnel::on_recv(stop)); });
  EXPECT_STATE("sends", "chan send");
  EXPECT_STATE("selects", "select");
  EXPECT_EQ(c.recv(), 1);
  stop.close();
}

RUNNEL_TEST_BOTH(dump, states_of_locks) {
  runnel::mutex m;
  runnel::shared_mutex rw;
  runnel::wait_group group;
  runnel::wait_group all;
  m.lock();
  rw.lock();
  group.add();
  const auto start = [&](const char* name, auto f) {
    all.add();
    runnel::go({.name = name}, [&all, f] {
      f();
      all.done();
    });
  };
  start("locks", [&] { const std::lock_guard guard(m); });
  start("writes", [&] { const std::lock_guard guard(rw); });
  start("reads", [&] { const std::shared_lock guard(rw); });
  start("waits", [&] { group.wait(); });
  EXPECT_STATE("locks", "sync.Mutex.Lock");
  EXPECT_STATE("writes", "sync.RWMutex.Lock");
  EXPECT_STATE("reads", "sync.RWMutex.RLock");
  EXPECT_STATE("waits", "sync.WaitGroup.Wait");
  m.unlock();
  rw.unlock();
  group.done();
  all.wait();
}

RUNNEL_TEST_BOTH(dump, sleepers) {
  const chan<void> done;
  runnel::go({.name = "sleeps"}, [done] {
    runnel::sleep_for(1500ms);
    done.close();
  });
  EXPECT_STATE("sleeps", "sleep");
  done.recv();
}

RUNNEL_TEST_BOTH(dump, goroutines_that_run_elsewhere) {
  std::atomic<bool> stop{false};
  runnel::wait_group group;
  group.add();
  runnel::go({.name = "spins"}, [&] {
    spins_in_here(stop);
    group.done();
  });
  EXPECT_STATE("spins", "running");
#if !RUNNEL_TEST_TSAN  // which holds signals back until the next system call
  EXPECT_TRUE(eventually([&] {
    return of_goroutine(dump(), "spins").find("spins_in_here(") != std::string::npos;
  })) << dump();
#endif
  stop = true;
  group.wait();
}

RUNNEL_TEST_BOTH(dump, plain_threads_that_wait) {
  const chan<void> c;
  std::atomic<pid_t> tid{0};
  std::thread waiting([&] {
    tid = static_cast<pid_t>(::syscall(SYS_gettid));
    receives_in_here(c);
  });
  const auto of_thread = [&] {
    return paragraph(dump(), "thread " + std::to_string(tid.load()) + " [chan receive]:\n");
  };
  EXPECT_TRUE(eventually([&] {
    return of_thread().find("receives_in_here(...)") != std::string::npos;
  })) << dump();
  c.send();
  waiting.join();
  EXPECT_EQ(of_thread(), "");
}

RUNNEL_TEST(dump, main_that_waits) {
  // The body runs in run(), for which the main thread waits, or is about to.
  EXPECT_TRUE(eventually([&] { return paragraph(dump(), "main thread [future]:\n") != ""; }))
      << dump();
}

// More than a report takes at once; tests/programs/crowd_test.cpp has more than it shows.
RUNNEL_TEST_BOTH(dump, of_many_goroutines_shows_all_of_them) {
  const chan<void> c;
  runnel::wait_group group;
  constexpr std::size_t many = 1200;
  for (std::size_t i = 0; i < many; ++i) group.go([&] { receives_in_here(c); });
  std::string text;
  const auto waiting = [&] {
    text = dump();
    std::size_t n = 0;
    std::uint64_t last = 0;
    static const std::string line = "\ngoroutine ";
    for (std::size_t at = 0; (at = text.find(line, at)) != std::string::npos; ++at) {
      const std::uint64_t id = std::stoull(text.substr(at + line.size(), 20));
      if (text.compare(at + 1, text.find('\n', at + 1) - at - 1,
                       "goroutine " + std::to_string(id) + " [chan receive]:") != 0) {
        continue;
      }
      EXPECT_GT(id, last);
      last = id;
      ++n;
    }
    return n;
  };
  EXPECT_TRUE(eventually([&] { return waiting() == many; })) << waiting() << '\n' << text;
  EXPECT_EQ(text.find("elided"), std::string::npos);
  c.close();
  group.wait();
}

// Stacks are walked while their goroutines run on: whatever is found there, nothing may break.
RUNNEL_TEST_BOTH(dump, of_a_busy_program) {
  const chan<int> c;
  const chan<int> back(1);
  std::atomic<bool> stop{false};
  runnel::wait_group group;
  for (int i = 0; i < 4; ++i) {
    group.go([&] {
      for (int n : c) {
        runnel::yield();
        back.try_send(n);
      }
    });
  }
  group.go([&] {
    for (int i = 0; !stop; ++i) {
      c.send(i);
      back.try_recv(i);
      runnel::go([] { runnel::yield(); });
    }
    c.close();
  });
  for (int i = 0; i < runnel_test::rounds(30); ++i) {
    EXPECT_NE(dump().find("[running]:"), std::string::npos);
  }
  stop = true;
  group.wait();
}

RUNNEL_TEST_BOTH(leak_check, finds_nothing_where_nothing_leaks) {
  testing::internal::CaptureStderr();
  {
    runnel::leak_check check;
    runnel::wait_group group;
    for (int i = 0; i < 10; ++i) group.go([] { runnel::yield(); });
    group.wait();
    EXPECT_EQ(check.leaked(), 0U);
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

RUNNEL_TEST_BOTH(leak_check, reports_once_with_state_and_stack) {
  const chan<void> c;
  testing::internal::CaptureStderr();
  {
    runnel::leak_check check(50ms);
    starts_a_receiver("leaky", c);
    starts_a_receiver("leaky too", c);
    EXPECT_EQ(check.leaked(), 2U);
    EXPECT_EQ(check.leaked(), 2U);
  }
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_TRUE(text.starts_with("leak_check: 2 goroutines are still alive\n\ngoroutine ")) << text;
  EXPECT_EQ(text.find("leak_check", 1), std::string::npos) << text;
  for (const char* name : {"leaky", "leaky too"}) {
    const std::string leaky = of_goroutine(text, name);
    EXPECT_TRUE(leaky.starts_with("[chan receive]:\n")) << text;
    EXPECT_NE(leaky.find("receives_in_here(...)"), std::string::npos) << text;
    EXPECT_NE(leaky.find("created by starts_a_receiver"), std::string::npos) << text;
  }
  EXPECT_EQ(text.find("thread"), std::string::npos) << text;
  c.close();
}

RUNNEL_TEST_BOTH(leak_check, the_destructor_reports) {
  const chan<void> c;
  testing::internal::CaptureStderr();
  {
    const runnel::leak_check check(20ms);
    starts_a_receiver("leaky", c);
  }
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_TRUE(text.starts_with("leak_check: 1 goroutine is still alive\n\n")) << text;
  c.close();
}

RUNNEL_TEST_BOTH(leak_check, waits_for_the_grace_period) {
  testing::internal::CaptureStderr();
  {
    runnel::leak_check check(runnel_test::patience());
    runnel::go([] { runnel::sleep_for(30ms); });
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(check.leaked(), 0U);
    EXPECT_LT(std::chrono::steady_clock::now() - start, runnel_test::patience());
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

RUNNEL_TEST_BOTH(leak_check, leaves_alone_what_was_there_before) {
  const chan<void> c;
  starts_a_receiver("old", c);
  testing::internal::CaptureStderr();
  {
    runnel::leak_check check(20ms);
    EXPECT_EQ(check.leaked(), 0U);
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  c.send();
}

RUNNEL_TEST(leak_check, finds_goroutines_begun_by_others) {
  const chan<void> c;
  testing::internal::CaptureStderr();
  runnel::leak_check check(20ms);
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) threads.emplace_back([&] { starts_a_receiver("leaky", c); });
  for (auto& t : threads) t.join();
  EXPECT_EQ(check.leaked(), 3U);
  c.close();
  EXPECT_TRUE(eventually([&] { return check.leaked() == 0; }));
  testing::internal::GetCapturedStderr();
}

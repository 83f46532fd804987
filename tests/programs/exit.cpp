// exit MODE: ends the program in the way MODE names while goroutines are at work. Prints what the
// destructors and handlers that must run print; those of abandoned goroutines must not.
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <map>
#include <runnel/chan.hpp>
#include <runnel/go.hpp>
#include <runnel/runtime.hpp>
#include <runnel/select.hpp>
#include <runnel/time.hpp>
#include <string>
#include <thread>

using namespace std::chrono_literals;
using runnel::chan;

namespace {

struct announces {
  explicit announces(const char* t) : text(t) {}
  announces(const announces&) = delete;
  announces& operator=(const announces&) = delete;
  ~announces() { std::puts(text); }
  const char* text;
};

// Some of everything: runners, sleepers, parked ones, blocked ones.
void begin_crowd() {
  static const chan<int> c;
  static std::atomic<int> started{0};
  for (int i = 0; i < 40; ++i) {
    runnel::go([i] {
      const announces abandoned("destructor of an abandoned goroutine");
      ++started;
      switch (i % 5) {
        case 0:
          for (;;) runnel::yield();
        case 1:
          runnel::sleep_for(1h);
          break;
        case 2:
          c.recv();
          break;
        case 3:
          runnel::blocking([] { ::pause(); });
          break;
        default:
          for (;;) runnel::select(runnel::on_recv(c), runnel::on_timeout(100us));
      }
    });
  }
  while (started < 30) runnel::sleep_for(1ms);
}

// What nobody may use once it is gone; its destruction takes a while, for those who do to be seen.
std::atomic<bool> gone{false};
struct guarded {
  ~guarded() {
    gone = true;
    std::this_thread::sleep_for(60ms);
  }
};

// Users of nothing that static destructors destroy.
void begin_yielders() {
  for (int i = 0; i < 4; ++i) {
    runnel::go([] {
      for (;;) runnel::yield();
    });
  }
}

int main_returns() {
  begin_crowd();
  std::puts("main returns");
  return 0;
}

int main_returns_with_hogs() {
  for (int i = 0; i < 4; ++i) {
    runnel::go([] {
      for (volatile bool stop = false; !stop;) {
      }
    });
  }
  runnel::sleep_for(30ms);
  std::puts("main returns");
  return 5;
}

int exit_from_goroutine() {
  static const announces static_object("static destructor");
  std::atexit([] { std::puts("atexit handler"); });
  begin_crowd();
  runnel::go([] { std::exit(7); });
  runnel::sleep_for(1h);
  return 1;
}

int exit_from_goroutine_while_main_waits() {
  std::atexit([] { std::puts("atexit handler"); });
  runnel::go([] {
    runnel::sleep_for(5ms);
    std::exit(9);
  });
  chan<int>().recv();
  return 1;
}

int exit_from_main() {
  std::atexit([] { std::puts("atexit handler"); });
  begin_crowd();
  std::exit(3);
}

int immediate_exit() {
  begin_crowd();
  ::_exit(4);
}

int quick_exit_from_goroutine() {
  std::at_quick_exit([] {
    std::puts("at_quick_exit handler");
    std::fflush(stdout);
  });
  runnel::go([] { std::quick_exit(6); });
  runnel::sleep_for(1h);
  return 1;
}

int threads_now() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return static_cast<int>(std::distance(begin(tasks), end(tasks)));
}

// While those at work stop and others block, nobody takes their place: processors that stand still
// with work waiting are nothing to mend any more.
int exit_makes_no_machines() {
  struct counts {
    ~counts() {
      const int more = threads_now() - before;  // a few may have been on their way
      if (more > 16) std::printf("%d new threads\n", more);
    }
    int before = 0;
  };
  static counts threads;  // before the runtime starts, so that it goes after that has stopped
  begin_crowd();
  threads.before = threads_now();
  return 0;
}

// Static destructors run when everybody has come by the scheduler, as long as that takes no more
// than 10 ms of computing; the poller, which timers wake meanwhile, is not to be counted twice.
int exit_waits_for_who_computes() {
  static const guarded object;  // before the runtime starts, so that it goes after that has stopped
  for (int i = 0; i < 4; ++i) {
    runnel::go([] {
      for (;;) runnel::sleep_for(100us);
    });
  }
  runnel::go([] {
    while (!gone) {
      runnel::yield();
      const auto until = std::chrono::steady_clock::now() + 3ms;
      while (std::chrono::steady_clock::now() < until) {
      }
    }
    std::puts("used after its destruction");
  });
  runnel::sleep_for(20ms);
  return 0;
}

// Static destructors and atexit handlers that use the library find it working or at rest, and do
// not hang.
int library_in_static_destructors() {
  struct user {
    ~user() {
      const chan<int> c(1);
      c.send(1);
      std::printf("buffered %d\n", *c.recv());
      runnel::go([] {});
      std::printf("goroutines %d\n", runnel::num_goroutine() > 0 ? 1 : 0);
    }
    chan<int> member;
  };
  static user u;
  begin_crowd();
  return 0;
}

// A thread that merely happens to block does not set the machines going again. (Main computes most
// of the time, so that the exit begins while it does.)
int exit_while_main_begins_a_wait() {
  static const guarded object;
  for (int i = 0; i < 4; ++i) {
    runnel::go([] {
      while (!gone) runnel::yield();
      std::puts("used after its destruction");
    });
  }
  runnel::go([] {
    runnel::sleep_for(5ms);
    std::exit(8);
  });
  for (;;) {
    const auto until = std::chrono::steady_clock::now() + 2ms;
    while (std::chrono::steady_clock::now() < until) {
    }
    runnel::sleep_for(1us);
  }
}

// A destructor waits for a thread that waits for a goroutine.
struct service {
  ~service() {
    begin();
    thread.join();
    std::puts("joined");
  }
  void begin() {
    begun = true;
    begun.notify_one();
  }
  std::atomic<bool> begun{false};
  std::thread thread{[this] {
    begun.wait(false);
    const chan<int> done;
    runnel::go([done] {
      runnel::sleep_for(100ms);
      done.send(1);
    });
    std::printf("received %d\n", *done.recv());
  }};
};

int exit_joins_a_thread_that_blocks() {
  static service s;  // before the runtime starts, so that it goes after that has stopped
  begin_yielders();
  return 0;
}

int exit_joins_a_thread_that_is_blocked() {
  static service s;
  begin_yielders();
  s.begin();
  std::this_thread::sleep_for(20ms);
  return 0;
}

int exit_and_park_in_a_destructor(bool locked) {
  struct parks {
    ~parks() {
      const chan<int> c;
      runnel::go([c] { c.send(1); });
      std::printf("received %d\n", *c.recv());
    }
  };
  static const parks object;
  begin_yielders();
  runnel::go([locked] {
    if (locked) runnel::this_goroutine::lock_os_thread();
    std::exit(7);
  });
  runnel::sleep_for(1h);
  return 1;
}

int exit_from_goroutine_that_parks_in_a_destructor() {
  return exit_and_park_in_a_destructor(false);
}

int exit_from_locked_goroutine_that_parks_in_a_destructor() {
  return exit_and_park_in_a_destructor(true);
}

// Who comes back from a blocking call while static destructors run does not go on.
int exit_while_blocking_calls_end() {
  static const guarded object;
  for (int i = 0; i < 4; ++i) {
    runnel::go([] {
      while (!gone) runnel::blocking([] { std::this_thread::sleep_for(20ms); });
      std::puts("used after its destruction");
    });
  }
  runnel::sleep_for(30ms);
  return 0;
}

int exit_with_plain_threads() {
  for (int i = 0; i < 4; ++i) {
    std::thread([] {
      for (;;) runnel::run([] { runnel::yield(); });
    }).detach();
  }
  std::thread([] { chan<int>().recv(); }).detach();
  runnel::sleep_for(20ms);
  std::puts("main returns");
  return 0;
}

// Many times over, because what goes wrong at exit is a race.
int exit_at_once() {
  for (int i = 0; i < 100; ++i) runnel::go([] { runnel::yield(); });
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::map<std::string, int (*)()> modes{
      {"main_returns", main_returns},
      {"main_returns_with_hogs", main_returns_with_hogs},
      {"exit_from_goroutine", exit_from_goroutine},
      {"exit_from_goroutine_while_main_waits", exit_from_goroutine_while_main_waits},
      {"exit_from_main", exit_from_main},
      {"immediate_exit", immediate_exit},
      {"quick_exit_from_goroutine", quick_exit_from_goroutine},
      {"library_in_static_destructors", library_in_static_destructors},
      {"exit_while_main_begins_a_wait", exit_while_main_begins_a_wait},
      {"exit_joins_a_thread_that_blocks", exit_joins_a_thread_that_blocks},
      {"exit_joins_a_thread_that_is_blocked", exit_joins_a_thread_that_is_blocked},
      {"exit_from_goroutine_that_parks_in_a_destructor",
       exit_from_goroutine_that_parks_in_a_destructor},
      {"exit_from_locked_goroutine_that_parks_in_a_destructor",
       exit_from_locked_goroutine_that_parks_in_a_destructor},
      {"exit_while_blocking_calls_end", exit_while_blocking_calls_end},
      {"exit_with_plain_threads", exit_with_plain_threads},
      {"exit_at_once", exit_at_once},
      {"exit_makes_no_machines", exit_makes_no_machines},
      {"exit_waits_for_who_computes", exit_waits_for_who_computes},
  };
  const auto mode = modes.find(argc > 1 ? argv[1] : "");
  if (mode == modes.end()) return 64;
  return mode->second();
}

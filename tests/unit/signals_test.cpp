// Signals and goroutines: the threads that run them block what the thread blocked that started the
// runtime, as if it had started a std::thread.
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <runnel/chan.hpp>
#include <runnel/go.hpp>
#include <runnel/time.hpp>
#include <thread>

#include "support/crew.hpp"
#include "support/test.hpp"

using namespace std::chrono_literals;
using runnel_test::crew;
using runnel_test::eventually;

namespace {

std::atomic<int> taken{0};
static_assert(std::atomic<int>::is_always_lock_free);

// Counts SIGUSR1 for the length of a scope; afterwards those still on their way are ignored.
class counting_usr1 {
 public:
  counting_usr1() {
    taken = 0;
    struct sigaction action {};
    action.sa_handler = [](int) { ++taken; };
    action.sa_flags = SA_RESTART;
    ::sigaction(SIGUSR1, &action, nullptr);
  }
  counting_usr1(const counting_usr1&) = delete;
  counting_usr1& operator=(const counting_usr1&) = delete;
  ~counting_usr1() { ::signal(SIGUSR1, SIG_IGN); }
};

}  // namespace

// With ThreadSanitizer they block all: it would run handlers when the goroutine that happened to be
// interrupted next calls something it watches, if ever.
#if !RUNNEL_TEST_TSAN

namespace {

sigset_t blocked_here() {
  sigset_t set;
  pthread_sigmask(SIG_SETMASK, nullptr, &set);
  return set;
}

}  // namespace

// Else a child started from a goroutine would inherit them and could not be ended by SIGTERM.
RUNNEL_TEST_THREAD(signals, goroutines_block_what_main_does) {
  const sigset_t mine = blocked_here();
  const sigset_t theirs = runnel::run(blocked_here);
  for (int s = 1; s < SIGRTMIN; ++s) {
    EXPECT_EQ(sigismember(&theirs, s), sigismember(&mine, s)) << "signal " << s;
  }
}

RUNNEL_TEST_BOTH(signals, raise_in_a_goroutine_is_delivered) {
  const counting_usr1 counting;
  runnel::run([] { ::raise(SIGUSR1); });
  EXPECT_TRUE(eventually([] { return taken == 1; }));
}

#endif

// Whoever they interrupt: goroutines at work, parked, asleep, or machines with nothing to do.
RUNNEL_TEST_BOTH(signals, a_storm_of_signals_disturbs_nobody) {
  const counting_usr1 counting;
  std::atomic<bool> stop{false};
  const runnel::chan<int> c;
  crew all;
  for (int i = 0; i < 4; ++i) {
    all.go([&] {
      while (c.recv()) runnel::sleep_for(10us);
    });
  }
  std::thread sender([&] {
    do {
      ::kill(::getpid(), SIGUSR1);
      std::this_thread::sleep_for(20us);
    } while (!stop);
  });
  for (int i = 0; i < runnel_test::rounds(2000); ++i) c.send(i);
  stop = true;
  sender.join();
  c.close();
  all.wait();
  EXPECT_TRUE(eventually([] { return taken > 0; }));
}

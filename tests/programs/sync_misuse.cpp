// sync_misuse MODE: misuse of the synchronisation objects that ends the program, and waits on them
// that never end; what must be reported is in the .expected files.
#include <chrono>
#include <cstdio>
#include <map>
#include <mutex>
#include <runnel/chan.hpp>
#include <runnel/go.hpp>
#include <runnel/select.hpp>
#include <runnel/sync.hpp>
#include <runnel/time.hpp>
#include <string>

using namespace std::chrono_literals;

namespace {

void unlock_twice() {
  runnel::mutex m;
  m.lock();
  m.unlock();
  m.unlock();
}
// Where the mutex has been fought for by several threads.
void unlock_after_contention() {
  runnel::mutex m;
  runnel::wait_group wg;
  for (int i = 0; i < 8; ++i) {
    wg.go([&] {
      for (int k = 0; k < 20'000; ++k) {
        const std::lock_guard lock(m);
        if (k % 512 == 0) runnel::yield();
      }
    });
  }
  wg.wait();
  m.unlock();
}
void shared_unlock_unlocked() {
  runnel::shared_mutex m;
  m.unlock();
}
void shared_unlock_of_readers() {
  runnel::shared_mutex m;
  m.lock_shared();
  m.unlock();
}
void shared_runlock_unlocked() {
  runnel::shared_mutex m;
  m.lock_shared();
  m.unlock_shared();
  m.unlock_shared();
}
void shared_runlock_of_a_writer() {
  runnel::shared_mutex m;
  m.lock();
  m.unlock_shared();
}
// Readers on several processors may count apart; then the next writer finds out.
void shared_runlock_after_many_readers() {
  runnel::shared_mutex m;
  runnel::wait_group wg;
  for (int i = 0; i < 8; ++i) {
    wg.go([&] {
      for (int k = 0; k < 50'000; ++k) {
        m.lock_shared();
        if (k % 512 == 0) runnel::yield();
        m.unlock_shared();
      }
    });
  }
  wg.wait();
  m.unlock_shared();
  m.lock();
}
void shared_unlock_in_goroutine() {
  runnel::shared_mutex m;
  runnel::go({.name = "careless"}, [&] { m.unlock(); });
  runnel::sleep_for(1h);
}

// Every way to wait, each by a goroutine that is named after it.
void all_waits() {
  runnel::mutex m;
  runnel::shared_mutex writer_held, reader_held;
  runnel::condition_variable cv;
  runnel::binary_semaphore semaphore(0);
  runnel::weighted_semaphore weighted(1), small(1);
  runnel::latch latch(1);
  runnel::barrier barrier(2);
  runnel::once_flag flag;
  runnel::wait_group wg;
  m.lock();
  writer_held.lock();
  reader_held.lock_shared();
  weighted.acquire();
  wg.add();
  auto start = [](const char* name, auto f) {
    runnel::go({.name = name}, f);
    runnel::sleep_for(1ms);  // so that the goroutines are numbered, and park, in this order
  };
  start("mutex", [&] { m.lock(); });
  start("timed mutex", [&] { (void)m.try_lock_for(std::chrono::hours::max()); });
  start("writer", [&] { reader_held.lock(); });
  start("reader", [&] { writer_held.lock_shared(); });
  start("condition", [&] {
    runnel::mutex own;
    std::unique_lock lock(own);
    cv.wait(lock);
  });
  start("semaphore", [&] { semaphore.acquire(); });
  start("weighted", [&] { weighted.acquire(); });
  start("too much", [&] { small.acquire(2); });
  start("latch", [&] { latch.wait(); });
  start("barrier", [&] { barrier.arrive_and_wait(); });
  start("once", [&] { call_once(flag, [&] { call_once(flag, [] {}); }); });
  start("group", [&] { wg.wait(); });
  start("select",
        [&] { runnel::select(on_lock(m), on_wait(wg), on_acquire(semaphore), on_wait(latch)); });
  wg.wait();
}

}  // namespace

int main(int argc, char** argv) {
  const std::map<std::string, void (*)()> modes = {
      {"unlock_twice", unlock_twice},
      {"unlock_after_contention", unlock_after_contention},
      {"shared_unlock_unlocked", shared_unlock_unlocked},
      {"shared_unlock_of_readers", shared_unlock_of_readers},
      {"shared_runlock_unlocked", shared_runlock_unlocked},
      {"shared_runlock_of_a_writer", shared_runlock_of_a_writer},
      {"shared_runlock_after_many_readers", shared_runlock_after_many_readers},
      {"shared_unlock_in_goroutine", shared_unlock_in_goroutine},
      {"all_waits", all_waits},
  };
  const auto mode = argc == 2 ? modes.find(argv[1]) : modes.end();
  if (mode == modes.end()) {
    std::fprintf(stderr, "sync_misuse: no such mode\n");
    return 64;
  }
  mode->second();
  std::puts("still there");
  return 0;
}

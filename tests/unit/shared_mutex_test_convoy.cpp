// shared_mutex with many contenders: a lock that is freed for those who wait rather than handed to
// them, and what must hold all the same.
#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <runnel/select.hpp>
#include <shared_mutex>

#include "sync_support.hpp"

using namespace std::chrono_literals;
using runnel::shared_mutex;
using runnel_test::burn;
using runnel_test::crew;
using runnel_test::eventually;
using runnel_test::rounds;
using runnel_test::thread_group;

namespace {

// What the lock guards: two counts that differ only while a writer is inside. No atomics, so that
// ThreadSanitizer sees it if two get in.
struct guarded {
  shared_mutex m;
  long left = 0;
  long right = 0;
  std::atomic<long> writes{0};
  std::atomic<int> torn{0};

  void write(bool leave_cpu) {
    ++left;
    if (leave_cpu) runnel::yield();
    ++right;
    ++writes;
  }
  void read(bool leave_cpu) {
    const long seen = left;
    if (leave_cpu) runnel::yield();
    if (seen != right) ++torn;
  }
  void check() {
    const std::lock_guard lock(m);
    EXPECT_EQ(torn, 0);
    EXPECT_EQ(left, writes);
    EXPECT_EQ(right, writes);
  }
};

// The k-th access, in one of all the ways there are to get at the lock.
void access(guarded& g, int k) {
  const bool leave_cpu = k % 7 == 0;
  const auto write = [&] {
    g.write(leave_cpu);
    g.m.unlock();
  };
  const auto read = [&] {
    g.read(leave_cpu);
    g.m.unlock_shared();
  };
  const auto limit = std::chrono::microseconds(k % 50);
  switch (k % 23) {
    case 3:
    case 14:
      g.m.lock();
      return write();
    case 5:
      if (g.m.try_lock_for(limit)) write();
      return;
    case 9:
      if (g.m.try_lock_shared_for(limit)) read();
      return;
    case 11:
      if (g.m.try_lock()) write();
      return;
    case 12:
      if (g.m.try_lock_shared()) read();
      return;
    case 17:
      runnel::select(runnel::on_lock(g.m, write), runnel::on_timeout(limit));
      return;
    case 19:
      runnel::select(runnel::on_lock_shared(g.m, read), runnel::on_timeout(limit));
      return;
    case 20:
      runnel::select(runnel::on_lock(g.m, write));
      return;
    case 21:
      if (g.m.try_lock_shared_for(1h)) read();
      return;
    case 22:
      if (g.m.try_lock_for(1h)) write();
      return;
    default:
      g.m.lock_shared();
      return read();
  }
}

// As eventually_blocked, but without sleeping between looks: waits that are young are another case
// than long ones.
void wait_until_blocked(std::size_t n, std::string_view state) {
  while (runnel_test::blocked_in(state) < n) runnel::yield();
}

}  // namespace

// Nobody is handed what he waits for while his wait is young: else all who run meanwhile would wait
// for him. A lock that nobody holds may be taken by anyone.
RUNNEL_TEST_BOTH(shared_mutex_convoy, freed_for_those_who_wait) {
  for (const bool writer_waits : {true, false}) {
    EXPECT_TRUE(eventually([&] {
      auto m = std::make_unique<shared_mutex>();  // in its first regime
      crew goroutines;
      m->lock();
      goroutines.go([&] {
        if (writer_waits) {
          m->lock();
          m->unlock();
        } else {
          m->lock_shared();
          m->unlock_shared();
        }
      });
      wait_until_blocked(1, writer_waits ? "sync.RWMutex.Lock" : "sync.RWMutex.RLock");
      m->unlock();
      const bool taken = m->try_lock();  // unless its wait was long, or it has come and gone
      if (taken) m->unlock();
      goroutines.wait();
      return taken;
    }));
  }
}

RUNNEL_TEST_BOTH(shared_mutex_convoy, many_contenders_in_every_way) {
  guarded g;
  const int n = rounds(600);
  {
    crew goroutines;
    thread_group threads;
    for (int i = 0; i < 24; ++i) {
      goroutines.go([&, i] {
        for (int k = i; k < n + i; ++k) access(g, k);
      });
    }
    for (int i = 0; i < 2; ++i) {
      threads.start([&, i] {
        for (int k = 5 * i; k < n + 5 * i; ++k) access(g, k);
      });
    }
    goroutines.wait();
  }
  g.check();
}

// By goroutines alone, which come together on one processor; and long enough for waits of over 1
// ms.
RUNNEL_TEST_BOTH(shared_mutex_convoy, many_goroutines_counted) {
  guarded g;
  const int n = rounds(4000);
  constexpr int goroutines_n = 64;
  {
    crew goroutines;
    for (int i = 0; i < goroutines_n; ++i) {
      goroutines.go([&, i] {
        for (int k = 0; k < n; ++k) {
          if ((k + i) % 10 == 0) {
            const std::lock_guard lock(g.m);
            g.write(k % 40 == 0);
          } else {
            const std::shared_lock lock(g.m);
            g.read(k % 41 == 0);
          }
        }
      });
    }
  }
  g.check();
  EXPECT_EQ(g.left, goroutines_n * (n / 10L));
}

namespace {

// Six goroutines and a thread take the lock as `Crowd` does without end, four of them leaving the
// CPU inside, so that there is always one. Meanwhile the caller gets it, too, with its own kind.
template <class Crowd, class Alone>
void get_through_a_crowd() {
  shared_mutex m;
  std::atomic<bool> stop{false};
  crew goroutines;
  thread_group threads;
  const auto crowd = [&](bool leave_cpu) {
    while (!stop) {
      const Crowd lock(m);
      if (leave_cpu) runnel::yield();
    }
  };
  for (int i = 0; i < 6; ++i) goroutines.go([&, i] { crowd(i < 4); });
  threads.start([&] { crowd(false); });
  for (int i = 0; i < 20; ++i) {
    Alone lock(m, std::defer_lock);
    if (i % 2 == 0) {
      lock.lock();
    } else {
      EXPECT_TRUE(lock.try_lock_for(runnel_test::patience()));
    }
    if (lock.owns_lock()) lock.unlock();
    runnel::yield();
  }
  stop = true;
  goroutines.wait();
}

}  // namespace

RUNNEL_TEST_BOTH(shared_mutex_convoy, readers_do_not_starve_a_writer) {
  get_through_a_crowd<std::shared_lock<shared_mutex>, std::unique_lock<shared_mutex>>();
}

RUNNEL_TEST_BOTH(shared_mutex_convoy, writers_do_not_starve_a_reader) {
  get_through_a_crowd<std::unique_lock<shared_mutex>, std::shared_lock<shared_mutex>>();
}

// The first to come that was woken to try again lets in the readers behind it, for whom no writer
// stands in the way any more.
RUNNEL_TEST_BOTH(shared_mutex_convoy, a_woken_reader_lets_those_behind_it_in) {
  for (int i = 0; i < rounds(100); ++i) {
    shared_mutex m;
    std::atomic<bool> go_on{false};
    std::atomic<int> inside{0};
    runnel::chan<void> leave;
    crew goroutines;
    thread_group threads;
    const auto read = [&] {
      m.lock_shared();
      ++inside;
      leave.recv();
      m.unlock_shared();
    };
    m.lock();
    goroutines.go(read);
    threads.start([&] {
      while (!go_on) std::this_thread::yield();
      read();
    });
    wait_until_blocked(1, "sync.RWMutex.RLock");
    m.unlock();
    const bool taken = m.try_lock();  // before the first has come: the second queues behind it
    go_on = true;
    burn(200us);
    if (taken) m.unlock();
    const bool both = eventually([&] { return inside == 2; });  // although neither leaves
    EXPECT_TRUE(both);
    leave.close();
    goroutines.wait();
    threads.join();
    if (!both) return;
    EXPECT_TRUE(m.try_lock());
    m.unlock();
  }
}

// Also when the writer has waited for long before the first of them has come.
RUNNEL_TEST_BOTH(shared_mutex_convoy, woken_readers_go_before_the_next_writer) {
  for (int i = 0; i < rounds(50); ++i) {
    shared_mutex m;
    std::atomic<int> readers{0};
    int readers_before_writer = -1;
    crew goroutines;
    m.lock();
    goroutines.go([&] {
      m.lock();
      readers_before_writer = readers;
      m.unlock();
    });
    for (int k = 0; k < 4; ++k) {
      goroutines.go([&] {
        m.lock_shared();
        ++readers;
        m.unlock_shared();
      });
    }
    wait_until_blocked(1, "sync.RWMutex.Lock");
    wait_until_blocked(4, "sync.RWMutex.RLock");
    m.unlock();
    burn(1500us);
    goroutines.wait();
    EXPECT_EQ(readers_before_writer, 4);
  }
}

RUNNEL_TEST_BOTH(shared_mutex_convoy, destroyed_right_after_the_last_unlock) {
  for (int i = 0; i < rounds(300); ++i) {
    struct shared {
      shared_mutex m;
      std::array<char, 64> after{};
      std::atomic<int> users{10};
    };
    auto* s = new shared;
    crew goroutines;
    thread_group threads;
    const auto use = [s](int k) {
      bool last = false;
      const auto leave = [&] { last = --s->users == 0; };
      for (int turn = 0; turn < 3; ++turn) {
        const std::shared_lock lock(s->m);
      }
      if (k % 5 == 0) {
        runnel::select(runnel::on_lock(s->m, [&] {
          leave();
          s->m.unlock();
        }));
      } else if (k % 5 == 1) {
        EXPECT_TRUE(s->m.try_lock_for(1h));
        leave();
        s->m.unlock();
      } else if (k % 5 == 2) {
        const std::lock_guard lock(s->m);
        leave();
      } else {
        const std::shared_lock lock(s->m);
        if (k % 2 == 0) runnel::yield();
        leave();
      }
      if (last) {
        s->m.lock();  // observes the other unlocks
        s->m.unlock();
        delete s;
      }
    };
    for (int k = 0; k < 8; ++k) goroutines.go([=] { use(k); });
    if (i % 4 == 0) {
      for (int k = 8; k < 10; ++k) threads.start([=] { use(k); });
    } else {
      for (int k = 8; k < 10; ++k) goroutines.go([=] { use(k); });
    }
    goroutines.wait();
  }
}

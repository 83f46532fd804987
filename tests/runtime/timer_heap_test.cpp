// White box: one shard of timers against a std::multimap that does the same.
#include "runtime/timer_heap.hpp"

#include <atomic>
#include <map>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "support/test.hpp"

#if RUNNEL_TEST_ASAN
#include <sanitizer/lsan_interface.h>
#endif

using runnel::detail::parker;
using runnel::detail::steady_time;
using runnel::detail::timer_node;
using runnel::runtime::no_deadline;
using runnel::runtime::timer_heap;

namespace {

struct logged_timer : timer_node {
  explicit logged_timer(std::vector<int>& where) : logged_timer() { log = &where; }
  logged_timer() {
    fire = [](timer_node* node, steady_time) noexcept -> parker* {
      auto* self = static_cast<logged_timer*>(node);
      self->log->push_back(self->id);
      return nullptr;
    };
  }
  int id = 0;
  std::vector<int>* log = nullptr;
};

timer_heap::arming move_to(std::int64_t when) {
  return {.when = when, .period = 0, .armed = timer_heap::if_armed::move, .drain = nullptr};
}

void nobody_waits(parker*) noexcept { ADD_FAILURE() << "fire returned nobody"; }

}  // namespace

TEST(timer_heap, fires_in_order_of_deadline_and_reports_the_next) {
  timer_heap heap;
  std::vector<int> log;
  std::vector<logged_timer> timers(5);
  const std::int64_t when[] = {50, 10, 40, 20, 30};
  for (std::size_t i = 0; i < 5; ++i) {
    timers[i].id = static_cast<int>(when[i]);
    timers[i].log = &log;
    EXPECT_EQ(heap.arm(timers[i], when[i], 0, 0), i < 2);  // 50 and then 10 are the earliest
  }
  EXPECT_EQ(heap.next, 10);
  EXPECT_EQ(heap.size(), 5U);
  EXPECT_EQ(heap.run_expired(9, nobody_waits), 10);
  EXPECT_TRUE(log.empty());
  EXPECT_EQ(heap.run_expired(35, nobody_waits), 40);
  EXPECT_EQ(log, (std::vector<int>{10, 20, 30}));
  EXPECT_EQ(heap.run_expired(1000, nobody_waits), no_deadline);
  EXPECT_EQ(log, (std::vector<int>{10, 20, 30, 40, 50}));
  EXPECT_EQ(heap.size(), 0U);
}

TEST(timer_heap, adopts_whom_the_claim_lets_in) {
  timer_heap heap;
  std::vector<int> log;
  logged_timer timer(log);
  timer.when = 10;
  EXPECT_FALSE(heap.adopt(timer, 3, [](timer_node&, std::uint32_t) noexcept { return false; }));
  EXPECT_EQ(heap.size(), 0U);
  EXPECT_EQ(timer.index, 0U);
  const auto claim = [](timer_node& node, std::uint32_t shard) noexcept {
    node.when += 5;
    node.shard.store(shard);
    return true;
  };
  EXPECT_TRUE(heap.adopt(timer, 3, claim));
  EXPECT_EQ(timer.shard, 3U);
  EXPECT_EQ(heap.next, 15);
  heap.run_expired(15, nobody_waits);
  EXPECT_EQ(log.size(), 1U);
}

TEST(timer_heap, nodes_of_before_a_fork_are_idle) {
  timer_heap heap;
  std::vector<int> log;
  std::vector<logged_timer> old(4);
  for (logged_timer& t : old) t.log = &log;
  {
#if RUNNEL_TEST_ASAN
    const __lsan::ScopedDisabler the_array_is_left;
#endif
    for (logged_timer& t : old) heap.arm(t, 10, 0, 0);
  }
  heap.abandon();
  EXPECT_EQ(heap.size(), 0U);
  EXPECT_EQ(heap.next, no_deadline);
  bool earliest = false;
  EXPECT_EQ(heap.cancel(old[0], 0, nullptr), timer_heap::found::idle);
  EXPECT_EQ(heap.move(old[0], 5, 0, earliest), timer_heap::found::idle);
  EXPECT_EQ(heap.fire_if_due(old[0], 0, 20, nobody_waits), timer_heap::found::idle);
  logged_timer young(log);
  heap.arm(young, 30, 0, 0);  // where old[0] was
  EXPECT_EQ(heap.cancel(old[0], 0, nullptr), timer_heap::found::idle);
  EXPECT_EQ(heap.fire_if_due(old[0], 0, 40, nobody_waits), timer_heap::found::idle);
  EXPECT_EQ(heap.reset(old[1], move_to(20), 0, 0, earliest), timer_heap::found::idle);
  EXPECT_TRUE(earliest);
  EXPECT_EQ(heap.size(), 2U);
  heap.run_expired(20, nobody_waits);
  EXPECT_EQ(log.size(), 1U);
  EXPECT_EQ(heap.cancel(young, 0, nullptr), timer_heap::found::armed);
}

TEST(timer_heap, cancel_is_exact) {
  timer_heap heap;
  std::vector<int> log;
  logged_timer a(log);
  logged_timer b(log);
  heap.arm(a, 10, 0, 0);
  heap.arm(b, 20, 0, 0);
  EXPECT_EQ(heap.cancel(a, 0, nullptr), timer_heap::found::armed);
  EXPECT_EQ(heap.next, 20);
  EXPECT_EQ(heap.cancel(a, 0, nullptr), timer_heap::found::idle);
  EXPECT_EQ(heap.size(), 1U);
  heap.run_expired(100, nobody_waits);
  EXPECT_EQ(log.size(), 1U);
  EXPECT_EQ(heap.cancel(b, 0, nullptr), timer_heap::found::idle);
  EXPECT_EQ(heap.next, no_deadline);
  EXPECT_EQ(heap.cancel(b, 3, nullptr), timer_heap::found::elsewhere);
  bool unused = false;
  EXPECT_EQ(heap.move(b, 1, 3, unused), timer_heap::found::elsewhere);
}

TEST(timer_heap, fires_one_out_of_turn_if_it_is_due) {
  timer_heap heap;
  std::vector<int> log;
  std::vector<logged_timer> timers(8);
  int next_id = 0;
  for (logged_timer& timer : timers) {
    timer.id = next_id++;
    timer.log = &log;
    heap.arm(timer, 10 + timer.id, timer.id == 6 ? 10 : 0, 0);
  }
  EXPECT_EQ(heap.fire_if_due(timers[5], 0, 14, nobody_waits), timer_heap::found::idle);  // not yet
  EXPECT_EQ(heap.fire_if_due(timers[5], 1, 15, nobody_waits), timer_heap::found::elsewhere);
  EXPECT_EQ(heap.fire_if_due(timers[5], 0, 15, nobody_waits), timer_heap::found::armed);
  EXPECT_EQ(heap.fire_if_due(timers[5], 0, 15, nobody_waits), timer_heap::found::idle);  // once
  EXPECT_EQ(heap.fire_if_due(timers[6], 0, 30, nobody_waits), timer_heap::found::armed);
  EXPECT_EQ(log, (std::vector<int>{5, 6}));
  EXPECT_EQ(heap.run_expired(30, nobody_waits), 36);  // of 16, 26, 36
  EXPECT_EQ(log, (std::vector<int>{5, 6, 0, 1, 2, 3, 4, 7}));
  heap.cancel(timers[6], 0, nullptr);
}

TEST(timer_heap, a_quick_ticker_that_nobody_takes_waits) {
  timer_heap heap;
  std::vector<int> log;
  logged_timer quick(log);
  logged_timer slow(log);
  heap.arm(quick, 1, 1, 0);
  EXPECT_EQ(heap.run_expired(5, nobody_waits), 6);
  quick.unwanted = slow.unwanted = true;
  EXPECT_GE(heap.run_expired(6, nobody_waits), 10'000);
  EXPECT_EQ(log.size(), 2U);
  heap.cancel(quick, 0, nullptr);
  heap.arm(slow, 1'000'000, 1'000'000, 0);  // its next tick is near, although nobody took this one
  EXPECT_EQ(heap.run_expired(1'999'999, nobody_waits), 2'000'000);
  heap.cancel(slow, 0, nullptr);
}

TEST(timer_heap, periodic_timers_rearm_and_drop_missed_ticks) {
  timer_heap heap;
  std::vector<int> log;
  logged_timer t(log);
  heap.arm(t, 10, 10, 0);
  EXPECT_EQ(heap.run_expired(10, nobody_waits), 20);
  EXPECT_EQ(log.size(), 1U);
  const std::int64_t next = heap.run_expired(75, nobody_waits);
  EXPECT_EQ(log.size(), 2U);  // not one for each of 20, 30, ... 70
  EXPECT_EQ(next, 80);        // and still on the grid it began with
  EXPECT_EQ(heap.cancel(t, 0, nullptr), timer_heap::found::armed);
  EXPECT_EQ(heap.size(), 0U);
}

TEST(timer_heap, random_operations_agree_with_a_multimap) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    std::mt19937 random(seed);
    timer_heap heap;
    std::vector<int> log;
    constexpr int n = 400;
    std::vector<logged_timer> timers(n);
    std::multimap<std::int64_t, int> model;
    std::map<int, std::multimap<std::int64_t, int>::iterator> place;
    for (int i = 0; i < n; ++i) {
      timers[static_cast<std::size_t>(i)].id = i;
      timers[static_cast<std::size_t>(i)].log = &log;
    }
    std::int64_t now = 0;
    for (int step = 0; step < runnel_test::rounds(20'000); ++step) {
      const int i = static_cast<int>(random() % n);
      auto& timer = timers[static_cast<std::size_t>(i)];
      const bool armed = place.contains(i);
      const auto action = random() % 10;
      if (action < 6) {
        const std::int64_t when = now + 1 + static_cast<std::int64_t>(random() % 1000);
        bool earliest = false;
        const bool only_if_armed = action < 2;
        const auto as = only_if_armed ? heap.move(timer, when, 0, earliest)
                                      : heap.reset(timer, move_to(when), 0, 0, earliest);
        ASSERT_EQ(as, armed ? timer_heap::found::armed : timer_heap::found::idle);
        if (armed) model.erase(place[i]);
        if (armed || !only_if_armed) place[i] = model.emplace(when, i);
        ASSERT_EQ(heap.next, model.empty() ? no_deadline : model.begin()->first);
      } else if (action < 9) {
        ASSERT_EQ(heap.cancel(timer, 0, nullptr),
                  armed ? timer_heap::found::armed : timer_heap::found::idle);
        if (armed) {
          model.erase(place[i]);
          place.erase(i);
        }
      } else {
        now += static_cast<std::int64_t>(random() % 50);
        log.clear();
        heap.run_expired(now, nobody_waits);
        std::int64_t last = 0;
        for (const int fired : log) {
          ASSERT_TRUE(place.contains(fired));
          ASSERT_LE(place[fired]->first, now);
          ASSERT_GE(place[fired]->first, last);
          last = place[fired]->first;
          model.erase(place[fired]);
          place.erase(fired);
        }
      }
      ASSERT_EQ(heap.next, model.empty() ? no_deadline : model.begin()->first);
      ASSERT_EQ(heap.size(), model.size());
    }
    for (auto& timer : timers) heap.cancel(timer, 0, nullptr);
  }
}

// More of them come to the root at once than one operation settles.
TEST(timer_heap, timers_moved_to_later_fire_at_their_time) {
  timer_heap heap;
  std::vector<int> log;
  constexpr int n = 1000;
  std::vector<logged_timer> timers(n);
  int next_id = 0;
  for (logged_timer& timer : timers) {
    timer.id = next_id++;
    timer.log = &log;
    heap.arm(timer, 10 + timer.id, 0, 0);
  }
  bool earliest = false;
  for (auto timer = timers.rbegin(); timer != timers.rend(); ++timer) {  // the root last
    heap.move(*timer, 10'000 - 2 * timer->id, 0, earliest);
    EXPECT_FALSE(earliest);
  }
  const std::int64_t first = 10'000 - 2 * (n - 1);
  EXPECT_LT(heap.next, first);               // a bound
  heap.move(timers[5], 9'501, 0, earliest);  // sooner than it was, but later than its bound
  int looks = 0;
  for (std::int64_t next = heap.next; next < first; ++looks) {
    const std::int64_t was = next;
    next = heap.run_expired(next, nobody_waits);
    EXPECT_TRUE(log.empty());
    EXPECT_GT(next, was);
  }
  EXPECT_LT(looks, n / 32);
  EXPECT_EQ(heap.next, first);
  heap.run_expired(20'000, nobody_waits);
  std::vector<int> expected;
  for (int i = n - 1; i >= 0; --i) {
    if (i != 5) expected.push_back(i);
    if (i == 250) expected.push_back(5);  // 9'500, 9'501, 9'502
  }
  EXPECT_EQ(log, expected);
  EXPECT_EQ(heap.size(), 0U);
}

TEST(timer_heap, memory_follows_the_number_of_timers) {
  timer_heap heap;
  std::vector<int> log;
  const std::size_t n = 100'000;
  auto timers = std::make_unique<logged_timer[]>(n);
  for (std::size_t i = 0; i < n; ++i) {
    timers[i].log = &log;
    heap.arm(timers[i], static_cast<std::int64_t>((i * 7919) % n), 0, 0);
  }
  EXPECT_EQ(heap.size(), n);
  for (std::size_t i = 0; i < n; i += 2) heap.cancel(timers[i], 0, nullptr);
  EXPECT_EQ(heap.size(), n / 2);
  heap.run_expired(static_cast<std::int64_t>(n), nobody_waits);
  EXPECT_EQ(log.size(), n / 2);
  EXPECT_EQ(heap.size(), 0U);
}

// Threads arm, reset and cancel their own timers in one shard while another fires what is due.
// A timer that cancel found armed never fires for that arming; one that it did not has fired.
TEST(timer_heap, cancel_and_fire_race) {
  struct counted_timer : timer_node {
    counted_timer() {
      fire = [](timer_node* node, steady_time) noexcept -> parker* {
        static_cast<counted_timer*>(node)->fired.fetch_add(1, std::memory_order_relaxed);
        return nullptr;
      };
    }
    std::atomic<int> fired{0};
  };
  timer_heap heap;
  std::atomic<bool> stop{false};
  std::thread runner([&] {
    std::int64_t now = 0;
    while (!stop) heap.run_expired(now += 3, nobody_waits);
  });
  std::vector<std::thread> users;
  for (int u = 0; u < 3; ++u) {
    users.emplace_back([&, u] {
      std::mt19937 random(static_cast<unsigned>(u));
      counted_timer timer;
      int armings = 0;
      int cancelled = 0;
      for (int i = 0; i < runnel_test::rounds(30'000); ++i) {
        bool earliest = false;
        const auto when = static_cast<std::int64_t>(random() % 200'000);
        const auto as = heap.reset(timer, move_to(when), 0, 0, earliest);
        ++armings;
        if (as == timer_heap::found::armed) ++cancelled;
        if (random() % 2 == 0 && heap.cancel(timer, 0, nullptr) == timer_heap::found::armed)
          ++cancelled;
      }
      if (heap.cancel(timer, 0, nullptr) == timer_heap::found::armed) ++cancelled;
      EXPECT_EQ(timer.fired + cancelled, armings);
    });
  }
  for (auto& user : users) user.join();
  stop = true;
  runner.join();
}

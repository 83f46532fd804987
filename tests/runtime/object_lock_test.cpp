// White box: the biased lock and the processor's queue, under the access patterns that their
// protocols distinguish. Go: RunSchedLocalQueueTest, RunSchedLocalQueueStealTest.
#include <atomic>
#include <memory>
#include <runnel/detail/object_lock.hpp>
#include <runnel/detail/waiter.hpp>
#include <runnel/go.hpp>
#include <thread>
#include <vector>

#include "runtime/processor.hpp"
#include "support/test.hpp"

using runnel::detail::claim_word;
using runnel::detail::object_lock;
using runnel::detail::wait_queue;
using runnel::detail::waiter;
using runnel::runtime::goroutine;
using runnel::runtime::machine;
using runnel::runtime::processor;

namespace {

// This thread's record, made on demand: locks are biased to it.
machine* this_machine() { return static_cast<machine*>(runnel::detail::attach_thread()); }

}  // namespace

TEST(object_lock, excludes_each_other_whoever_it_is_biased_to) {
  runnel::run([] {});  // membarrier is registered from here on
  object_lock lock;
  long counter = 0;
  const int n = runnel_test::rounds(200'000);
  this_machine();
  // Long streaks on one thread (which earn it the bias), then others break in (which revokes it).
  const auto work = [&](int streak) {
    this_machine();
    for (int i = 0; i < n; ++i) {
      lock.lock();
      const long seen = counter;
      if (i % streak == 0) std::this_thread::yield();
      counter = seen + 1;
      lock.unlock();
    }
  };
  work(n);
  std::vector<std::thread> threads;
  for (const int streak : {997, 211, 53}) threads.emplace_back(work, streak);
  for (auto& t : threads) t.join();
  EXPECT_EQ(counter, 4L * n);
}

TEST(object_lock, bias_is_revoked_while_its_owner_is_inside) {
  runnel::run([] {});
  for (int round = 0; round < runnel_test::rounds(300); ++round) {
    object_lock lock;
    this_machine();
    for (int i = 0; i < 1000; ++i) {  // earn the bias
      lock.lock();
      lock.unlock();
    }
    int inside = 0;
    lock.lock();
    std::atomic<bool> other_began{false};
    std::thread other([&] {
      this_machine();
      other_began = true;
      lock.lock();
      EXPECT_EQ(inside, 2);
      lock.unlock();
    });
    while (!other_began) std::this_thread::yield();
    inside = 1;
    if (round % 2 == 0) std::this_thread::yield();
    inside = 2;
    lock.unlock();
    other.join();
  }
}

TEST(object_lock, a_thread_may_hold_several) {
  runnel::run([] {});
  object_lock a;
  object_lock b;
  this_machine();
  for (int i = 0; i < 2000; ++i) {
    a.lock(0);
    b.lock(1);
    b.unlock(1);
    a.unlock(0);
    a.lock(1);
    b.lock(0);
    a.unlock(1);
    b.unlock(0);
  }
  // None of them is still held.
  std::thread([&] {
    this_machine();
    a.lock();
    a.unlock();
    b.lock_plain();
    b.unlock_plain();
  }).join();
}

TEST(wait_queue, is_a_fifo_from_which_any_may_leave) {
  wait_queue queue;
  std::vector<waiter> waiters(6);
  for (auto& w : waiters) queue.push_back(w);
  queue.remove(waiters[0]);
  queue.remove(waiters[3]);
  queue.remove(waiters[5]);
  queue.remove(waiters[5]);  // again: nothing
  EXPECT_EQ(queue.pop(), &waiters[1]);
  queue.push_front(waiters[0]);
  queue.push_back(waiters[5]);
  EXPECT_EQ(queue.pop(), &waiters[0]);
  EXPECT_EQ(queue.pop(), &waiters[2]);
  EXPECT_EQ(queue.pop(), &waiters[4]);
  EXPECT_EQ(queue.pop(), &waiters[5]);
  EXPECT_EQ(queue.pop(), nullptr);
  EXPECT_TRUE(queue.empty());
}

TEST(wait_queue, pop_skips_those_claimed_elsewhere) {
  wait_queue queue;
  claim_word mine;
  claim_word other;
  std::vector<waiter> waiters(3);
  waiters[0].claim = &other;
  waiters[1].claim = &mine;
  waiters[1].tag = 7;
  for (auto& w : waiters) queue.push_back(w);
  EXPECT_TRUE(other.try_claim(1));
  EXPECT_EQ(queue.pop(), &waiters[1]);
  EXPECT_FALSE(waiters[0].queued);
  EXPECT_EQ(mine.winner(), 7U);
  EXPECT_FALSE(mine.try_claim(8));
  EXPECT_EQ(queue.pop(), &waiters[2]);
}

TEST(claim_word, exactly_one_of_many_wins) {
  for (int round = 0; round < runnel_test::rounds(2000); ++round) {
    claim_word claim;
    std::atomic<int> winners{0};
    std::atomic<std::uint32_t> winner{0};
    std::vector<std::thread> threads;
    for (std::uint32_t tag = 1; tag <= 2; ++tag) {
      threads.emplace_back([&, tag] {
        if (claim.try_claim(tag)) {
          ++winners;
          winner = tag;
        }
      });
    }
    for (auto& t : threads) t.join();
    ASSERT_EQ(winners, 1);
    ASSERT_EQ(claim.winner(), winner);
  }
}

namespace {

// Control blocks that are only moved between queues, never run.
struct herd {
  explicit herd(std::size_t n) : blocks(new goroutine[n]), seen(n) {}
  void mark(goroutine* g) { ++seen[static_cast<std::size_t>(g - blocks.get())]; }
  std::unique_ptr<goroutine[]> blocks;
  std::vector<std::atomic<int>> seen;
};

}  // namespace

TEST(processor_queue, keeps_order_and_prefers_the_next_slot) {
  runnel::run([] {});
  const auto p = std::make_unique<processor>();
  machine* me = this_machine();
  p->lock.bias_to(me);
  herd h(10);
  const auto g = [&](std::size_t i) { return &h.blocks[i]; };
  EXPECT_EQ(p->pick(me), nullptr);
  EXPECT_EQ(p->push(me, g(0), false), processor::pushed::queued);
  EXPECT_EQ(p->push(me, g(1), false), processor::pushed::queued);
  EXPECT_EQ(p->push(me, g(2), true), processor::pushed::queued);
  EXPECT_EQ(p->pick(me), g(2));  // run next
  EXPECT_EQ(p->pick(me), g(0));
  EXPECT_EQ(p->push(me, g(3), true), processor::pushed::queued);
  EXPECT_EQ(p->push(me, g(4), true), processor::pushed::queued);  // 3 goes to the end
  EXPECT_EQ(p->pick(me), g(4));
  EXPECT_EQ(p->pick(me), g(1));
  EXPECT_EQ(p->pick(me), g(3));
  EXPECT_EQ(p->pick(me), nullptr);
  EXPECT_EQ(p->push(me, g(5), true), processor::pushed::as_next);
  EXPECT_EQ(p->pick(me), g(5));
  EXPECT_TRUE(p->looks_empty());
}

TEST(processor_queue, the_next_slot_does_not_starve_the_ring) {
  runnel::run([] {});
  const auto p = std::make_unique<processor>();
  machine* me = this_machine();
  p->lock.bias_to(me);
  herd h(2);
  p->push(me, &h.blocks[0], false);
  int picks = 0;
  for (; picks < 1000; ++picks) {
    p->push(me, &h.blocks[1], true);
    if (p->pick(me) == &h.blocks[0]) break;
  }
  EXPECT_LT(picks, 1000);
  EXPECT_EQ(p->pick(me), &h.blocks[1]);
}

TEST(processor_queue, steals_half_and_detaches) {
  runnel::run([] {});
  const auto p = std::make_unique<processor>();
  machine* me = this_machine();
  p->lock.bias_to(me);
  p->m = me;
  herd h(8);
  for (std::size_t i = 0; i < 5; ++i) p->push(me, &h.blocks[i], false);
  p->push(me, &h.blocks[7], true);
  goroutine* taken[processor::ring_size / 2 + 1];
  std::uint32_t n = 0;
  std::thread([&] {
    this_machine();
    n = p->steal(taken, false);
  }).join();
  ASSERT_EQ(n, 3U);
  for (std::uint32_t i = 0; i < 3; ++i) EXPECT_EQ(taken[i], &h.blocks[i]);
  EXPECT_EQ(p->pick(me), &h.blocks[7]);
  EXPECT_EQ(p->pick(me), &h.blocks[3]);
  p->push(me, &h.blocks[6], true);
  goroutine* first = nullptr;
  goroutine* last = nullptr;
  std::thread([&] {
    this_machine();
    EXPECT_EQ(p->drain(first, last, true), 2U);
  }).join();
  EXPECT_EQ(first, &h.blocks[6]);
  EXPECT_EQ(last, &h.blocks[4]);
  EXPECT_EQ(p->push(me, &h.blocks[0], false), processor::pushed::refused);
  EXPECT_EQ(p->pick(me), nullptr);
}

// The owner pushes and picks while thieves steal: every block comes out exactly once.
TEST(processor_queue, owner_and_thieves_lose_and_double_nothing) {
  runnel::run([] {});
  for (int round = 0; round < runnel_test::rounds(40); ++round) {
    const auto p = std::make_unique<processor>();
    machine* me = this_machine();
    p->lock.bias_to(me);
    p->m = me;
    constexpr std::size_t n = 4000;
    herd h(n);
    std::atomic<bool> stop{false};
    std::vector<std::thread> thieves;
    for (int t = 0; t < 2; ++t) {
      thieves.emplace_back([&] {
        this_machine();
        goroutine* taken[processor::ring_size / 2 + 1];
        while (!stop) {
          const std::uint32_t k = p->steal(taken, true);
          for (std::uint32_t i = 0; i < k; ++i) h.mark(taken[i]);
          if (k == 0) std::this_thread::yield();
        }
      });
    }
    for (std::size_t i = 0; i < n; ++i) {
      p->push(me, &h.blocks[i], i % 3 == 0);
      // Never full: what overflows goes to the program's own scheduler, which would run it.
      while (i % 2 == 0 || p->ring_count() > processor::ring_size / 2) {
        goroutine* g = p->pick(me);
        if (g != nullptr) h.mark(g);
        if (g == nullptr || p->ring_count() <= processor::ring_size / 2) break;
      }
    }
    while (goroutine* g = p->pick(me)) h.mark(g);
    stop = true;
    for (auto& t : thieves) t.join();
    while (goroutine* g = p->pick(me)) h.mark(g);
    for (std::size_t i = 0; i < n; ++i) ASSERT_EQ(h.seen[i], 1) << i;
  }
}

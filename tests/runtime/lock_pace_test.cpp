// White box: what a thread learns of a mutex that several threads take.
#include "sync/lock_pace.hpp"

#include <cstdint>

#include "support/test.hpp"

using runnel::detail::better;
using runnel::detail::count_take;
using runnel::detail::end_errand;
using runnel::detail::enough_windows;
using runnel::detail::few_others;
using runnel::detail::judge;
using runnel::detail::lock_pace;
using runnel::detail::long_turn;
using runnel::detail::most_calls;
using runnel::detail::neighbours_are_quick;
using runnel::detail::next_window;
using runnel::detail::note_errand;
using runnel::detail::note_neighbours;
using runnel::detail::pace_window;
using runnel::detail::regimes_apart;
using runnel::detail::shun_for;
using runnel::detail::stale_windows;
using runnel::detail::too_many_long_turns;
using runnel::detail::window;
using runnel::detail::window_ends;

using namespace std::chrono_literals;

namespace {

// A thread that takes mutexes, each of which counts how often it has been taken.
struct taker {
  lock_pace pace;
  std::uint64_t now = 1000;

  // Takes the mutex until a window ends, others taking it so many times meanwhile; each take of
  // anybody lasts for so many ticks.
  window takes(std::uint32_t& mutex, std::uint32_t others, std::uint64_t each) {
    mutex += others;
    now += others * each;
    for (;;) {
      ++mutex;
      now += each;
      if (window_ends(pace, &mutex)) return next_window(pace, &mutex, mutex, now);
    }
  }

  // As many windows with others as it takes to judge.
  void share(std::uint32_t& mutex, std::uint64_t each) {
    for (int i = 0; i < enough_windows; ++i) {
      EXPECT_EQ(takes(mutex, pace_window, each), window::shared);
    }
  }
};

}  // namespace

TEST(lock_pace, tells_which_is_faster) {
  for (const std::uint64_t apart : {50, 200}) {
    taker t;
    std::uint32_t mutex = 0;
    t.takes(mutex, 0, 7);  // the first tells when to begin
    EXPECT_EQ(judge(t.pace), better::unknown);
    EXPECT_EQ(t.takes(mutex, 0, 100), window::alone);
    EXPECT_EQ(judge(t.pace), better::unknown);
    for (int i = 1; i < enough_windows; ++i) {
      EXPECT_EQ(t.takes(mutex, pace_window, apart), window::shared);
      EXPECT_EQ(judge(t.pace), better::unknown);
    }
    t.pace.calls = 0;
    EXPECT_EQ(t.takes(mutex, pace_window, apart), window::shared);
    EXPECT_EQ(judge(t.pace), apart < 100 ? better::apart : better::together);
    EXPECT_EQ(t.pace.alone, 102'400U);
    EXPECT_EQ(t.pace.apart, 1024 * apart);
    EXPECT_EQ(t.pace.calls, most_calls);  // since it was apart just now
  }
}

// Those who have only been apart try being together.
TEST(lock_pace, tries_being_together_too) {
  taker t;
  std::uint32_t mutex = 0;
  t.takes(mutex, 0, 7);
  t.share(mutex, 50);
  EXPECT_EQ(judge(t.pace), better::together);
  EXPECT_EQ(t.takes(mutex, 0, 100), window::alone);
  EXPECT_EQ(judge(t.pace), better::apart);
}

TEST(lock_pace, what_being_together_costs_gets_out_of_date) {
  taker t;
  std::uint32_t mutex = 0;
  t.takes(mutex, 0, 7);
  t.takes(mutex, 0, 100);
  for (int i = 1; i < stale_windows; ++i) t.takes(mutex, pace_window, 50);
  EXPECT_EQ(judge(t.pace), better::apart);
  t.takes(mutex, pace_window, 50);
  EXPECT_EQ(judge(t.pace), better::together);
  t.takes(mutex, 0, 20);
  EXPECT_EQ(judge(t.pace), better::together);
}

TEST(lock_pace, a_new_regime_tries_being_apart_anew) {
  taker t;
  std::uint32_t mutex = 0;
  t.takes(mutex, 0, 7);
  t.takes(mutex, 0, 100);
  t.share(mutex, 200);
  EXPECT_EQ(judge(t.pace), better::together);
  t.pace.calls = 0;
  mutex += regimes_apart;
  EXPECT_EQ(t.takes(mutex, 0, 200), window::nothing);
  EXPECT_EQ(judge(t.pace), better::unknown);
  EXPECT_EQ(t.pace.calls, most_calls);
  t.share(mutex, 50);
  EXPECT_EQ(judge(t.pace), better::apart);  // it still knows the other
}

TEST(lock_pace, is_not_quick_with_an_errand) {
  taker t;
  std::uint32_t mutex = 0, other = 0;
  t.takes(mutex, 0, 7);
  EXPECT_EQ(t.pace.quick, &mutex);
  note_errand(t.pace, &other, true);
  EXPECT_EQ(t.pace.quick, &mutex);
  note_errand(t.pace, &mutex, true);
  EXPECT_EQ(t.pace.quick, nullptr);
  t.takes(mutex, 0, 7);
  EXPECT_EQ(t.pace.quick, nullptr);
  end_errand(t.pace);
  EXPECT_EQ(t.pace.quick, &mutex);
  // One that is about to be watched.
  note_errand(t.pace, &other, false);
  while (!window_ends(t.pace, &other)) ++other;
  next_window(t.pace, &other, other, t.now);
  EXPECT_EQ(t.pace.of, &other);
  EXPECT_EQ(t.pace.quick, nullptr);
  EXPECT_EQ(t.pace.errand_at, &other);
  // One that takes the place of another.
  note_errand(t.pace, &mutex, false);
  EXPECT_EQ(t.pace.quick, &other);
}

TEST(lock_pace, shuns_neighbours_that_keep_the_processor) {
  lock_pace p;
  runnel::detail::steady_time now(1s);
  const auto turn = [&](std::chrono::nanoseconds took) {
    EXPECT_TRUE(neighbours_are_quick(p, now));
    note_neighbours(p, now, now + took);
    now += took;
  };
  // One interruption is in the turns of all who wait meanwhile.
  for (int i = 0; i < 20; ++i) {
    note_neighbours(p, now + i * 1us, now + i * 1us + 2 * long_turn);
  }
  now += 3 * long_turn;
  turn(1us);
  for (unsigned i = 0; i < too_many_long_turns; ++i) turn(long_turn);
  EXPECT_FALSE(neighbours_are_quick(p, now));
  EXPECT_FALSE(neighbours_are_quick(p, now + shun_for - 1ns));
  now += shun_for;
  turn(long_turn);
  EXPECT_FALSE(neighbours_are_quick(p, now));
  now += shun_for;
  turn(long_turn - 1ns);
  turn(long_turn);
  turn(1us);
}

TEST(lock_pace, a_few_takes_by_others_tell_of_neither) {
  taker t;
  std::uint32_t mutex = 0;
  t.takes(mutex, 0, 100);
  EXPECT_EQ(t.takes(mutex, few_others - 1, 100), window::shared);
  EXPECT_EQ(t.pace.alone, 0U);
  EXPECT_EQ(t.pace.apart, 0U);
  EXPECT_EQ(t.takes(mutex, few_others, 100), window::shared);
  EXPECT_EQ(t.pace.apart, 102'400U);
}

TEST(lock_pace, a_window_in_which_its_thread_was_away_tells_nothing) {
  taker t;
  std::uint32_t mutex = 0;
  t.takes(mutex, 0, 100);
  EXPECT_EQ(t.takes(mutex, 8 * pace_window, 100), window::nothing);
  EXPECT_EQ(t.pace.apart, 0U);
  // Nor one that was disturbed, but for whether there were others.
  t.pace.disturbed = true;
  EXPECT_EQ(t.takes(mutex, 0, 100), window::alone);
  EXPECT_EQ(t.pace.alone, 0U);
  t.pace.disturbed = true;
  EXPECT_EQ(t.takes(mutex, pace_window, 100), window::shared);
  EXPECT_EQ(t.pace.apart, 0U);
  EXPECT_EQ(t.takes(mutex, 0, 100), window::alone);
  EXPECT_EQ(t.pace.alone, 102'400U);
}

TEST(lock_pace, what_has_become_slower_is_believed_by_and_by) {
  taker t;
  std::uint32_t mutex = 0;
  t.takes(mutex, 0, 100);
  t.takes(mutex, 0, 100);
  t.takes(mutex, 0, 100'000);  // its CPU was taken away
  EXPECT_EQ(t.pace.alone, 128'001U);
  t.takes(mutex, 0, 90);
  EXPECT_EQ(t.pace.alone, 92'160U);
  for (int i = 0; i < 20; ++i) t.takes(mutex, 0, 1000);
  EXPECT_EQ(t.pace.alone, 1'024'000U);
}

TEST(lock_pace, watches_one_mutex_after_the_other) {
  taker t;
  std::uint32_t first = 0, second = 0;
  t.takes(first, 0, 100);
  bool watched[2] = {false, false};
  for (std::uint32_t i = 0; i < 20 * pace_window; ++i) {
    for (std::uint32_t* mutex : {&first, &second}) {
      ++*mutex;
      t.now += 100;
      if (!window_ends(t.pace, mutex)) continue;
      if (next_window(t.pace, mutex, *mutex, t.now) == window::alone) {
        watched[mutex == &second] = true;
        EXPECT_NEAR(static_cast<double>(t.pace.alone), 204'800,
                    3200);  // the other's take is work, too
      }
    }
  }
  EXPECT_TRUE(watched[0]);
  EXPECT_TRUE(watched[1]);
}

// Ten mutexes, now alone, now with others.
TEST(lock_pace, judges_one_of_many) {
  taker t;
  std::uint32_t mutexes[10] = {};
  const void* last = nullptr;
  int judged = 0;
  for (std::uint32_t i = 0; i < 1200 * pace_window; ++i) {
    const bool shared = i / 160 % 2 != 0;
    for (std::uint32_t& mutex : mutexes) {
      mutex += shared ? 2 : 1;
      t.now += 100;
      if (!window_ends(t.pace, &mutex)) continue;
      next_window(t.pace, &mutex, mutex, t.now);
      if (last == t.pace.of || judge(t.pace) == better::unknown) continue;
      EXPECT_EQ(judge(t.pace), better::apart);  // two takes in the time of one
      last = t.pace.of;
      ++judged;
    }
  }
  EXPECT_GT(judged, 20);
}

// One that goes through the queue or a select.
TEST(lock_pace, every_own_take_counts) {
  for (int when = 0; when < static_cast<int>(pace_window); ++when) {
    taker t;
    std::uint32_t mutex = 0;
    t.takes(mutex, 0, 100);
    bool ended = false;
    for (int i = 0; !ended; ++i) {
      if (i == when) {
        ++mutex;
        count_take(t.pace, &mutex);
      }
      ++mutex;
      t.now += 100;
      ended = window_ends(t.pace, &mutex);
    }
    EXPECT_EQ(next_window(t.pace, &mutex, mutex, t.now), window::alone) << when;
  }
}

TEST(lock_pace, another_mutex_in_the_same_place_begins_anew) {
  taker t;
  std::uint32_t mutex = 0;
  t.takes(mutex, 0, 100);
  t.takes(mutex, 0, 100);
  t.share(mutex, 50);
  EXPECT_EQ(judge(t.pace), better::apart);
  mutex = 0;
  EXPECT_EQ(t.takes(mutex, 0, 100), window::nothing);
  EXPECT_EQ(judge(t.pace), better::unknown);
}

TEST(lock_pace, counts_may_wrap) {
  taker t;
  std::uint32_t mutex = 0U - pace_window - 10;
  t.takes(mutex, 0, 100);
  EXPECT_GT(mutex, 1U << 31);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(t.takes(mutex, 0, 100), window::alone);
  EXPECT_LT(mutex, 1U << 31);
}

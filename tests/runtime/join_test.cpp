// Going over to another processor (src/runtime/join.cpp): when, and that nobody is stranded there.
#include "runtime/join.hpp"

#include <atomic>
#include <chrono>
#include <runnel/runtime.hpp>

#include "runtime/scheduler.hpp"
#include "unit/sync_support.hpp"

using namespace std::chrono_literals;
using runnel::detail::lock_crowd;
using runnel::runtime::join_processor_of;
using runnel::runtime::note_lock_wait;
using runnel_test::crew;
using runnel_test::rounds;

namespace {

// What the last of n waits tells, each of which takes `waited` of every hundred ticks.
std::uint32_t after_waits(lock_crowd& c, std::uint64_t& clock, int n, std::uint64_t waited) {
  std::uint32_t told = 0;
  for (int i = 0; i < n; ++i) {
    told = note_lock_wait(c, clock, clock + waited);
    clock += 100;
  }
  return told;
}

// What sysmon does after a while: the next theft is not put off because of this one.
void help_each_other_again() {
  for (auto& p : runnel::runtime::sched->all) {
    if (runnel::runtime::processor* held = p) held->help_from = 1;
  }
}

}  // namespace

TEST(join, windows_are_crowded_that_are_waited_for_two_fifths) {
  lock_crowd c;
  std::uint64_t clock = 1000;
  EXPECT_EQ(after_waits(c, clock, 7, 60), 0U);
  EXPECT_EQ(after_waits(c, clock, 1, 60), 1U);
  EXPECT_EQ(after_waits(c, clock, 8, 60), 2U);
  EXPECT_EQ(after_waits(c, clock, 7, 60), 0U) << "within a window nothing is told";
  EXPECT_EQ(after_waits(c, clock, 1, 60), 3U);
  EXPECT_EQ(after_waits(c, clock, 8, 20), 0U) << "one that is not ends the row";
  EXPECT_EQ(after_waits(c, clock, 8, 60), 1U);
  runnel::runtime::forget_lock_waits(c);
  EXPECT_EQ(after_waits(c, clock, 8, 60), 1U);
}

TEST(join, windows_begin_with_a_wait) {
  lock_crowd c;
  std::uint64_t clock = 1000;
  EXPECT_EQ(after_waits(c, clock, 8, 60), 1U);
  clock += 1'000'000;  // of work, or asleep, that belongs to no window
  EXPECT_EQ(after_waits(c, clock, 8, 60), 2U);
  EXPECT_EQ(after_waits(c, clock, 4, 60), 0U);
  clock += 1'000'000;  // but this does
  EXPECT_EQ(after_waits(c, clock, 4, 60), 0U);
}

// Who is joined parks meanwhile, so that his processor is given up just as somebody comes to it,
// now and again. Whoever is stranded there leaves the whole program asleep.
RUNNEL_TEST(join_processor, nobody_is_stranded_where_it_is_given_up) {
  if (runnel::max_procs() == 1) return;
  std::atomic<const runnel::detail::thread*> where{nullptr};
  std::atomic<int> parking{-1};
  const runnel::chan<int> go_on;
  const int turns = rounds(5000);
  crew two;
  two.go([&] {
    for (int i = 0; i < turns; ++i) {
      where = runnel::detail::current_thread();
      parking = i;
      go_on.recv();
    }
  });
  two.go([&] {
    for (int i = 0; i < turns; ++i) {
      while (parking < i) runnel_test::burn(100ns);  // until an idle processor has taken the other
      runnel_test::burn(std::chrono::nanoseconds(i * 37 % 70'000));
      join_processor_of(where);
      go_on.send(i);
      help_each_other_again();
      runnel::detail::call_for_help();
    }
  });
  two.wait();
}

RUNNEL_TEST_BOTH(join_processor, nothing_happens_where_there_is_nobody_to_join) {
  join_processor_of(runnel::detail::current_thread());
  runnel::detail::thread nobody;
  join_processor_of(&nobody);
}

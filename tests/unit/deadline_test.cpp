// The timed forms at the ends of time: points that have passed long ago, or that no clock reaches,
// of clocks and units whose common type cannot hold them.
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <runnel/future.hpp>
#include <shared_mutex>

#include "sync_support.hpp"

using namespace std::chrono_literals;
using runnel::condition_variable;
using runnel::counting_semaphore;
using runnel::mutex;
using runnel::shared_mutex;
using runnel_test::crew;
using runnel_test::let_others_run;
using std::chrono::steady_clock;
using std::chrono::system_clock;

namespace {

template <class Clock>
using hours_of = std::chrono::time_point<Clock, std::chrono::hours>;
template <class Clock>
using seconds_of = std::chrono::time_point<Clock, std::chrono::duration<double>>;

template <class Point>
void nothing_waits_until(Point t) {
  mutex m;
  const std::lock_guard held(m);
  EXPECT_FALSE(m.try_lock_until(t));
  shared_mutex sm;
  {
    const std::lock_guard written(sm);
    EXPECT_FALSE(sm.try_lock_until(t));
    EXPECT_FALSE(sm.try_lock_shared_until(t));
  }
  counting_semaphore<> s(0);
  EXPECT_FALSE(s.try_acquire_until(t));
  runnel::promise<int> p;
  EXPECT_EQ(p.get_future().wait_until(t), std::future_status::timeout);
  condition_variable cv;
  mutex own;
  std::unique_lock lock(own);
  EXPECT_EQ(cv.wait_until(lock, t), std::cv_status::timeout);
  EXPECT_FALSE(cv.wait_until(lock, t, [] { return false; }));
  EXPECT_FALSE(cv.wait_until(lock, std::stop_token(), t, [] { return false; }));
  runnel::sleep_until(t);
}

template <class Point>
void waits_end_before(Point t) {
  mutex m;
  m.lock();
  counting_semaphore<> s(0);
  condition_variable cv;
  mutex own;
  bool ready = false;
  runnel::promise<int> p;
  crew helpers;
  helpers.go([&] {
    let_others_run();
    m.unlock();
    s.release();
    {
      const std::lock_guard lock(own);
      ready = true;
    }
    cv.notify_all();
    p.set_value(1);
  });
  EXPECT_TRUE(m.try_lock_until(t));
  m.unlock();
  EXPECT_TRUE(s.try_acquire_until(t));
  {
    std::unique_lock lock(own);
    EXPECT_TRUE(cv.wait_until(lock, t, [&] { return ready; }));
  }
  EXPECT_EQ(p.get_future().wait_until(t), std::future_status::ready);
}

}  // namespace

RUNNEL_TEST_BOTH(deadlines, passed_long_ago) {
  nothing_waits_until(steady_clock::time_point::min());
  nothing_waits_until(steady_clock::time_point());
  nothing_waits_until(system_clock::time_point::min());
  nothing_waits_until(system_clock::time_point());
  nothing_waits_until(hours_of<steady_clock>::min());
  nothing_waits_until(hours_of<system_clock>::min());
  nothing_waits_until(seconds_of<system_clock>(std::chrono::duration<double>(-1e300)));
}

RUNNEL_TEST_BOTH(deadlines, never_reached) {
  waits_end_before(steady_clock::time_point::max());
  waits_end_before(system_clock::time_point::max());
  waits_end_before(hours_of<steady_clock>::max());
  waits_end_before(hours_of<system_clock>::max());
  waits_end_before(seconds_of<system_clock>(std::chrono::duration<double>(1e300)));
}

// Finding that nothing can ever run again. Go: checkdead.
//
// All of these must hold: every worker machine sleeps, the global queue is empty, no timer is in
// a heap or being fired, nobody waits for a descriptor, and every other thread of the process is
// asleep in this library without a time limit. Then no instruction of the program can run again
// (signal handlers aside, which may not call the library). Threads are counted in /proc/self/task,
// so that a plain thread which could still wake somebody, whatever library made it, keeps the
// report away.
#pragma once

#include <cstdint>

namespace runnel::runtime {

/// The poller's schedule of looks. Costs nothing while the program has other deadlines or while
/// some plain thread known to the library runs.
class deadlock_watch {
 public:
  /// When to look next (steady_clock ns, int64 max: not before something happens); `deadline` is
  /// the next timer's.
  std::int64_t next_check(std::int64_t deadline) noexcept;
  /// The poller woke without work; looks if it is time to, and does not return if all are asleep.
  void woke(std::int64_t now);

 private:
  std::int64_t check_at_ = 0;
  std::int64_t since_ = 0;  // when nothing but foreign threads was first seen awake; 0: not so
};

/// A plain thread, or the last machine, went to sleep: the poller may have to look.
void thread_fell_asleep() noexcept;

/// Sees to it that some machine sleeps in the poller.
void ensure_poller() noexcept;

}  // namespace runnel::runtime

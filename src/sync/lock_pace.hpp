// Whether those who fight for a mutex are better off on one processor or on several, by
// measurement.
//
// Goroutines that block each other at a lock come together on one processor, since whoever is woken
// joins the queue of the waker. There the lock's cache line stays, and locking costs 2 ns; but what
// they do between their sections is no longer done at the same time. Which of the two is faster
// depends on how much that is, and on what the line's way between two CPUs costs, a part of which
// they hide behind the work. Where this was written the two are even at 20 ns of work.
//
// So each thread measures windows of 64 takes of its own: the time for each take, by whomever.
// Windows without others tell what being together costs, those with others what being apart does,
// with the work, the sections and all else that the program does, at full speed. (Rejected: time
// stamps around single sections. They keep the CPU from working while the line is on its way, just
// what is to be measured: 360 ticks of work between two sections where there are 95.)
//
// A thread watches one mutex for some windows, then the next one that it takes in the shared regime
// (mutex.cpp). All here belongs to the thread, and is a hint.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <runnel/detail/park.hpp>
#include <runnel/detail/thread.hpp>

#include "arch/ticks.hpp"

namespace runnel::detail {

enum class better : std::uint8_t { unknown, together, apart };

/// Own takes in a window: enough for the two looks at the counter, 10 to 30 ns, not to count.
inline constexpr std::uint32_t pace_window = 64;
/// With fewer takes by others it tells of neither.
inline constexpr std::uint32_t few_others = pace_window / 8;
/// With fewer windows with others nothing is known of being apart: the first of them tell of
/// waiters from before.
inline constexpr std::uint8_t enough_windows = 8;
/// After so many windows with others what being alone costs is out of date.
inline constexpr std::uint16_t stale_windows = 4096;
/// Added to a mutex's count between two regimes, for no window to reach across.
inline constexpr std::uint32_t regimes_apart = 1U << 20;

/// How often a thread calls for help when it was apart, had better be, and is not. An idle machine
/// may be just about to sleep, or asleep and slow to come; but what it knows may be out of date.
inline constexpr std::uint8_t most_calls = 8;

/// Counts a take; is one to call next_window? A mutex is watched until twelve windows have told of
/// it and others have been taken 256 times meanwhile. After 16384 times it is given up in any case:
/// of more than 20 mutexes in turn none is judged.
inline bool window_ends(lock_pace& p, const void* of) noexcept {
  if (p.of == of) return --p.left == 0;
  return p.of == nullptr || ++p.strangers >= (p.windows >= 12 ? 4 : 256) * pace_window;
}

/// Counts a take that cannot end a window.
inline void count_take(lock_pace& p, const void* of) noexcept {
  if (p.of != of) return;
  if (p.left > 1) {
    --p.left;
  } else {
    ++p.takes;
  }
}

/// Whether letting the neighbours run takes but a moment. One long turn may be that of a CPU that
/// was taken away, in the middle of the turns of all who were waiting then.
inline constexpr std::chrono::microseconds long_turn{500};
inline constexpr std::chrono::milliseconds shun_for{100};
inline constexpr std::uint32_t too_many_long_turns = 3;

inline bool neighbours_are_quick(const lock_pace& p, steady_time now) noexcept {
  return p.long_turns < too_many_long_turns || now - p.last_long_turn >= shun_for;
}

inline void note_neighbours(lock_pace& p, steady_time from, steady_time to) noexcept {
  if (to - from < long_turn) {
    p.long_turns = 0;
  } else if (from >= p.last_long_turn) {
    p.last_long_turn = to;
    ++p.long_turns;
  }
}

/// Notes what the thread is to do before it locks the mutex again; a mutex's own functions see it.
inline void note_errand(lock_pace& p, const void* at, bool let_pass) noexcept {
  p.errand_at = at;
  p.let_pass = let_pass;
  p.quick = p.of == at ? nullptr : p.of;
}

inline void end_errand(lock_pace& p) noexcept {
  p.errand_at = nullptr;
  p.quick = p.of;
}

enum class window : std::uint8_t { nothing, alone, shared };

/// Ends the window and begins the next one, of a mutex that has been taken so many times; now, in
/// ticks. With more takes than `most` its thread has been away.
inline window next_window(lock_pace& p, const void* of, std::uint32_t takes, std::uint64_t now,
                          std::uint32_t most = 8 * pace_window) noexcept {
  // The least is what disturbances leave; what has grown is believed within a few windows.
  const auto smooth = [](std::uint64_t& known, std::uint64_t each) {
    known = known == 0 ? each : std::min(each, known + known / 4 + 1);
  };
  const std::uint32_t took = takes - p.takes;
  window kind = window::nothing;
  // A count that went back is another mutex's, which lies where that one lay.
  if (p.of != of || static_cast<std::int32_t>(took) < 0) {
    lock_pace anew;
    anew.of = of;
    anew.errand_at = p.errand_at;
    anew.let_pass = p.let_pass;
    anew.calls = most_calls;
    anew.long_turns = p.long_turns;
    anew.last_long_turn = p.last_long_turn;
    p = anew;
    if (p.errand_at != of) p.quick = of;
  } else if (took >= regimes_apart) {
    p.apart = 0;
    p.shared_windows = 0;
    p.calls = most_calls;
  } else if (took >= pace_window && took < most) {
    const std::uint64_t each = (now - p.since) * 1024 / took;
    kind = took == pace_window ? window::alone : window::shared;
    if (kind == window::alone && !p.disturbed) {
      smooth(p.alone, each);
      p.since_alone = 0;
    }
    if (took >= pace_window + few_others && !p.disturbed) {
      smooth(p.apart, each);
      if (p.shared_windows < enough_windows) ++p.shared_windows;
      p.calls = most_calls;
      if (++p.since_alone == stale_windows) p.alone = 0;
    }
  }
  if (kind != window::nothing && p.windows != 255) ++p.windows;
  p.left = pace_window;
  p.takes = takes;
  p.since = now;
  p.disturbed = false;
  return kind;
}

/// First threads try being apart for a while; then, unless that is known, being together.
inline better judge(const lock_pace& p) noexcept {
  if (p.shared_windows < enough_windows) return better::unknown;
  return p.alone == 0 || p.apart > p.alone ? better::together : better::apart;
}

}  // namespace runnel::detail

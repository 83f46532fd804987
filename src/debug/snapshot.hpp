// What a report says of one goroutine or thread, taken at one moment, and of all of them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "debug/backtrace.hpp"
#include "runtime/inspect.hpp"

namespace runnel::debug {

struct snapshot {
  enum class kind : std::uint8_t { goroutine, main_thread, thread };

  kind what = kind::thread;
  bool locked = false;     // to its OS thread
  bool has_stack = false;  // false: it ran, and could not be asked
  std::uint64_t id = 0;    // of the goroutine; else of the thread
  std::uint64_t parent_id = 0;
  const char* state = "running";  // static text
  std::int64_t minutes = 0;       // of waiting
  const void* site = nullptr;
  std::array<char, 256> name_text{};
  std::size_t name_size = 0;
  backtrace trace;

  std::string_view name() const noexcept { return {name_text.data(), name_size}; }
};

/// The caller: what it is, and its stack from the caller's frame on.
void take_current(snapshot& s) noexcept;

/// What to take; by default everything.
struct selection {
  /// The caller's own, already known: goroutine and thread are left out. May be null.
  const snapshot* except = nullptr;
  /// Of goroutines; null: all.
  bool (*wanted)(void* argument, std::uint64_t id) = nullptr;
  void* argument = nullptr;
  bool threads = true;
};

/// Goroutines beyond this number are only counted: nobody reads on, and it bounds the report.
inline constexpr std::size_t shown_goroutines = 10'000;
inline constexpr std::size_t shown_threads = 32;
/// As many stacks are held at once, of 1 KiB each. Every part costs a pass over all goroutines.
inline constexpr std::size_t census_part = 512;

/// Of all goroutines those with the lowest ids, in their order, a part of them at a time; of all
/// plain threads blocked in the library as many as fit, main first, with the first part. Large:
/// allocate or make static. One caller at a time.
///
///   take_census(all, which);
///   do use(all); while (take_next_part(all));
struct census {
  std::array<snapshot, census_part> goroutines;
  std::size_t goroutine_count = 0;    // of the array
  std::uint64_t goroutine_total = 0;  // alive when the census began
  std::array<snapshot, shown_threads> threads;
  std::size_t thread_count = 0;
  std::uint64_t thread_total = 0;

  selection which;
  std::array<std::uint64_t, shown_goroutines> ids;  // of those to be shown, ascending
  std::size_t id_count = 0;
  // The part is of ids[part_begin, part_end), those left out that have ended meanwhile.
  std::size_t part_begin = 0, part_end = 0;
  std::int64_t patient_until = 0;  // with those that must be asked for their stacks

  bool is_first_part() const noexcept { return part_begin == 0; }
  bool is_last_part() const noexcept { return part_end == id_count; }
};

/// Takes a census of a program that goes on meanwhile (or is frozen). Allocates nothing.
void take_census(census& all, const selection& which) noexcept;
/// Replaces the goroutines by the next ones. False: there are no more. Allocates nothing.
bool take_next_part(census& all) noexcept;

}  // namespace runnel::debug

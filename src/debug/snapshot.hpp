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

/// As many goroutines as one report shows in full.
inline constexpr std::size_t shown_goroutines = 100;
inline constexpr std::size_t shown_threads = 32;

/// Of all goroutines those with the lowest ids, in their order; of all plain threads blocked in the
/// library as many as fit, main first. Large: allocate or make static.
struct census {
  std::array<snapshot, shown_goroutines> goroutines;
  std::size_t goroutine_count = 0;    // of the array
  std::uint64_t goroutine_total = 0;  // alive
  std::array<snapshot, shown_threads> threads;
  std::size_t thread_count = 0;
  std::uint64_t thread_total = 0;
};

/// What to take; by default everything.
struct selection {
  /// The caller's own, already known: goroutine and thread are left out. May be null.
  const snapshot* except = nullptr;
  /// Of goroutines; null: all.
  bool (*wanted)(void* argument, std::uint64_t id) = nullptr;
  void* argument = nullptr;
  bool threads = true;
};

/// Takes a census of a program that goes on meanwhile (or is frozen). Allocates nothing. One caller
/// at a time.
void take_census(census& all, const selection& which) noexcept;

}  // namespace runnel::debug

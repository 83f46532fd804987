// The addresses of one stack: its top and its bottom, with a count of what lies between.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "arch/context.hpp"

namespace runnel::debug {

struct backtrace {
  static constexpr std::size_t half = 50;  // as Go prints

  std::array<std::uintptr_t, half> top{};
  std::array<std::uintptr_t, half> bottom{};  // a ring once it has been filled
  std::size_t total = 0;                      // frames seen

  /// Frames that are in neither half.
  std::size_t elided() const noexcept { return total > 2 * half ? total - 2 * half : 0; }
  /// Frames kept, innermost first.
  std::size_t size() const noexcept { return total - elided(); }
  std::uintptr_t operator[](std::size_t i) const noexcept {
    if (i < half) return top[i];
    return bottom[(i + elided() - half) % half];
  }
};

/// The caller's own stack, in a signal handler that of what it interrupted. Async-signal-safe as
/// arch/unwind.hpp says.
void capture_here(backtrace& trace) noexcept;
/// A parked context's. Stops at the frame whose stack pointer leaves [low, high).
void capture(const arch::context& from, std::uintptr_t low, std::uintptr_t high,
             backtrace& trace) noexcept;

}  // namespace runnel::debug

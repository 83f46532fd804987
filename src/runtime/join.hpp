// Goroutines that fight for one lock come together on one processor; see join.cpp.
#pragma once

#include <cstdint>
#include <runnel/detail/thread.hpp>

namespace runnel::runtime {

/// After so many crowded windows running a goroutine goes over, and after so many if the last one
/// to do so at that lock went from this thread: it is the others' turn.
inline constexpr std::uint32_t crowded_first = 2;
inline constexpr std::uint32_t crowded_again = 4;

/// Notes that the thread waited for a lock from `begun` to `now`, in ticks. Returns how many
/// windows running have been crowded; 0 unless one has just ended.
std::uint32_t note_lock_wait(detail::lock_crowd& c, std::uint64_t begun,
                             std::uint64_t now) noexcept;
/// The holder's CPU was taken away, which tells nothing.
inline void forget_lock_waits(detail::lock_crowd& c) noexcept { c = {}; }

/// Moves the calling goroutine, which holds no lock, to the end of the queue of the processor that
/// `other` holds. Does nothing for whoever is no goroutine, is locked to its thread, or where
/// `other` holds no processor or the same one.
void join_processor_of(const detail::thread* other) noexcept;

}  // namespace runnel::runtime

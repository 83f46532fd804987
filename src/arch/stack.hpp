// Memory for stacks: arenas of equal slots in MAP_NORESERVE mappings, committed by touching, each
// slot with a guard at its low end. Nothing is ever unmapped, so that reports may walk all slots.
//
// Guards, best first: MADV_GUARD_INSTALL (Linux 6.13: no VMA is split, a million guarded stacks fit
// the default vm.max_map_count); mprotect while a budget of VMAs lasts (each guard splits one);
// then none, which stats() and the documentation say. The kind is found out once.
//
// Reservations. A goroutine may be promised a stack of class 0 long before it needs one
// (runtime/seed_depot.hpp). The slots of an arena are given out in order, so a promise is a number:
// of those not given out, `room` are not promised either, and only those are for everybody.
#pragma once

#include <cstddef>
#include <cstdint>

namespace runnel::arch {

inline constexpr std::size_t page_size = 4096;
inline constexpr std::size_t default_stack = 256UL * 1024;
/// Low end of a slot that faults: a frame that skips over it would have to be larger than this.
inline constexpr std::size_t guard_size = 16UL * 1024;
inline constexpr unsigned stack_classes = 16;  // default_stack << class

/// The class whose slots hold at least `size` bytes besides the guard; stack_classes: too large.
unsigned stack_class_for(std::size_t size) noexcept;
inline std::size_t stack_slot_size(unsigned stack_class) noexcept {
  return default_stack << stack_class;
}

/// Stacks may take so much address space in all; 0: no limit. Before the first is carved.
void limit_stacks(std::size_t bytes) noexcept;

/// Takes a slot that was never used, its guard installed; 0: no memory or address space left, or
/// not within the limit. Thread-safe.
std::uintptr_t carve_stack(unsigned stack_class) noexcept;

/// Slots of class 0 side by side, the first at `low`.
struct stack_range {
  std::uintptr_t low = 0;
  std::uint32_t left = 0;
};
/// Ends so many reservations and takes as many unused slots of class 0, guards installed, as a
/// program is likely to need that has made so many before. None, but not if there was a
/// reservation: as carve_stack. Thread-safe; callers do not wait for each other's system calls.
stack_range carve_stacks(std::size_t reserved) noexcept;

/// Reserves a slot of class 0. False: no memory or address space left, or not within the limit.
/// Thread-safe, as the other one.
bool reserve_stack() noexcept;
void cancel_reserved_stacks(std::size_t n) noexcept;

/// Gives the pages of [low, high) back to the kernel; guards stay.
void discard_pages(std::uintptr_t low, std::uintptr_t high) noexcept;

/// Calls visit(argument, low, high) for each slot carved so far.
void for_each_stack(void (*visit)(void* argument, std::uintptr_t low, std::uintptr_t high),
                    void* argument);

/// In the child of a fork: forgets all stacks; those inherited stay mapped. Whoever held the lock
/// has gone, and whatever step it was at, what it leaves is at worst a mapping nobody knows.
void abandon_stacks() noexcept;

/// Slots carved so far whose low end faults, and those for which no guard could be had.
std::size_t guarded_stacks() noexcept;
std::size_t unguarded_stacks() noexcept;
/// Address space reserved for stacks, in bytes.
std::size_t reserved_stack_bytes() noexcept;

}  // namespace runnel::arch

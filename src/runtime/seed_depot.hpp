// Seeds: goroutines that wait for their first turn, without a stack. Go has no counterpart: there a
// goroutine has its 2 KiB from the start.
//
// A stack costs a page at least, and the page's first touch 1.4 to 2.4 us here. Most goroutines of
// a burst (a loop that spawns a million) have nothing to remember until they run, and run when
// others have ended, whose stacks are warm. So who spawns without a warm stack at hand takes a
// seed, a control block of 256 bytes with room for a small closure; whoever runs it first plants it
// (plant in spawn.cpp) on the stack that was left last. The closure is moved there by the new
// goroutine itself, since a user's move constructor may do what it likes.
//
// Planting cannot fail, as nobody could be told: a seed in use has the right to a stack of the
// default size reserved (arch::reserve_stack), which it gives up if it needs a fresh one, and else
// keeps.
//
// Invariants
//  - A seed is an alive goroutine from spawn_start until it is planted. Then the block on the stack
//    is alive, with the same id, before the seed no longer is: a walk that visits seeds first
//    misses nobody, and may see one twice.
//  - locked_to is always awaits_stack, which sends whoever wants to resume it the slow way.
//  - Seeds lie in slabs at multiples of their size, never unmapped. A slab's free list and counts
//    are guarded by the depot's lock. A processor's list holds seeds that count as in use.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/goroutine.hpp"
#include "runtime/processor.hpp"

namespace runnel::runtime {

struct alignas(256) seed : goroutine {
  alignas(16) std::byte place[detail::seed_closure_size];
  bool has_right = false;  // to a stack of the default size

  seed() noexcept { locked_to = awaits_stack(); }
  /// No machine: never looked into.
  static machine* awaits_stack() noexcept;
};

/// The one whose `place` this is.
inline seed* seed_of(void* place) noexcept {
  return reinterpret_cast<seed*>(reinterpret_cast<std::uintptr_t>(place) & ~(sizeof(seed) - 1));
}

inline bool is_seed(const goroutine& g) noexcept { return g.locked_to == seed::awaits_stack(); }

/// A seed with a right to a stack; p may be null. Null: there is no memory, or no address space.
seed* take_seed(processor* p) noexcept;
/// Gives s, which m has picked to run, a stack: returns the goroutine to run in its place. m holds
/// a processor. (In spawn.cpp.)
goroutine* plant(machine* m, seed& s) noexcept;

/// Takes back one that has been planted and emptied, or was never started.
void give_seed(processor* p, seed* s) noexcept;
/// Moves all of p's to the depot, and ends the rights that p has gathered.
void flush_seeds(processor* p) noexcept;
/// Ends the reservations of all seeds in the depot: stacks are needed otherwise.
void cancel_rights() noexcept;

/// Gives the memory of slabs without seeds in use back to the kernel; sysmon calls it when little
/// else runs. At most `budget` slabs; true if there may be more to do.
bool trim_seeds(std::size_t budget) noexcept;

/// Calls visit(argument, s) for every seed there is, in use or not.
void for_each_seed(void (*visit)(void* argument, const seed& s), void* argument);

/// In the child of a fork: forgets all seeds.
void abandon_seeds() noexcept;

}  // namespace runnel::runtime

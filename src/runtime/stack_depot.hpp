// Free goroutines, each with its stack: a free list per processor (last in, first out: the stack
// used last is the one in cache) over a shared depot. First touch of a stack costs 2.4 us here, a
// recycled one nothing, so recycling is what makes `go` cheap.
#pragma once

#include <cstddef>

#include "runtime/goroutine.hpp"
#include "runtime/processor.hpp"

namespace runnel::runtime {

/// How many free goroutines a processor keeps, and how many it exchanges with the depot at a time.
inline constexpr std::uint32_t free_list_limit = 128;
inline constexpr std::uint32_t free_list_batch = 64;

/// A goroutine of the class from p's free list (null p: none), the depot or fresh memory; null when
/// memory is exhausted.
goroutine* take_goroutine(processor* p, unsigned stack_class) noexcept;
/// For a seed: one of p's free list or of the depot, not `but`, on whose stack the caller stands.
/// Null: there is none.
goroutine* take_left_goroutine(processor* p, const goroutine* but) noexcept;
/// For a seed: a fresh one by its right, which it gives up. Does not fail, nor reserve any address
/// space.
goroutine* take_promised_goroutine(processor* p) noexcept;
/// Takes g back, when it has finished or was never started. g's stack may still be stood on by the
/// holder of p, who must leave it before p's free list is used by anyone else.
void give_goroutine(processor* p, goroutine* g) noexcept;
/// The block that lies in the stack slot [low, high).
goroutine* goroutine_of_stack(std::uintptr_t low, std::uintptr_t high) noexcept;
/// Moves all of p's free goroutines to the depot.
void flush_free_list(processor* p) noexcept;

/// Moves p's fresh stacks to the depot, which touches a page of each: others have none.
void flush_fresh(processor* p) noexcept;

/// Gives the memory of stacks that lie in the depot back to the kernel, all but their top page. At
/// most `budget` stacks; true if there may be more to do. sysmon calls it when little else runs.
bool trim_depot(std::size_t budget) noexcept;

/// In the child of a fork: forgets all goroutines, free or not, with their stacks.
void abandon_goroutines() noexcept;

/// Free goroutines in the depot.
std::size_t depot_size() noexcept;

}  // namespace runnel::runtime

// Keeps forks away from what a child could not repair.
//
// The C library resets its own allocator's locks in the child of a fork. One that stands in its
// place may not (AddressSanitizer's of GCC 12 does not): a lock that another thread held at that
// moment stays locked in the child, which hangs in it. So no fork happens while a thread of the
// runtime allocates or starts; what the program's own threads do then is between it and its
// allocator.
//
// Any number of threads may be inside; fork waits for all of them and keeps newcomers out.
//   enter   inside += 1, then look at `forking`: if it is raised, inside -= 1, wait, start again
//   hold    forking = true, then wait until inside == 0
// Both write one word and then read the other, sequentially consistent: one of them sees the other.
// Whoever is inside never waits for a fork or forks itself. Nobody who holds a lock of the runtime
// needs it for a fork to go on, so that enter may be called under one.
#pragma once

namespace runnel::runtime::fork_gate {

void enter() noexcept;
/// Not necessarily on the thread that entered: one that is started leaves for who started it.
void leave() noexcept;

/// For the length of a scope.
class visit {
 public:
  visit() noexcept { enter(); }
  visit(const visit&) = delete;
  visit& operator=(const visit&) = delete;
  ~visit() { leave(); }
};

/// The handlers of pthread_atfork: before, then in the parent and in the child.
void hold() noexcept;
void release() noexcept;

}  // namespace runnel::runtime::fork_gate

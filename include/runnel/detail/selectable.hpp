// What a select case can wait on. A channel is one; mutexes, wait groups, semaphores and futures
// are others. Select tries the cases one by one under their locks; if none is ready it locks all in
// address order, tries again, links a waiter into each and parks.
#pragma once

#include <runnel/detail/object_lock.hpp>
#include <runnel/detail/waiter.hpp>

namespace runnel::detail {

class selectable;

/// How select talks to an object that is not a channel. All but the last are called with the
/// object's lock held; they run no user code and do not block.
struct selectable_ops {
  /// Does the case's operation now if it can be done without waiting (takes the mutex, say).
  bool (*try_now)(selectable& object, void* argument) noexcept;
  /// Links w, which carries select's claim, so that the object's wakers find it in their order.
  void (*enqueue)(selectable& object, waiter& w, void* argument) noexcept;
  /// Unlinks w if it is still queued (another case won).
  void (*dequeue)(selectable& object, waiter& w, void* argument) noexcept;
  /// Called after dequeue, under no lock: lets those go on whom w stood in the way of. They may
  /// wait a moment longer than they need in between. Null: nobody ever waits because others do.
  void (*gave_up)(selectable& object) noexcept = nullptr;
};

/// Base of everything that has an object_lock and can be waited for in a select.
class selectable {
 public:
  object_lock& lock() const noexcept { return lock_; }

 protected:
  selectable() noexcept = default;
  ~selectable() = default;
  mutable object_lock lock_;
};

}  // namespace runnel::detail

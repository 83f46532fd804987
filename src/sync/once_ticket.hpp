// A place in a once_flag's line that its owner may leave, for a wait that ends with a context.
//
// The line's links cannot be taken out of it (see once.cpp), so the place lies on the heap, and is
// freed by whoever comes last: the owner when it has left, or the one who takes the place out of
// the line. `verdict` says what the latter had to tell; an owner who finds, on leaving, that the
// turn has come to it passes the turn on.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <runnel/detail/selectable.hpp>
#include <runnel/detail/waiter.hpp>

namespace runnel::detail {

/// The latest in the line of a once_flag in this state; null: nobody waits.
inline waiter* latest_in_line(std::uintptr_t state) noexcept {
  return reinterpret_cast<waiter*>(state & ~std::uintptr_t{3});
}

class once_ticket final : public selectable {
 public:
  enum class verdict : std::uint8_t { none, has_run, your_turn };

  /// Throws std::bad_alloc.
  static std::unique_ptr<once_ticket> make();
  /// Of one that was never linked, or by drop().
  ~once_ticket() = default;
  once_ticket(const once_ticket&) = delete;
  once_ticket& operator=(const once_ticket&) = delete;

  waiter& place() noexcept { return place_; }

  /// By whoever has taken the place out of the line, once. False: its owner has left.
  bool tell(verdict v) noexcept;
  /// By the owner, once. What it has been told.
  verdict leave() noexcept;

  // For select; see selectable_ops.
  static bool try_now(selectable& object, void* argument) noexcept;
  static void enqueue(selectable& object, waiter& w, void* argument) noexcept;
  static void dequeue(selectable& object, waiter& w, void* argument) noexcept;
  static constexpr selectable_ops ops{&try_now, &enqueue, &dequeue};

 private:
  once_ticket() noexcept { place_.slot = this; }
  void drop() noexcept;

  waiter place_;                    // linked as once.cpp says; its slot is this object
  wait_queue select_;               // guarded by lock_, as what follows
  verdict told_ = verdict::none;    // by who took the place out
  bool left_ = false;               // by the owner
  std::atomic<int> references_{2};  // the line's and the owner's
};

}  // namespace runnel::detail

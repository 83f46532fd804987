// The tree behind context handles. Go: cancelCtx, timerCtx, valueCtx, withoutCancelCtx,
// afterFuncCtx.
//
// Nodes
//  - Every node holds a reference to its parent; the background is the null node. Going up from a
//  node
//    there is at most one nearest scope (what can be cancelled) and one nearest value, known at
//    once.
//  - scope_node: ends once, by cancel, deadline, stop token or the end of the scope above.
//  - Below a scope hang scopes and functions (scope_child), linked without owning them (a function
//  is
//    owned by its link). Links and `linked` are guarded by the scope's lock; linked goes from true
//    to false once, as the last touch of a child that the holder does not own.
//
// Ending
//  - state is written under the scope's lock, by the one thread that ends it; cause is written
//  before.
//    A scope that has a done channel is `closing` until that is closed, and err() waits so long:
//    the error and the channel are seen together.
//  - Whoever ends a scope then takes its children out one by one, each under the scope's lock, and
//    ends them and theirs, keeping its way back in `back`: no recursion, no memory. A scope whose
//    children have all ended is `complete`; a second canceller waits for that.
//  - No lock is held while anyone is woken, and no lock is taken inside a scope's lock.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <optional>
#include <runnel/chan.hpp>
#include <runnel/detail/config.hpp>
#include <runnel/detail/detached_function.hpp>
#include <runnel/detail/park.hpp>
#include <runnel/detail/selectable.hpp>
#include <runnel/errc.hpp>
#include <stop_token>
#include <utility>

namespace runnel::detail {

struct scope_node;
struct value_node;

struct RUNNEL_API context_node {
  explicit context_node(context_node* above) noexcept;
  context_node(const context_node&) = delete;
  context_node& operator=(const context_node&) = delete;
  virtual ~context_node() = default;

  /// A further handle; orders nothing.
  void retain() noexcept { refs.fetch_add(1, std::memory_order_relaxed); }

  std::atomic<std::uint32_t> refs{1};
  context_node* const parent;    // referred to; null: the background
  scope_node* scope = nullptr;   // nearest, this one included; null: never ends
  value_node* values = nullptr;  // nearest, this one included
};

/// The nil channel of contexts that never end.
inline const recv_chan<void> never_done;

/// One handle less; frees the node and those above that only it referred to.
RUNNEL_API void release(context_node* node) noexcept;

struct RUNNEL_API value_node : context_node {
  value_node(context_node* above, const void* k) noexcept;
  const void* const key;
  const void* value = nullptr;
  value_node* const outer;
};

template <class T>
struct value_node_of final : value_node {
  value_node_of(context_node* above, const void* k, T&& v)
      : value_node(above, k), held(std::move(v)) {
    value = &held;
  }
  T held;
};

struct scope_child {
  enum class kind : std::uint8_t { scope, function };
  explicit scope_child(kind k) noexcept : what(k) {}
  scope_child* next = nullptr;
  scope_child* prev = nullptr;
  std::atomic<bool> linked{false};
  const kind what;
};

/// A function that runs when a scope ends.
struct RUNNEL_API context_function : detached_function, scope_child {
  context_function() noexcept : scope_child(kind::function) {}
  ~context_function() override;
  context_node* context = nullptr;  // referred to while the function may still have to be unlinked
};

struct RUNNEL_API scope_node : context_node, selectable, scope_child {
  // errc's values; 0 while alive.
  static constexpr std::uint8_t closing = 0x80;

  explicit scope_node(context_node* above) noexcept;
  ~scope_node() override;
  /// Stops what could still end the scope. Called once, after it has ended, without locks.
  virtual void disarm() noexcept {}

  /// Why the scope ended; waits until its done channel is closed. Synchronizes with its ending.
  errc why() const noexcept;
  /// Stays where it is for as long as the node.
  const recv_chan<void>& done();
  /// For select: ready once the scope has ended.
  static const selectable_ops ops;

  std::atomic<std::uint8_t> state{0};
  bool complete = false;               // guarded by lock_
  std::atomic<bool> has_done{false};   // done_ is set; release pairs with done() and why()
  bool has_deadline = false;           // constant once the node is shared
  steady_time deadline{};              // likewise
  scope_child* first_child = nullptr;  // guarded by lock_
  wait_queue waiters;                  // guarded by lock_: selects, then later cancellers
  std::exception_ptr cause;            // constant once state != 0
  chan<void> done_channel{nullptr};    // constant once has_done
  recv_chan<void> done_out;            // the same for those outside
  scope_node* back = nullptr;          // whoever ended it: the scope it came from
};

/// Who ends a scope. A machine, or a stop callback, may not park and runs no destructor of a
/// user's.
enum class ender : std::uint8_t { user, machine };

/// Ends the scope and all below it, unless it has ended. If another thread is at it, a user's call
/// returns only when that is done.
RUNNEL_API void end_scope(scope_node& scope, errc why, const std::exception_ptr& cause,
                          ender who) noexcept;

/// Links a new scope, which nobody else knows but its own timer, below the one above it; ends it at
/// once if that has ended.
RUNNEL_API void attach_scope(scope_node& scope) noexcept;
/// Another handle, unless the last is gone already and its owner only waits for a lock of ours.
RUNNEL_API bool try_retain(context_node& node) noexcept;
/// release for a machine.
RUNNEL_API void release_from_machine(context_node* node) noexcept;

/// A scope that a stop token ends. All of it is compiled into the program: so is request_stop, with
/// whose accesses to the callback the race detector has to compare those made here.
struct stop_node final : scope_node {
  using scope_node::scope_node;
  struct on_stop {
    stop_node* self;
    void operator()() const noexcept {
      // The callback's destructor, which runs before the node ends, waits for this.
      if (!try_retain(*self)) return;
      end_scope(*self, errc::canceled, nullptr, ender::machine);
      release_from_machine(self);
    }
  };
  std::optional<std::stop_callback<on_stop>> callback;
};

/// Links f, of which it takes over one reference, below the scope of `context`, or starts it at
/// once if that has ended. Without a scope it will never run, but can be stopped.
RUNNEL_API void attach_function(context_function& f, context_node* context) noexcept;
/// True if this call has kept f from running.
RUNNEL_API bool stop_function(context_function& f) noexcept;

}  // namespace runnel::detail

// What a promise, or the goroutine of async, shares with its futures.
//
// The producer writes the outcome, then sets ready_ under the lock, once; nobody writes the outcome
// afterwards but the one future that moves it out. done_ is made by who first asks for it and
// closed by the producer, or at once if the outcome is there.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <runnel/chan.hpp>
#include <runnel/detail/caught_goexit.hpp>
#include <runnel/detail/config.hpp>
#include <runnel/detail/fatal.hpp>
#include <runnel/detail/goexit_text.hpp>
#include <runnel/detail/park.hpp>
#include <runnel/detail/selectable.hpp>
#include <runnel/detail/wait_reason.hpp>
#include <type_traits>
#include <utility>
#include <variant>

namespace runnel::detail {

class RUNNEL_API future_state : public selectable {
 public:
  future_state(const future_state&) = delete;
  future_state& operator=(const future_state&) = delete;

  void retain() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept;

  /// The outcome has been written. Wakes all who wait.
  void set_ready() noexcept;
  /// May change to true at any time.
  bool is_ready() const noexcept { return ready_.load(std::memory_order_acquire); }
  /// Blocks until the outcome is there. Synchronizes: set_ready → return.
  void wait();
  /// The same until the deadline; false on time-out.
  bool wait_until(steady_time deadline);
  /// Closed when the outcome is there.
  recv_chan<void> done();

  static const selectable_ops ops;

 protected:
  future_state() noexcept;
  virtual ~future_state();
  /// Ends and frees the state.
  virtual void destroy() noexcept;

 private:
  bool enqueue_if_pending(waiter& w) noexcept;

  std::atomic<std::uint32_t> refs_{1};
  std::atomic<bool> ready_{false};
  bool has_done_ = false;     // guarded by lock_
  wait_queue waiters_;        // guarded by lock_
  chan<void> done_{nullptr};  // constant once has_done_
};

/// With an outcome of type R, which may be a reference or void.
template <class R>
class future_state_of : public future_state {
  static constexpr bool refers = std::is_reference_v<R>;
  static constexpr bool empty = std::is_void_v<R>;
  using stored =
      std::conditional_t<empty, std::monostate,
                         std::conditional_t<refers, std::remove_reference_t<R>*, std::optional<R>>>;

 public:
  /// The producer's, once, before set_ready.
  template <class... A>
  void write(A&&... value) {
    if constexpr (refers) {
      value_ = (std::addressof(value), ...);
    } else if constexpr (!empty) {
      value_.emplace(std::forward<A>(value)...);
    }
  }
  void write_failure(std::exception_ptr failure) noexcept { failure_ = std::move(failure); }

  /// A future's, once, after wait.
  R take() {
    if (failure_) std::rethrow_exception(std::move(failure_));
    if constexpr (refers) {
      return static_cast<R>(*value_);
    } else if constexpr (!empty) {
      return std::move(*value_);
    }
  }
  /// A shared_future's, any number of times, after wait.
  std::add_lvalue_reference_t<const R> look() const {
    if (failure_) std::rethrow_exception(failure_);
    if constexpr (!empty) return *value_;
  }

 private:
  [[no_unique_address]] stored value_{};
  std::exception_ptr failure_;
};

/// One whose memory is an allocator's.
template <class R, class Alloc>
class allocated_future_state final : public future_state_of<R> {
  using own_alloc =
      typename std::allocator_traits<Alloc>::template rebind_alloc<allocated_future_state>;
  using traits = std::allocator_traits<own_alloc>;

 public:
  /// With one reference. Throws what allocating does.
  static allocated_future_state* make(const Alloc& alloc) {
    own_alloc own(alloc);
    void* memory = std::to_address(traits::allocate(own, 1));
    return ::new (memory) allocated_future_state(own);
  }

 private:
  explicit allocated_future_state(const own_alloc& alloc) noexcept : alloc_(alloc) {}
  ~allocated_future_state() override = default;
  void destroy() noexcept override {
    own_alloc own(alloc_);
    const auto memory = std::pointer_traits<typename traits::pointer>::pointer_to(*this);
    this->~allocated_future_state();
    traits::deallocate(own, memory, 1);
  }

  [[no_unique_address]] own_alloc alloc_;
};

/// A counted reference to a state.
template <class State>
class state_ref {
 public:
  state_ref() noexcept = default;
  /// Takes over one reference.
  explicit state_ref(State* adopted) noexcept : state_(adopted) {}
  state_ref(const state_ref& other) noexcept : state_(other.state_) {
    if (state_ != nullptr) state_->retain();
  }
  state_ref(state_ref&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  state_ref& operator=(state_ref other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~state_ref() {
    if (state_ != nullptr) state_->release();
  }
  State* get() const noexcept { return state_; }
  /// The state with this reference, which is empty afterwards.
  State* release() noexcept { return std::exchange(state_, nullptr); }
  State* operator->() const noexcept { return state_; }
  State& operator*() const noexcept { return *state_; }
  explicit operator bool() const noexcept { return state_ != nullptr; }

 private:
  State* state_ = nullptr;
};

/// Runs call(), which writes the outcome of `state` unless it throws; then ends what is in `held`,
/// and only then announces the outcome: nobody who waits finds anything of the call alive.
template <class R, class Held, class Call>
void run_and_announce(future_state_of<R>& state, std::optional<Held>& held, Call&& call) {
  struct finish {
    future_state_of<R>& state;
    std::optional<Held>& held;
    bool written = false;
    ~finish() {
      held.reset();
      if (!written) state.write_failure(std::make_exception_ptr(panic(goexit_text)));
      state.set_ready();
    }
  } at_end{state, held};
  try {
    call();
  } catch (...) {
    if (caught_goexit()) throw;
    state.write_failure(std::current_exception());
  }
  at_end.written = true;
}

}  // namespace runnel::detail

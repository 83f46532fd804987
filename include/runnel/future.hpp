// Results that are still being worked out: the standard's futures, for goroutines.
//
//     auto size = runnel::async(measure, path);
//     ...
//     use(size.get());
#pragma once

#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <runnel/chan.hpp>
#include <runnel/detail/deadline.hpp>
#include <runnel/detail/fatal.hpp>
#include <runnel/detail/future_state.hpp>
#include <runnel/detail/goexit_text.hpp>
#include <runnel/detail/goroutine_local.hpp>
#include <runnel/detail/select_core.hpp>
#include <runnel/detail/spawn.hpp>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>

namespace runnel {

template <class R>
class shared_future;

namespace detail {

struct future_access;

/// What future and shared_future have in common.
template <class R>
class future_base {
 public:
  /// Does it refer to a result? If not, every other operation throws std::future_error(no_state).
  bool valid() const noexcept { return static_cast<bool>(state_); }

  /// Blocks until the result is there. Synchronizes: the setting of the result → return.
  void wait() const { state().wait(); }

  /// wait, for at most d; deadlines may be of any clock. Blocks.
  template <class Rep, class Period>
  std::future_status wait_for(const std::chrono::duration<Rep, Period>& d) const {
    return status(state().wait_until(deadline_after(d)));
  }
  template <class Clock, class Duration>
  std::future_status wait_until(const std::chrono::time_point<Clock, Duration>& t) const {
    auto& s = state();
    return status(wait_until_on(t, [&](steady_time deadline) { return s.wait_until(deadline); }));
  }

  /// A channel that is closed when the result is there; for select beside on_ready.
  /// Throws std::bad_alloc.
  recv_chan<void> done() const { return state().done(); }

 protected:
  friend struct detail::future_access;
  using state_type = future_state_of<R>;

  future_base() noexcept = default;
  explicit future_base(state_ref<state_type> s) noexcept : state_(std::move(s)) {}

  state_type& state() const {
    if (!state_) throw std::future_error(std::future_errc::no_state);
    return *state_;
  }
  static std::future_status status(bool ready) noexcept {
    return ready ? std::future_status::ready : std::future_status::timeout;
  }

  state_ref<state_type> state_;
};

}  // namespace detail

/// The result of an async, a promise or a worker_pool's job, for one to take. As std::future, with
/// done() and on_ready for select. Movable. Its destructor never blocks.
template <class R>
class future : public detail::future_base<R> {
  using base = detail::future_base<R>;

 public:
  future() noexcept = default;
  future(future&&) noexcept = default;
  future& operator=(future&&) noexcept = default;
  future(const future&) = delete;
  future& operator=(const future&) = delete;

  /// Blocks until the result is there and takes it: returns the value or throws the exception.
  /// Afterwards the future is not valid. If the function of async ended by goexit:
  /// panic("goexit called in a goroutine that was waited for"); if the promise was dropped:
  /// std::future_error(broken_promise). Synchronizes: as wait.
  R get() {
    this->state().wait();
    const auto taken = std::exchange(this->state_, {});
    return taken->take();
  }

  /// The same result for any number of futures; this one is not valid afterwards.
  shared_future<R> share() noexcept { return shared_future<R>(std::move(*this)); }

 private:
  friend struct detail::future_access;
  using base::base;
};

/// A future whose result can be looked at by any number of copies. As std::shared_future.
template <class R>
class shared_future : public detail::future_base<R> {
  using base = detail::future_base<R>;

 public:
  shared_future() noexcept = default;
  shared_future(future<R>&& f) noexcept : base(std::move(f)) {}

  /// Blocks until the result is there; returns a reference to it, valid as long as a copy of this
  /// future is, or throws the exception. Synchronizes: as wait.
  decltype(auto) get() const {
    auto& s = this->state();
    s.wait();
    return s.look();
  }

 private:
  friend struct detail::future_access;
};

namespace detail {

struct future_access {
  template <class R>
  static future<R> make(const state_ref<future_state_of<R>>& s) noexcept {
    return future<R>(s);
  }
  template <class R>
  static future_state_of<R>& state(const future_base<R>& f) {
    return f.state();
  }
};

/// A function and its arguments, called once; what they hold ends before the result is announced.
template <class R, class F, class... A>
class async_job {
 public:
  using state_type = future_state_of<R>;

  template <class... Call>
  explicit async_job(const state_ref<state_type>& state, Call&&... call)
      : state_(state), call_(std::in_place, std::forward<Call>(call)...) {}

  void operator()() {
    run_and_announce(*state_, call_, [this] { run(); });
  }

 private:
  void run() {
    const auto invoke = [](F& function, A&... arguments) -> R {
      return std::invoke(std::move(function), std::move(arguments)...);
    };
    if constexpr (std::is_void_v<R>) {
      std::apply(invoke, *call_);
    } else {
      state_->write(std::apply(invoke, *call_));
    }
  }

  state_ref<state_type> state_;
  std::optional<std::tuple<F, A...>> call_;
};

}  // namespace detail

/// The producing end of a future. As std::promise. Movable.
template <class R>
class promise {
  using state_type = detail::future_state_of<R>;

 public:
  /// Throws std::bad_alloc.
  promise() : state_(new state_type) {}
  /// With what it shares with its future in memory from the allocator. (A channel that done() makes
  /// is not.) Throws what allocating does.
  template <class Alloc>
  promise(std::allocator_arg_t, const Alloc& alloc)
      : state_(detail::allocated_future_state<R, Alloc>::make(alloc)) {}
  promise(promise&& other) noexcept
      : state_(std::move(other.state_)),
        retrieved_(std::exchange(other.retrieved_, false)),
        satisfied_(other.satisfied_.exchange(false, std::memory_order_relaxed)) {}
  promise& operator=(promise&& other) noexcept {
    promise(std::move(other)).swap(*this);
    return *this;
  }
  /// If no result was set, the future gets std::future_error(broken_promise).
  ~promise() {
    if (state_ && !satisfied_.exchange(true, std::memory_order_relaxed)) {
      state_->write_failure(
          std::make_exception_ptr(std::future_error(std::future_errc::broken_promise)));
      state_->set_ready();
    }
  }

  void swap(promise& other) noexcept {
    std::swap(state_, other.state_);
    std::swap(retrieved_, other.retrieved_);
    const bool mine = satisfied_.load(std::memory_order_relaxed);
    satisfied_.store(other.satisfied_.load(std::memory_order_relaxed), std::memory_order_relaxed);
    other.satisfied_.store(mine, std::memory_order_relaxed);
  }
  friend void swap(promise& a, promise& b) noexcept { a.swap(b); }

  /// Once. Throws std::future_error(future_already_retrieved, no_state).
  future<R> get_future() {
    if (!state_) throw std::future_error(std::future_errc::no_state);
    if (std::exchange(retrieved_, true)) {
      throw std::future_error(std::future_errc::future_already_retrieved);
    }
    return detail::future_access::make(state_);
  }

  /// Sets the result: set_value() for void, set_value(R&) for a reference, else a value that makes
  /// an R. Never blocks; all who wait wake up. Throws std::future_error(promise_already_satisfied,
  /// no_state), and what making the R throws; then it can be set again.
  void set_value() requires std::is_void_v<R> { set<now>(); }
  template <class V = R>
  requires(!std::is_reference_v<R> && std::is_convertible_v<V&&, R>) void set_value(V&& value) {
    set<now>(std::forward<V>(value));
  }
  template <class V>
  requires std::is_same_v<V&, R>
  void set_value(V& value) { set<now>(value); }

  /// Sets an exception as the result. As set_value.
  void set_exception(std::exception_ptr e) { fail<now>(std::move(e)); }

  /// As set_value, but those who wait are told only when the calling goroutine, or plain thread,
  /// ends: after its function and what that held, among its goroutine_locals as if this were the
  /// last of them, so those that it had before are still there. Throws std::bad_alloc, too; then it
  /// can be set again. Synchronizes: the end so far → get().
  void set_value_at_thread_exit() requires std::is_void_v<R> { set<at_exit>(); }
  template <class V = R>
  requires(!std::is_reference_v<R> &&
           std::is_convertible_v<V&&, R>) void set_value_at_thread_exit(V&& value) {
    set<at_exit>(std::forward<V>(value));
  }
  template <class V>
  requires std::is_same_v<V&, R>
  void set_value_at_thread_exit(V& value) { set<at_exit>(value); }

  /// As set_exception, told as by set_value_at_thread_exit.
  void set_exception_at_thread_exit(std::exception_ptr e) { fail<at_exit>(std::move(e)); }

 private:
  enum told { now, at_exit };

  /// Makes a claim undone unless the result has been set.
  struct undo {
    promise* p;
    ~undo() {
      if (p != nullptr) p->satisfied_.store(false, std::memory_order_relaxed);
    }
  };

  template <told When, class... V>
  void set(V&&... value) {
    claim();
    undo u{this};
    state_->write(std::forward<V>(value)...);
    announce<When>();
    u.p = nullptr;
  }
  template <told When>
  void fail(std::exception_ptr e) {
    claim();
    undo u{this};
    if constexpr (When == at_exit) {
      announce<When>();  // first: it may fail, and nobody is told before this call has ended
      state_->write_failure(std::move(e));
    } else {
      state_->write_failure(std::move(e));
      announce<When>();
    }
    u.p = nullptr;
  }
  template <told When>
  void announce() {
    if constexpr (When == now) {
      state_->set_ready();
    } else {
      detail::state_ref<state_type> kept(state_);
      detail::add_local(kept.get(), kept.get(), [](void* s) {
        const detail::state_ref<state_type> own(static_cast<state_type*>(s));
        own->set_ready();
      });
      kept.release();
    }
  }
  void claim() {
    if (!state_) throw std::future_error(std::future_errc::no_state);
    if (satisfied_.exchange(true, std::memory_order_relaxed)) {
      throw std::future_error(std::future_errc::promise_already_satisfied);
    }
  }

  detail::state_ref<state_type> state_;
  bool retrieved_ = false;
  std::atomic<bool> satisfied_{false};
};

/// Starts a goroutine that calls f(args...), all decay-copied as std::async does, and returns its
/// future at once; an exception that leaves f comes out of get(). Throws std::bad_alloc and what
/// copying throws; then nothing was started. Never blocks, nor does the future's destructor.
/// Synchronizes: async → f; the end of f → get().
template <class F, class... A>
requires std::is_invocable_v<std::decay_t<F>, std::decay_t<A>...>
auto async(F&& f, A&&... args)
    -> future<std::invoke_result_t<std::decay_t<F>, std::decay_t<A>...>> {
  using R = std::invoke_result_t<std::decay_t<F>, std::decay_t<A>...>;
  static_assert(!std::is_rvalue_reference_v<R>,
                "a future holds a value, an lvalue reference or void");
  const detail::state_ref<detail::future_state_of<R>> state(new detail::future_state_of<R>);
  detail::spawn(detail::async_job<R, std::decay_t<F>, std::decay_t<A>...>(
      state, std::forward<F>(f), std::forward<A>(args)...));
  return detail::future_access::make(state);
}

/// The same for code that names a policy, as std::async lets it; what it asks for is a goroutine.
/// One that names launch::deferred alone asks for something else: std::system_error
/// (std::errc::not_supported).
template <class F, class... A>
requires std::is_invocable_v<std::decay_t<F>, std::decay_t<A>...>
auto async(std::launch policy, F&& f, A&&... args)
    -> future<std::invoke_result_t<std::decay_t<F>, std::decay_t<A>...>> {
  if ((policy & std::launch::async) != std::launch::async) {
    throw std::system_error(std::make_error_code(std::errc::not_supported), "launch::deferred");
  }
  return runnel::async(std::forward<F>(f), std::forward<A>(args)...);
}

namespace detail {

/// A select case that is ready when a future is.
template <class Future, class F>
class ready_case {
 public:
  ready_case(Future& f, state_ref<future_state> owned, F handler)
      : future_(&f),
        state_(&future_access::state(f)),
        owned_(std::move(owned)),
        handler_(std::forward<F>(handler)) {}

  void prepare(select_record& r) noexcept { r.wait_for(state_, &future_state::ops); }
  void finish(const select_record&) {
    state_->wait();  // does not block; for the ordering
    if constexpr (std::is_invocable_v<F&>) {
      handler_();
    } else {
      handler_(future_->get());
    }
  }
  auto owned() && {
    state_->retain();
    return ready_case<Future, std::decay_t<F>>(*future_, state_ref<future_state>(state_),
                                               std::forward<F>(handler_));
  }

 private:
  Future* future_;
  future_state* state_;
  state_ref<future_state> owned_;
  F handler_;
};

}  // namespace detail

/// A select case: ready when the future is. The handler is f(), or f(future.get()). The future is
/// referred to. Throws std::future_error(no_state) if it is not valid.
template <class R, class F = detail::no_handler>
auto on_ready(future<R>& f, F&& handler = {}) {
  return detail::ready_case<future<R>, F>(f, {}, std::forward<F>(handler));
}
template <class R, class F = detail::no_handler>
auto on_ready(const shared_future<R>& f, F&& handler = {}) {
  return detail::ready_case<const shared_future<R>, F>(f, {}, std::forward<F>(handler));
}

}  // namespace runnel

template <class R, class Alloc>
struct std::uses_allocator<runnel::promise<R>, Alloc> : std::true_type {};

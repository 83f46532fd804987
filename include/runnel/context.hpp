// Cancellation, deadlines and values that travel with a request. Go: package context.
//
//     auto [ctx, cancel] = runnel::with_timeout(runnel::background(), 5s);
//     runnel::select(runnel::on_recv(results, use), runnel::on_done(ctx));
//     if (ctx.err()) return ctx.err();
#pragma once

#include <chrono>
#include <exception>
#include <optional>
#include <runnel/chan.hpp>
#include <runnel/detail/config.hpp>
#include <runnel/detail/context_node.hpp>
#include <runnel/detail/duration.hpp>
#include <runnel/detail/select_core.hpp>
#include <runnel/errc.hpp>
#include <stop_token>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

namespace runnel {

namespace detail {
struct context_access;
}

/// The name under which a context carries a T. Its identity is its address, so it can be neither
/// copied nor moved; the text is for people only. Any constant at namespace scope will do:
///
///     inline const runnel::context_key<std::string> user{"user"};
template <class T>
class context_key {
 public:
  explicit constexpr context_key(std::string_view name) noexcept : name_(name) {}
  context_key(const context_key&) = delete;
  context_key& operator=(const context_key&) = delete;
  constexpr std::string_view name() const noexcept { return name_; }

 private:
  std::string_view name_;
};

/// Tells all who work on a request that the work is no longer wanted, and why. Go: context.Context.
///
/// A cheap handle: copies refer to the same context. Contexts form a tree; ending one ends all
/// below it, never those above. Usable from any goroutine and thread. Copying and dropping handles
/// orders nothing. Synchronizes: the ending of a context → done() closing, a select choosing
/// on_done, and err() and cause() saying so.
class context {
 public:
  /// background().
  context() noexcept = default;
  context(const context& other) noexcept : node_(other.node_) {
    if (node_ != nullptr) node_->retain();
  }
  context(context&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
  context& operator=(context other) noexcept {
    std::swap(node_, other.node_);
    return *this;
  }
  ~context() {
    if (node_ != nullptr) detail::release(node_);
  }

  /// A channel that is closed when the context ends; nil for one that never does. The same channel
  /// at every call. Throws std::bad_alloc at the first.
  ///
  /// On an lvalue the result refers to the handle that the context itself keeps, for as long as
  /// there is a handle to that context; copy it to keep it longer. By value every look, as in
  /// `ctx.done().try_recv()`, would cost two locked instructions (33 ns instead of 6). Of a
  /// temporary, as in `with_cancel(parent).ctx.done()`, it is a handle of its own.
  const recv_chan<void>& done() const& {
    detail::scope_node* s = scope();
    return s != nullptr ? s->done() : detail::never_done;
  }
  recv_chan<void> done() const&& { return done(); }

  /// None while the context is alive, then for ever errc::canceled or errc::deadline_exceeded.
  /// Does not block: one load while alive.
  std::error_code err() const noexcept {
    const detail::scope_node* s = scope();
    if (s == nullptr || s->state.load(std::memory_order_acquire) == 0) return {};
    return s->why();
  }

  /// What was given to cancel, here or above, else err() as a std::system_error; null while alive.
  /// Go: context.Cause.
  RUNNEL_API std::exception_ptr cause() const;

  /// When the context will end by itself; nothing if it has no deadline. Never later than that of
  /// the contexts above it.
  std::optional<std::chrono::steady_clock::time_point> deadline() const noexcept {
    const detail::scope_node* s = scope();
    if (s == nullptr || !s->has_deadline) return std::nullopt;
    return s->deadline;
  }

  /// What with_value put under the key, nearest first; null if there is nothing. Lives as long as
  /// the context that carries it. O(number of values).
  template <class T>
  const T* value(const context_key<T>& key) const noexcept {
    for (const detail::value_node* v = node_ != nullptr ? node_->values : nullptr; v != nullptr;
         v = v->outer) {
      if (v->key == &key) return static_cast<const T*>(v->value);
    }
    return nullptr;
  }

  /// The same context?
  friend bool operator==(const context& a, const context& b) noexcept = default;

 private:
  friend struct detail::context_access;
  explicit context(detail::context_node* owned) noexcept : node_(owned) {}
  detail::scope_node* scope() const noexcept { return node_ != nullptr ? node_->scope : nullptr; }

  detail::context_node* node_ = nullptr;  // null: the background
};

/// The root of every tree of contexts: never ends, carries nothing.
inline context background() noexcept { return {}; }
/// background() where it is not yet clear which context belongs there.
inline context todo() noexcept { return {}; }

/// Ends the context it was made with. Go: CancelFunc, CancelCauseFunc, and `defer cancel()`.
///
/// Move-only; its destructor cancels. Calling it again, or from several goroutines, does nothing
/// more. One that was default-constructed or moved from does nothing.
class cancel_func {
 public:
  cancel_func() noexcept = default;
  cancel_func(cancel_func&& other) noexcept : scope_(std::exchange(other.scope_, nullptr)) {}
  cancel_func& operator=(cancel_func&& other) noexcept {
    detail::scope_node* taken = std::exchange(other.scope_, nullptr);
    const cancel_func old(std::move(*this));
    scope_ = taken;
    return *this;
  }
  ~cancel_func() {
    if (scope_ != nullptr) cancel_and_release();
  }

  /// Ends the context and every one below it before it returns: errc::canceled, and `cause`, if not
  /// null, as what cause() says. Never blocks, but for another thread that is ending it just now.
  /// O(number of descendants). Synchronizes: see context.
  void operator()(const std::exception_ptr& cause = nullptr) const noexcept {
    if (scope_ != nullptr) detail::end_scope(*scope_, errc::canceled, cause, detail::ender::user);
  }

 private:
  friend struct detail::context_access;
  explicit cancel_func(detail::scope_node* retained) noexcept : scope_(retained) {}
  RUNNEL_API void cancel_and_release() noexcept;

  detail::scope_node* scope_ = nullptr;
};

/// A context and what ends it. `auto [ctx, cancel] = with_cancel(parent);`
struct cancelable {
  context ctx;
  cancel_func cancel;
};

namespace detail {
RUNNEL_API cancelable make_deadline(const context& parent, steady_time t, steady_time now,
                                    std::exception_ptr cause);
}

/// A context that ends when it is cancelled or `parent` ends. Throws std::bad_alloc. O(1).
RUNNEL_API cancelable with_cancel(const context& parent);

/// A context that also ends at t, with errc::deadline_exceeded and `cause`, if not null, as its
/// cause. If parent's deadline comes first that one stands. Throws std::bad_alloc. O(log n) for n
/// timers. Go: WithDeadline, WithDeadlineCause.
inline cancelable with_deadline(const context& parent, std::chrono::steady_clock::time_point t,
                                std::exception_ptr cause = nullptr) {
  const auto now = std::chrono::steady_clock::now();
  return detail::make_deadline(parent, t, now, std::move(cause));
}

/// with_deadline(parent, now + d).
template <class Rep, class Period>
cancelable with_timeout(const context& parent, const std::chrono::duration<Rep, Period>& d,
                        std::exception_ptr cause = nullptr) {
  const auto now = std::chrono::steady_clock::now();
  const detail::steady_time t = detail::saturating_add(now, detail::ceil_nanoseconds(d));
  return detail::make_deadline(parent, t, now, std::move(cause));
}

/// parent's values without its ending: has no deadline and never ends. Throws std::bad_alloc.
RUNNEL_API context without_cancel(const context& parent);

/// Says whether the function given to after_func has been kept from running. Go: the stop function.
class stop_func {
 public:
  stop_func() noexcept = default;
  stop_func(const stop_func& other) noexcept : f_(other.f_) {
    if (f_ != nullptr) f_->retain();
  }
  stop_func(stop_func&& other) noexcept : f_(std::exchange(other.f_, nullptr)) {}
  stop_func& operator=(stop_func other) noexcept {
    std::swap(f_, other.f_);
    return *this;
  }
  ~stop_func() {
    if (f_ != nullptr) f_->release();
  }

  /// True if this call has kept the function from being started; false if it was started (it may
  /// still be running) or had been stopped. Does not block.
  bool operator()() const noexcept { return f_ != nullptr && detail::stop_function(*f_); }

 private:
  friend struct detail::context_access;
  explicit stop_func(detail::context_function* owned) noexcept : f_(owned) {}

  detail::context_function* f_ = nullptr;
};

namespace detail {

struct context_access {
  static context_node* node(const context& c) noexcept { return c.node_; }
  static scope_node* scope(const context& c) noexcept { return c.scope(); }
  static bool ended(const context& c) noexcept {
    const scope_node* s = c.scope();
    return s != nullptr && s->state.load(std::memory_order_acquire) != 0;
  }
  /// Takes over a reference.
  static context adopt(context_node* node) noexcept { return context(node); }
  static cancel_func adopt_cancel(scope_node* node) noexcept { return cancel_func(node); }
  static stop_func adopt_stop(context_function* f) noexcept { return stop_func(f); }
  /// Two handles to a new scope, which nobody else knows yet: its context and what cancels it.
  static cancelable handles(scope_node* node) noexcept {
    node->refs.store(2, std::memory_order_relaxed);
    return {adopt(node), adopt_cancel(node)};
  }
};

}  // namespace detail

/// A context that ends (errc::canceled) when a stop is requested through t, too. Throws
/// std::bad_alloc. Synchronizes: request_stop → the ending of the context.
inline cancelable with_stop_token(const context& parent, std::stop_token t) {
  using access = detail::context_access;
  auto* node = new detail::stop_node(access::node(parent));
  cancelable result = access::handles(node);
  detail::attach_scope(*node);
  node->callback.emplace(std::move(t), detail::stop_node::on_stop{node});
  return result;
}

/// A context that carries `value` under `key` too. For what belongs to the request, not for
/// optional parameters. Throws std::bad_alloc and what moving a T throws. O(1).
template <class T>
context with_value(const context& parent, const context_key<T>& key,
                   std::type_identity_t<T> value) {
  using access = detail::context_access;
  return access::adopt(new detail::value_node_of<T>(access::node(parent), &key, std::move(value)));
}

/// Runs f() on a goroutine of its own as soon as ctx ends, at once if it has ended. Dropping what
/// is returned does not stop it. An exception that leaves f ends the program, as for go. Throws
/// std::bad_alloc. Synchronizes: after_func, and the ending of ctx → f.
template <class F>
stop_func after_func(const context& ctx, F&& f) {
  using access = detail::context_access;
  auto* node = new detail::detached_function_of<std::decay_t<F>, detail::context_function>(
      std::forward<F>(f));
  node->retain();  // one for the handle, one for the context
  detail::attach_function(*node, access::node(ctx));
  return access::adopt_stop(node);
}

namespace detail {

/// A select case that is ready when a context has ended. C: context, or const context& as passed.
template <class C, class F>
class done_case {
 public:
  done_case(C ctx, F handler) : ctx_(ctx), handler_(std::forward<F>(handler)) {}

  void prepare(select_record& r) noexcept {
    r.wait_for(context_access::scope(ctx_), &scope_node::ops);
  }
  void finish(const select_record&) {
    race_acquire(&context_access::scope(ctx_)->state);
    handler_();
  }
  auto owned() && { return done_case<context, std::decay_t<F>>(ctx_, std::forward<F>(handler_)); }

 private:
  C ctx_;
  F handler_;
};

}  // namespace detail

/// A select case: ready once ctx has ended; never for background(). The handler is f(). Needs no
/// channel; the handle is referred to, not copied, if it is an lvalue. Go: case <-ctx.Done():
template <class F = detail::no_handler>
auto on_done(const context& ctx, F&& f = {}) {
  return detail::done_case<const context&, F>(ctx, std::forward<F>(f));
}
template <class F = detail::no_handler>
auto on_done(context&& ctx, F&& f = {}) {
  return detail::done_case<context, F>(std::move(ctx), std::forward<F>(f));
}

}  // namespace runnel

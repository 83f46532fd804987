// Goroutines: starting them, and what one may ask of itself.
//
// A goroutine is a function that runs concurrently with its caller on a stack of its own. Millions
// may exist; the runtime runs them on max_procs() processors and starts by itself at first use.
//
// A goroutine may go on in another OS thread after anything that blocks. errno goes with it, but
// the compiler takes its address to be the same throughout a function, so that one which reads
// errno after a call that blocked may read the other thread's. Read it right after the call that
// sets it and before anything that can block, or in a function of its own that is not inlined.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <runnel/detail/caught_goexit.hpp>
#include <runnel/detail/config.hpp>
#include <runnel/detail/fatal.hpp>
#include <runnel/detail/go_support.hpp>
#include <runnel/detail/goroutine_local.hpp>
#include <runnel/detail/on_panic.hpp>
#include <runnel/detail/spawn.hpp>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

namespace runnel {

/// How a goroutine is to be started.
struct go_options {
  /// Shown in reports; copied (the first 255 bytes).
  std::string_view name = {};
  /// Bytes of stack wanted. 0: the default, 256 KiB reserved, committed as used. Larger ones are
  /// rounded up to a power of two.
  std::size_t stack_size = 0;
};

/// Starts a goroutine that calls f(args...), all decay-copied as std::thread does, and returns at
/// once; the result is discarded. Never blocks. An exception that leaves f ends the program with a
/// report (see on_panic). Throws std::bad_alloc if memory or address space is exhausted, and what
/// copying f and args throws; then nothing was started.
/// Synchronizes: go → the start of f. O(1), no allocation once stacks are recycled. Go: the go
/// statement.
template <class F, class... A>
requires std::invocable<std::decay_t<F>, std::decay_t<A>...> RUNNEL_INLINE void go(
    go_options options, F&& f, A&&... args) {
  if constexpr (sizeof...(A) == 0) {
    detail::spawn(std::forward<F>(f), options.name, options.stack_size);
  } else {
    detail::spawn(
        [call = std::tuple<std::decay_t<F>, std::decay_t<A>...>(
             std::forward<F>(f), std::forward<A>(args)...)]() mutable {
          std::apply(
              [](auto& callee, auto&... arguments) {
                std::invoke(std::move(callee), std::move(arguments)...);
              },
              call);
        },
        options.name, options.stack_size);
  }
}

template <class F, class... A>
requires(!std::same_as<std::remove_cvref_t<F>, go_options> &&
         std::invocable<std::decay_t<F>, std::decay_t<A>...>) RUNNEL_INLINE
    void go(F&& f, A&&... args) {
  runnel::go(go_options{}, std::forward<F>(f), std::forward<A>(args)...);
}

/// Lets other goroutines run; the caller goes on later. On a plain thread: std::this_thread::yield.
/// Orders nothing. Go: runtime.Gosched.
inline void yield() { detail::yield(); }

/// Ends the calling goroutine: its stack is unwound, destructors run, no catch (std::exception&)
/// sees it; a catch (...) must rethrow. Throws panic("goexit called outside of a goroutine") on a
/// plain thread. Go: runtime.Goexit.
[[noreturn]] inline void goexit() { detail::goexit(); }

/// Runs f on the calling goroutine while its processor serves others: for calls that block the OS
/// thread (a database driver, a slow file system) or burn the CPU for long. The runtime finds such
/// calls by itself within a millisecond or so; blocking() does it at once. Returns what f returns,
/// lets exceptions through. On a plain thread it just calls f. Go does this for every system call.
template <class F>
decltype(auto) blocking(F&& f) {
  struct scope {
    const bool entered = detail::enter_blocking();
    ~scope() {
      if (entered) detail::leave_blocking();
    }
  } inside;
  return std::forward<F>(f)();
}

/// What a goroutine may ask of itself.
namespace this_goroutine {

/// A number that no other goroutine of this process ever has; 0 on a thread that is no goroutine.
inline std::uint64_t id() { return detail::current_id(); }

/// The name given to go; empty if none, or on a plain thread. Valid until the goroutine ends.
inline std::string_view name() { return detail::current_name(); }

/// Until as many unlock_os_thread calls, the goroutine runs on this OS thread only and nothing else
/// runs there: for libraries that keep state in thread_locals. Nothing on a plain thread, which is
/// its own. Unlocking too often: nothing. Go: runtime.LockOSThread.
inline void lock_os_thread() { detail::lock_os_thread(); }
inline void unlock_os_thread() { detail::unlock_os_thread(); }

}  // namespace this_goroutine

/// Calls f at the end of the scope, however it is left. `defer d{[&] { wg.done(); }};`
/// An exception that leaves f ends the program. Go: the defer statement, per scope.
template <class F>
class [[nodiscard]] defer {
 public:
  explicit defer(F f) noexcept(std::is_nothrow_move_constructible_v<F>) : f_(std::move(f)) {}
  ~defer() { f_(); }
  defer(const defer&) = delete;
  defer& operator=(const defer&) = delete;

 private:
  F f_;
};

/// As a thread_local T, for goroutines: each goroutine (and plain thread) has its own value,
/// made at its first use there and destroyed when the goroutine ends. The object itself usually has
/// static storage, and must outlive the goroutines that use it. O(number of locals in use).
template <class T>
class goroutine_local {
 public:
  /// Values begin as T{}.
  goroutine_local() requires std::default_initializable<T> : make_([] { return T(); }) {}
  /// Values begin as make().
  explicit goroutine_local(std::function<T()> make) : make_(std::move(make)) {}
  goroutine_local(const goroutine_local&) = delete;
  goroutine_local& operator=(const goroutine_local&) = delete;

  /// The caller's value. Throws what making it throws, and std::bad_alloc.
  T& get() const {
    if (void* value = detail::find_local(this)) return *static_cast<T*>(value);
    std::unique_ptr<T> fresh(new T(make_()));
    detail::add_local(this, fresh.get(), [](void* value) { delete static_cast<T*>(value); });
    return *fresh.release();
  }
  T& operator*() const { return get(); }
  T* operator->() const { return &get(); }

 private:
  std::function<T()> make_;
};

namespace detail {

/// What run and async hand over: a value, an exception, or (after goexit) neither.
template <class R>
class outcome {
 public:
  template <class F>
  void capture(F&& f) {
    try {
      if constexpr (std::is_void_v<R>) {
        std::invoke(std::forward<F>(f));
        done_ = true;
      } else if constexpr (std::is_reference_v<R>) {
        R result = std::invoke(std::forward<F>(f));
        value_ = std::addressof(result);
      } else {
        value_.emplace(std::invoke(std::forward<F>(f)));
      }
    } catch (...) {
      if (detail::caught_goexit()) throw;  // nothing was captured, which get() reports
      failure_ = std::current_exception();
    }
  }

  R get() {
    if (failure_) std::rethrow_exception(std::move(failure_));
    if constexpr (std::is_void_v<R>) {
      if (!done_) throw_panic("goexit called in a goroutine that was waited for");
    } else {
      if (!value_) throw_panic("goexit called in a goroutine that was waited for");
      if constexpr (std::is_reference_v<R>) {
        return static_cast<R>(*value_);
      } else {
        return std::move(*value_);
      }
    }
  }

 private:
  using stored = std::conditional_t<
      std::is_void_v<R>, std::monostate,
      std::conditional_t<std::is_reference_v<R>, std::remove_reference_t<R>*, std::optional<R>>>;
  [[no_unique_address]] stored value_{};
  std::exception_ptr failure_;
  bool done_ = false;
};

}  // namespace detail

/// Runs f, as the kind of value it was passed as, on a new goroutine and waits for it. Returns what
/// f returned, a reference too, which must not be to something that ended with f; an exception that
/// leaves f is rethrown here; if f ends by goexit: panic("goexit called in a goroutine that was
/// waited for"). Blocks until f has ended, which may refer to the caller's variables; to wait less
/// long use async and on_ready. Throws std::bad_alloc. Synchronizes: call → start of f; end of f →
/// return. Typically in main: `return runnel::run([] { ...; return 0; });`
template <class F>
auto run(F&& f) -> std::invoke_result_t<F> {
  using result = std::invoke_result_t<F>;
  detail::outcome<result> out;
  detail::completion finished;
  detail::spawn([&] {
    // Also when goexit unwinds.
    struct signal {
      detail::completion& c;
      ~signal() { c.complete(); }
    } at_end{finished};
    out.capture(std::forward<F>(f));
  });
  finished.wait();
  return out.get();
}

}  // namespace runnel

// Doing something exactly once.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <runnel/detail/caught_goexit.hpp>
#include <runnel/detail/config.hpp>
#include <runnel/detail/fatal.hpp>
#include <system_error>
#include <type_traits>
#include <utility>

namespace runnel {

class context;

namespace detail {
template <class F>
class once_value_of;
}

/// State of call_once; as std::once_flag. Constant-initialised. It can be neither copied nor moved.
class once_flag {
 public:
  constexpr once_flag() noexcept = default;
  once_flag(const once_flag&) = delete;
  once_flag& operator=(const once_flag&) = delete;

 private:
  template <class F, class... A>
  friend void call_once(once_flag& flag, F&& f, A&&... args);
  template <class F, class... A>
  friend std::error_code call_once(const context& ctx, once_flag& flag, F&& f, A&&... args);
  template <class F>
  friend class detail::once_value_of;

  // state_: idle, done, or `running` with the latest waiter's address beside it; see once.cpp.
  static constexpr std::uintptr_t idle = 0;
  static constexpr std::uintptr_t running = 1;
  static constexpr std::uintptr_t done = 2;

  RUNNEL_INLINE bool is_done() noexcept {
    if constexpr (detail::inline_paths) {
      return state_.load(std::memory_order_acquire) == done;
    } else {
      return is_done_slow();
    }
  }
  RUNNEL_API bool is_done_slow() noexcept;
  /// True: the caller must run the function and then call finish() or fail(). False: it has been
  /// run.
  RUNNEL_API bool begin();
  /// As begin, which `mine` is the result of, unless ctx ends first: then the error. Throws
  /// std::bad_alloc.
  RUNNEL_API std::error_code begin_within(const context& ctx, bool& mine);
  RUNNEL_API void finish() noexcept;
  RUNNEL_API void fail() noexcept;
  /// Calls f, for whom begin said so.
  template <class F, class... A>
  void run(F&& f, A&&... args) {
    struct unset {
      once_flag* flag;
      ~unset() {
        if (flag != nullptr) flag->fail();
      }
    } undo{this};
    std::invoke(std::forward<F>(f), std::forward<A>(args)...);
    undo.flag = nullptr;
    finish();
  }

  std::atomic<std::uintptr_t> state_{idle};
};

/// Calls f(args...) unless a call with this flag has returned before. Blocks while another caller
/// is in f. If f throws (or ends its goroutine) the exception goes to its caller and the next
/// caller tries: that is the standard's rule; Go's sync.Once counts a panic as done. Calling it
/// again from within f waits for ever. One load when done. Go: sync.Once.
///
/// Synchronizes: the end of the f that returned → the return of every call_once on the flag.
template <class F, class... A>
void call_once(once_flag& flag, F&& f, A&&... args) {
  if (__builtin_expect(flag.is_done(), 1)) return;
  if (!flag.begin()) return;
  flag.run(std::forward<F>(f), std::forward<A>(args)...);
}

/// The same, but gives up, with ctx.err(), when ctx ends while another caller is in f; then f has
/// not been called here, and whoever comes next in line takes over if that caller fails. So it does
/// if ctx had ended already and f has not yet been called. An f that runs is not ended: let it look
/// at ctx. Waiting allocates. Throws std::bad_alloc, too. Synchronizes: as above, unless it gave
/// up. Go has none.
template <class F, class... A>
std::error_code call_once(const context& ctx, once_flag& flag, F&& f, A&&... args) {
  if (__builtin_expect(flag.is_done(), 1)) return {};
  bool mine = false;
  if (const std::error_code ended = flag.begin_within(ctx, mine)) return ended;
  if (mine) flag.run(std::forward<F>(f), std::forward<A>(args)...);
  return {};
}

namespace detail {

template <class F>
class once_value_of {
  using result = std::invoke_result_t<F&>;
  static constexpr bool is_void = std::is_void_v<result>;
  static constexpr bool is_reference = std::is_reference_v<result>;
  using stored = std::conditional_t<
      is_void, char,
      std::conditional_t<is_reference, std::add_pointer_t<result>, std::remove_cv_t<result>>>;

 public:
  template <class G>
  explicit once_value_of(std::in_place_t, G&& f) : f_(std::forward<G>(f)) {}
  once_value_of(const once_value_of&) = delete;
  once_value_of& operator=(const once_value_of&) = delete;

  /// The function's value (as a const reference), calling the function if nobody has; rethrows what
  /// it threw. Blocks while another caller is in it.
  decltype(auto) operator()() const {
    if (__builtin_expect(!flag_.is_done(), 0) && flag_.begin()) compute();
    if (__builtin_expect(error_ != nullptr, 0)) std::rethrow_exception(error_);
    if constexpr (is_void) {
      return;
    } else if constexpr (is_reference) {
      return static_cast<result>(**value_);
    } else {
      return static_cast<const stored&>(*value_);
    }
  }

  /// Calls the function if nobody has, or waits for who is in it: afterwards a call returns at
  /// once. Gives up, with ctx.err(), when ctx ends meanwhile, or had ended and the function has not
  /// been called; one that runs is not ended. Throws std::bad_alloc.
  std::error_code wait(const context& ctx) const {
    if (flag_.is_done()) return {};
    bool mine = false;
    if (const std::error_code ended = flag_.begin_within(ctx, mine)) return ended;
    if (mine) compute();
    return {};
  }

 private:
  void compute() const {
    struct finish {
      const once_value_of* self;
      ~finish() {
        self->f_.reset();
        self->flag_.finish();
      }
    } at_end{this};
    try {
      if constexpr (is_void) {
        std::invoke(*f_);
        value_.emplace();
      } else if constexpr (is_reference) {
        value_.emplace(
            std::addressof(static_cast<std::remove_reference_t<result>&>(std::invoke(*f_))));
      } else {
        value_.emplace(std::invoke(*f_));
      }
    } catch (...) {
      error_ = std::current_exception();
      if (caught_goexit()) {
        error_ =
            std::make_exception_ptr(panic("sync: function given to once_value ended by goexit"));
        throw;
      }
    }
  }

  mutable once_flag flag_;
  mutable std::optional<F> f_;
  mutable std::optional<stored> value_;
  mutable std::exception_ptr error_;
};

}  // namespace detail

/// Returns a callable that calls f once, at its own first call, and returns f's value (by const
/// reference), or rethrows f's exception, then and at every later call. f may return void. The
/// callable may be called from any goroutine or thread at once; it can be neither copied nor moved,
/// so share it by reference. f is destroyed once it has run. While f runs other calls block; its
/// wait(ctx) is for those who are not to wait beyond the end of a context. Go: sync.OnceFunc,
/// OnceValue.
///
/// Synchronizes: the end of f → the return of every call.
template <class F>
auto once_value(F&& f) {
  static_assert(std::is_invocable_v<std::decay_t<F>&>, "once_value takes a callable f()");
  return detail::once_value_of<std::decay_t<F>>(std::in_place, std::forward<F>(f));
}

}  // namespace runnel

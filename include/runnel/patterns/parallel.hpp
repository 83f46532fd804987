// A loop whose rounds run at the same time.
#pragma once

#include <atomic>
#include <exception>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <mutex>
#include <optional>
#include <runnel/context.hpp>
#include <runnel/detail/caught_goexit.hpp>
#include <runnel/detail/config.hpp>
#include <runnel/detail/fatal.hpp>
#include <runnel/detail/goexit_text.hpp>
#include <runnel/detail/stage.hpp>
#include <runnel/sync/mutex.hpp>
#include <runnel/sync/wait_group.hpp>
#include <system_error>
#include <type_traits>
#include <utility>

namespace runnel {

namespace detail {

/// The elements of a range, handed out one by one to whoever asks. An input range is advanced when
/// the next element is asked for, not before: its advance may wait for what f does with this one.
template <class Range>
class shared_elements {
  using iterator = decltype(std::begin(std::declval<Range&>()));
  using sentinel = decltype(std::end(std::declval<Range&>()));
  static constexpr bool eager = std::forward_iterator<iterator>;

 public:
  explicit shared_elements(Range& range) : next_(std::begin(range)), last_(std::end(range)) {}

  /// Calls f with the next element. False: there is none, or scope has ended.
  template <class F>
  bool visit_next(const context& scope, F& f) {
    std::unique_lock hold(mutex_);
    if (scope.err() || at_end()) return false;
    if constexpr (!eager) {
      // The advance may have taken long, or been what it was ended for.
      if (scope.err()) return false;
    }
    if constexpr (eager && std::is_lvalue_reference_v<decltype(*next_)>) {
      auto& element = *next_;
      ++next_;
      hold.unlock();
      std::invoke(f, element);
    } else {
      std::iter_value_t<iterator> element(*next_);  // the next step may overwrite what it refers to
      if constexpr (eager) {
        ++next_;
      } else {
        taken_ = true;
      }
      hold.unlock();
      std::invoke(f, std::move(element));
    }
    return true;
  }

  /// Is there nothing left? No, if one would have to wait to know.
  bool exhausted() {
    if constexpr (eager) {
      const std::lock_guard hold(mutex_);
      return at_end();
    } else {
      return at_end_.load(std::memory_order_relaxed);
    }
  }

 private:
  bool at_end() {
    if (at_end_.load(std::memory_order_relaxed)) return true;
    if constexpr (!eager) {
      if (std::exchange(taken_, false)) ++next_;
    }
    const bool end = !(next_ != last_);
    if (end) at_end_.store(true, std::memory_order_relaxed);
    return end;
  }

  mutex mutex_;
  iterator next_;  // guarded by mutex_, as taken_
  const sentinel last_;
  bool taken_ = false;               // *next_ has been handed out
  std::atomic<bool> at_end_{false};  // written under mutex_
};

/// What a channel still has to give; there the end of the scope ends the wait, too.
template <chan_that_receives Chan>
class shared_elements<Chan> {
  using element = carried<Chan>;

 public:
  explicit shared_elements(const recv_chan<element>& c) : from_(c) {}

  template <class F>
  bool visit_next(const context& scope, F& f) {
    std::optional<stage_value<element>> v;
    if (!receive_within(scope, from_, v)) return false;
    if (!v) {
      exhausted_.store(true, std::memory_order_relaxed);
      return false;
    }
    std::invoke(f, std::move(*v));
    return true;
  }
  bool exhausted() const noexcept { return exhausted_.load(std::memory_order_relaxed); }

 private:
  const recv_chan<element> from_;
  std::atomic<bool> exhausted_{false};
};

/// The state that the workers of one parallel_for_each share; on the caller's stack.
template <class Range, class F>
class parallel_loop {
 public:
  parallel_loop(const context& ctx, Range& range, F& f)
      : scope_(with_cancel(ctx)), elements_(range), f_(f) {}

  /// Returns when all workers have stopped. False: not all elements have been visited.
  bool run(int workers) {
    {
      struct join {
        wait_group running;
        ~join() { running.wait(); }
      } group;
      for (int i = workers < 1 ? 1 : workers; i != 0 && !over(); --i) {
        group.running.go([this] { work(); });
      }
    }
    if (error_) std::rethrow_exception(error_);
    return elements_.exhausted();
  }

 private:
  bool over() { return scope_.ctx.err() || elements_.exhausted(); }

  void work() {
    struct watch {
      parallel_loop* self;
      ~watch() {
        if (self != nullptr) self->fail(std::make_exception_ptr(panic(goexit_text)));
      }
    } left_by_goexit{this};
    try {
      while (elements_.visit_next(scope_.ctx, f_)) {
      }
    } catch (...) {
      if (detail::caught_goexit()) throw;
      fail(std::current_exception());
    }
    left_by_goexit.self = nullptr;
  }

  // Takes no lock that another worker could hold while it waits for an element.
  void fail(std::exception_ptr e) noexcept {
    if (failed_.exchange(true, std::memory_order_relaxed)) return;
    error_ = std::move(e);
    scope_.cancel();
  }

  const cancelable scope_;  // ended by the first failure
  shared_elements<Range> elements_;
  F& f_;
  std::atomic<bool> failed_{false};
  std::exception_ptr error_;  // by who changed failed_; read when all workers have stopped
};

template <class Range, class F>
bool run_parallel(const context& ctx, Range& range, int workers, F& f) {
  return parallel_loop<Range, F>(ctx, range, f).run(workers);
}
template <class Range, class F>
std::error_code run_parallel_within(const context& ctx, Range& range, int workers, F& f) {
  if (const std::error_code ended = ctx.err()) return ended;
  return run_parallel(ctx, range, workers, f) ? std::error_code() : ctx.err();
}

}  // namespace detail

/// Calls f(element) for every element of `range`, on up to `workers` goroutines (at least one) at a
/// time, and returns when all calls have ended. After an exception no further element is begun, and
/// the first one is rethrown once all have stopped; goexit in f counts as
/// panic("goexit called in a goroutine that was waited for"). An element is fetched when a worker
/// is free for it, not ahead. Blocks until no f is running; a failure ends a wait for the next
/// value of a channel, but not one inside another range's iterators. Throws std::bad_alloc.
/// Synchronizes: call → every f → return.
///
///     runnel::parallel_for_each(files, 8, [](const path& p) { compress(p); });
template <class Range, class F>
void parallel_for_each(Range&& range, int workers, F&& f) {
  detail::run_parallel(background(), range, workers, f);
}
template <class T, class F>
void parallel_for_each(std::initializer_list<T> values, int workers, F&& f) {
  detail::run_parallel(background(), values, workers, f);
}

/// The same, but begins no further element when ctx ends, and returns ctx.err() once all calls have
/// ended, unless the end of the range had been reached. If ctx had ended already nothing is
/// begun, even if the range is empty. For calls that take long to be ended, too, f looks at ctx.
///
///     if (auto ended = runnel::parallel_for_each(ctx, jobs, 8, run_job)) return ended;
template <class Range, class F>
std::error_code parallel_for_each(const context& ctx, Range&& range, int workers, F&& f) {
  return detail::run_parallel_within(ctx, range, workers, f);
}
template <class T, class F>
std::error_code parallel_for_each(const context& ctx, std::initializer_list<T> values, int workers,
                                  F&& f) {
  return detail::run_parallel_within(ctx, values, workers, f);
}

}  // namespace runnel

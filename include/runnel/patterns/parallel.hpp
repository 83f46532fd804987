// A loop whose rounds run at the same time.
#pragma once

#include <atomic>
#include <exception>
#include <functional>
#include <iterator>
#include <mutex>
#include <runnel/detail/caught_goexit.hpp>
#include <runnel/detail/config.hpp>
#include <runnel/detail/fatal.hpp>
#include <runnel/detail/goexit_text.hpp>
#include <runnel/sync/mutex.hpp>
#include <runnel/sync/wait_group.hpp>
#include <type_traits>
#include <utility>

namespace runnel {

namespace detail {

/// The state that the workers of one parallel_for_each share; on the caller's stack.
template <class Iterator, class Sentinel, class F>
class parallel_loop {
 public:
  parallel_loop(Iterator first, Sentinel last, F& f)
      : next_(std::move(first)), last_(std::move(last)), f_(f) {}

  void work() {
    struct watch {
      parallel_loop* self;
      ~watch() {
        if (self != nullptr) self->fail(std::make_exception_ptr(panic(goexit_text)));
      }
    } left_by_goexit{this};
    try {
      while (run_next()) {
      }
    } catch (...) {
      if (detail::caught_goexit()) throw;
      fail(std::current_exception());
    }
    left_by_goexit.self = nullptr;
  }

  /// Is there nothing left to begin?
  bool exhausted() {
    const std::lock_guard hold(mutex_);
    return over();
  }
  /// After all workers have stopped.
  void rethrow() {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  bool over() { return error_ != nullptr || !(next_ != last_); }

  bool run_next() {
    std::unique_lock hold(mutex_);
    if (over()) return false;
    if constexpr (std::forward_iterator<Iterator> && std::is_lvalue_reference_v<decltype(*next_)>) {
      auto& element = *next_;
      ++next_;
      hold.unlock();
      std::invoke(f_, element);
    } else {
      std::iter_value_t<Iterator> element(*next_);  // the next step may overwrite what it refers to
      ++next_;
      hold.unlock();
      std::invoke(f_, std::move(element));
    }
    return true;
  }

  void fail(std::exception_ptr e) {
    const std::lock_guard hold(mutex_);
    if (!error_) error_ = std::move(e);
  }

  mutex mutex_;
  Iterator next_;  // guarded by mutex_
  const Sentinel last_;
  F& f_;
  std::exception_ptr error_;  // guarded by mutex_; the first one
};

}  // namespace detail

/// Calls f(element) for every element of `range`, on up to `workers` goroutines (at least one) at a
/// time, and returns when all calls have ended. After an exception no further element is begun, and
/// the first one is rethrown once all have stopped; goexit in f counts as
/// panic("goexit called in a goroutine that was waited for"). Blocks. Throws std::bad_alloc.
/// Synchronizes: call → every f → return.
///
///     runnel::parallel_for_each(files, 8, [](const path& p) { compress(p); });
template <class Range, class F>
void parallel_for_each(Range&& range, int workers, F&& f) {
  detail::parallel_loop loop(std::begin(range), std::end(range), f);
  wait_group running;
  struct join {
    wait_group& group;
    ~join() { group.wait(); }
  };
  {
    const join at_end{running};
    for (int i = workers < 1 ? 1 : workers; i != 0 && !loop.exhausted(); --i) {
      running.go([&] { loop.work(); });
    }
  }
  loop.rethrow();
}

}  // namespace runnel

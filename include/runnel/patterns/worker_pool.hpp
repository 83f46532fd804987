// A fixed number of goroutines that work off a queue of jobs.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <runnel/chan.hpp>
#include <runnel/context.hpp>
#include <runnel/detail/fatal.hpp>
#include <runnel/detail/future_state.hpp>
#include <runnel/detail/goexit_text.hpp>
#include <runnel/future.hpp>
#include <runnel/select.hpp>
#include <runnel/sync/condition_variable.hpp>
#include <runnel/sync/mutex.hpp>
#include <runnel/sync/select_cases.hpp>
#include <runnel/sync/wait_group.hpp>
#include <system_error>
#include <type_traits>
#include <utility>

namespace runnel {

namespace detail {

/// A job in the queue.
class pool_job {
 public:
  virtual void run() = 0;
  virtual void drop() noexcept = 0;

 protected:
  ~pool_job() = default;
};

struct pool_job_drop {
  void operator()(pool_job* job) const noexcept { job->drop(); }
};
using pool_job_handle = std::unique_ptr<pool_job, pool_job_drop>;

/// With its function and its result, in one allocation.
template <class R, class F>
class pool_job_of final : public future_state_of<R>, public pool_job {
 public:
  template <class G>
  explicit pool_job_of(G&& g) : f_(std::in_place, std::forward<G>(g)) {
    this->retain();  // one for the queue, one for the future
  }
  void run() override {
    run_and_announce(*this, f_, [this] { call(); });
  }
  void drop() noexcept override { this->release(); }

 private:
  void call() {
    if constexpr (std::is_void_v<R>) {
      std::invoke(std::move(*f_));
    } else {
      this->write(std::invoke(std::move(*f_)));
    }
  }
  std::optional<F> f_;
};

}  // namespace detail

/// Runs jobs on `workers` goroutines. What a job returns or throws is found in its future.
///
///     runnel::worker_pool pool(8);
///     auto size = pool.submit([&] { return measure(file); });
///     use(size.get());
///
/// Usable from any number of goroutines and threads. Destruction closes and waits.
class worker_pool {
 public:
  /// At least one worker; up to `queue` jobs wait, besides those that are running. Throws
  /// std::bad_alloc.
  worker_pool(int workers, std::size_t queue) : queue_(queue) {
    struct undo {
      worker_pool* self;
      ~undo() {
        if (self != nullptr) self->close_and_wait();
      }
    } u{this};
    for (int i = workers < 1 ? 1 : workers; i != 0; --i) add_worker();
    u.self = nullptr;
  }
  explicit worker_pool(int workers)
      : worker_pool(workers, static_cast<std::size_t>(workers < 1 ? 1 : workers)) {}
  worker_pool(const worker_pool&) = delete;
  worker_pool& operator=(const worker_pool&) = delete;
  ~worker_pool() { close_and_wait(); }

  /// Queues f, which will be called once, as f(). Blocks while the queue is full. Throws
  /// panic("submit on closed worker_pool"), also if the pool is closed meanwhile; std::bad_alloc;
  /// and what copying f throws. Synchronizes: submit → f; the end of f → the future's get().
  template <class F>
  requires std::is_invocable_v<std::decay_t<F>>
  auto submit(F&& f) -> future<std::invoke_result_t<std::decay_t<F>>> {
    using R = std::invoke_result_t<std::decay_t<F>>;
    using job_type = detail::pool_job_of<R, std::decay_t<F>>;
    if (closed_.load(std::memory_order_acquire)) refuse();
    auto* job = new job_type(std::forward<F>(f));
    const detail::state_ref<detail::future_state_of<R>> result(job);
    enqueue(detail::pool_job_handle(job), [this](auto& j) {
      queue_.send(std::move(j));
      return true;
    });
    return detail::future_access::make(result);
  }

  /// As submit(f), but gives up when ctx ends: then f is not called, and the future that is
  /// returned throws std::system_error(ctx.err()). So it does if ctx had ended already, even if
  /// there is room. A job that is queued stays so, whatever becomes of ctx; let f look at it.
  /// Throws and synchronizes as submit(f).
  template <class F>
  requires std::is_invocable_v<std::decay_t<F>>
  auto submit(const context& ctx, F&& f) -> future<std::invoke_result_t<std::decay_t<F>>> {
    using R = std::invoke_result_t<std::decay_t<F>>;
    using job_type = detail::pool_job_of<R, std::decay_t<F>>;
    if (closed_.load(std::memory_order_acquire)) refuse();
    if (ctx.err()) return not_submitted<R>(ctx);
    auto* job = new job_type(std::forward<F>(f));
    const detail::state_ref<detail::future_state_of<R>> result(job);
    const bool queued = enqueue(detail::pool_job_handle(job), [&](auto& j) {
      return select(on_send(queue_, std::move(j)), on_done(ctx)) == 0;
    });
    return queued ? detail::future_access::make(result) : not_submitted<R>(ctx);
  }

  /// No more jobs: those queued will still be run. Never blocks. Closing again does nothing.
  void close() {
    // Not by queue_.close(), of which the race detector would say that it races with a submit: here
    // that is allowed, and one of the two outcomes.
    if (!closed_.exchange(true, std::memory_order_acq_rel)) {
      detail::chan_core::close(detail::chan_access::core(queue_));
    }
  }

  /// Blocks until every job submitted so far has ended; after close(), until the workers have
  /// ended, too. Synchronizes: the end of each job → return.
  void wait() {
    {
      std::unique_lock hold(mutex_);
      idle_.wait(hold, [&] { return pending_.load(std::memory_order_acquire) == 0; });
    }
    if (closed_.load(std::memory_order_acquire)) workers_.wait();
  }

  /// As wait(), but gives up, with ctx.err(), when ctx ends: the jobs go on. So it does if ctx had
  /// ended already, even if there is nothing to wait for. Throws std::bad_alloc. Synchronizes: as
  /// wait(), unless it gave up.
  std::error_code wait(const context& ctx) {
    {
      std::unique_lock hold(mutex_);
      for (;;) {
        if (const std::error_code ended = ctx.err()) return ended;
        if (pending_.load(std::memory_order_acquire) == 0) break;
        select(on_wait(idle_, hold), on_done(ctx));
      }
    }
    if (!closed_.load(std::memory_order_acquire)) return {};
    return select(on_wait(workers_), on_done(ctx)) == 0 ? std::error_code() : ctx.err();
  }

 private:
  [[noreturn]] static void refuse() { detail::throw_panic("submit on closed worker_pool"); }

  template <class R>
  static future<R> not_submitted(const context& ctx) {
    promise<R> p;
    p.set_exception(std::make_exception_ptr(std::system_error(ctx.err())));
    return p.get_future();
  }

  /// Queues the job by put(job); false, with nothing done, if that returns false.
  template <class Put>
  bool enqueue(detail::pool_job_handle job, Put put) {
    pending_.fetch_add(1, std::memory_order_relaxed);
    struct undo {
      worker_pool* self;
      ~undo() {
        if (self != nullptr) self->job_ended();
      }
    } u{this};
    try {
      if (!put(job)) return false;
    } catch (const panic&) {
      refuse();
    }
    u.self = nullptr;
    return true;
  }

  void job_ended() {
    if (pending_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    const std::lock_guard hold(mutex_);
    idle_.notify_all();
  }

  void add_worker() {
    workers_.go([this] { work(); });
  }

  void work() {
    // A job that ends by goexit takes its goroutine along: another one takes over.
    struct succession {
      worker_pool* self;
      ~succession() {
        if (self != nullptr) self->replace_worker();
      }
    } left_by_goexit{this};
    while (std::optional<detail::pool_job_handle> job = queue_.recv()) {
      struct end {
        worker_pool* self;
        std::optional<detail::pool_job_handle>& job;
        ~end() {
          job.reset();  // with what it holds, before it counts as ended
          self->job_ended();
        }
      } at_end{this, job};
      (*job)->run();
    }
    left_by_goexit.self = nullptr;
  }

  void replace_worker() noexcept {
    try {
      add_worker();
    } catch (...) {
      detail::fatal("out of memory: cannot replace a worker that ended by goexit");
    }
  }

  void close_and_wait() {
    close();
    wait();
  }

  chan<detail::pool_job_handle> queue_;
  std::atomic<bool> closed_{false};
  std::atomic<std::int64_t> pending_{0};  // jobs queued or running
  mutex mutex_;                           // for idle_, whose event is pending_ == 0
  condition_variable idle_;
  wait_group workers_;
};

}  // namespace runnel
